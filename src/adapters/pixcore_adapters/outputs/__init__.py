"""What a dataset is turned into for people and loaders: its card, its report, and other layouts."""
