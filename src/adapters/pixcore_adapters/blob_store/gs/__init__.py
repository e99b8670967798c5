"""Google Cloud Storage: the store, and the translation of the client's errors."""
