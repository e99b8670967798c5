"""Observers of chunks: log lines, metrics, and the dataset card."""
