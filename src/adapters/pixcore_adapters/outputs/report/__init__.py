"""The report: what a dataset holds and how it came about, as one HTML page that needs nothing else."""
