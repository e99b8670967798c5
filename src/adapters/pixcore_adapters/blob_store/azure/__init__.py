"""Azure Blob Storage: the store, the account from the environment, and the translation of the SDK's errors."""
