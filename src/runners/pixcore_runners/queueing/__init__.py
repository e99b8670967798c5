"""What Celery and RQ share: sending chunks, and what one delivery of a chunk comes to."""
