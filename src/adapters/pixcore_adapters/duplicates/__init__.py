"""Memories of which chunk of a dataset has which image, in memory and in an SQL database, and the search in them."""
