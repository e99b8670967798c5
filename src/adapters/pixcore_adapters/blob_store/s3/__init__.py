"""S3: the store, its conditional writes, and what its errors mean."""
