"""Azure Blob Storage: the store, the account that the environment names, and what its errors mean."""
