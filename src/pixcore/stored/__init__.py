"""Read stored archives back: to check them, to verify a dataset, and to export it."""
