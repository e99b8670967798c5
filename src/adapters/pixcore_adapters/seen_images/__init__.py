"""The memory of the images of a dataset. The one in SQL is in ``status_repo``, because it shares that database."""
