"""Observers of chunks: log lines, metrics, and the card of a dataset."""
