"""Plan chunks: of a dataset, of a DATASET.toml, and single ones that callers number themselves."""
