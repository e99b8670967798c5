"""Downloaders, one file for each technology."""
