"""What all runners provide, and what Celery and RQ share: sending chunks and processing one delivery."""
