"""The decisions about images, in memory. The SQL implementation is in ``status_repo``: it shares that database."""
