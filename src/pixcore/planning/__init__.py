"""Plan a dataset into chunks."""
