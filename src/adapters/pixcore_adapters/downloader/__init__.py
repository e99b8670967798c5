"""Downloaders: one file a technology."""
