"""A real store accepts what the documents tell people to set."""

import json
import re
from pathlib import Path
from uuid import uuid4

import boto3
from servers.addresses import S3

ROOT = Path(__file__).parents[2]


def block(document: str, language: str) -> str:
    """The only block of code in that language of a document."""
    (found,) = re.findall(
        rf"^```{language}\n(.*?)^```", (ROOT / "docs" / document).read_text(), re.DOTALL | re.MULTILINE
    )
    return str(found)


def test_s3_takes_the_rule_for_unfinished_uploads(moto: S3) -> None:
    """It is copied, and not looked at again before the bill comes."""
    rule = json.loads(block("operations.md", "json"))
    client = boto3.client(
        "s3",
        endpoint_url=moto.endpoint,
        region_name=moto.region,
        aws_access_key_id=moto.access_key,
        aws_secret_access_key=moto.secret_key,
    )
    bucket = f"cats-{uuid4().hex[:12]}"
    client.create_bucket(Bucket=bucket)
    client.put_bucket_lifecycle_configuration(Bucket=bucket, LifecycleConfiguration=rule)
    assert client.get_bucket_lifecycle_configuration(Bucket=bucket)["Rules"] == rule["Rules"]
