"""Clients and stores for a test's S3 server, each test in a bucket of its own."""

import uuid
from typing import Any

import boto3
from botocore.config import Config
from servers.addresses import S3

from pixcore_adapters.blob_store.s3.client import CONFIG
from pixcore_adapters.blob_store.s3.store import S3BlobStore

Client = Any  # boto3 creates its classes at run time


def client(server: S3, *, secret: str = "", attempts: int = 1, endpoint: str = "") -> Client:
    """Connect like the store, but with the test's secret, number of attempts and endpoint."""
    options = Config(retries={"total_max_attempts": attempts, "mode": "standard"})
    return boto3.client(
        "s3",
        endpoint_url=endpoint or server.endpoint,
        region_name=server.region,
        aws_access_key_id=server.access_key,
        aws_secret_access_key=secret or server.secret_key,
        config=CONFIG.merge(options),
    )


def bucket() -> str:
    """Return a name that no other test uses."""
    return f"pixcore-{uuid.uuid4()}"


def store(client: Client) -> S3BlobStore:
    """Create an empty store in a bucket of its own."""
    made = S3BlobStore(client, bucket(), "some/prefix")
    made.create()
    return made
