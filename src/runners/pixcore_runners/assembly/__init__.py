"""Turn settings into adapters: the composition root."""
