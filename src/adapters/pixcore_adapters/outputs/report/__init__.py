"""Show a dataset and its history as one HTML page that loads nothing else."""
