"""Describe a dataset beside its archives: the card for people and loaders, and Croissant for programs."""
