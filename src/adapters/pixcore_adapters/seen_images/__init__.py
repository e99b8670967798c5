"""The images of a dataset, in memory. The SQL implementation is in ``status_repo``, because it shares that database."""
