"""S3: the store, its conditional writes, and the translation of boto3's errors."""
