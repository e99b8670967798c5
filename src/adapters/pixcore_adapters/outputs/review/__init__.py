"""Serve a page on this machine by which curators choose a dataset's images by eye."""
