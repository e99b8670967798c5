"""Converters: resize images and encode them again."""
