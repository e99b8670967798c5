"""An S3 object as a blob: what its metadata hold, its version, and its bytes.

The metadata hold what S3 has no field for, and are stored atomically with the bytes: the sha256, and a random id for
each version.
"""

import hashlib
import io
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pixcore.errors import StoreDenied, StoreUnavailable, one_line
from pixcore_adapters.blob_store.s3.errors import FOREIGN, store_errors

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

# callers cannot use these names: the port's metadata keys have no hyphen
SHA256, VERSION = "pixcore-sha256", "pixcore-version"

_READ_BUFFER = 1 << 18  # bytes


def metadata_of(response: Mapping[str, Any]) -> dict[str, str]:
    """Return the metadata of an object. Their names are in lower case, which some servers change."""
    return {name.lower(): value for name, value in response["Metadata"].items()}


def opened(response: Mapping[str, Any], key: str) -> io.BufferedReader:
    """Open the bytes of an object for reading. Errors during reads become store errors too."""
    return io.BufferedReader(_Body(response["Body"], key), _READ_BUFFER)


def sha256_of(response: Mapping[str, Any], key: str) -> str:
    """Read an object to its end; return the sha256 of its bytes.

    Raises:
        StoreDenied, StoreUnavailable: The server breaks off.
    """
    with opened(response, key) as body:
        return hashlib.file_digest(body, "sha256").hexdigest()


def read_back(client: Any, at: Mapping[str, str], key: str, *, version: str) -> None:  # noqa: ANN401
    """Compare the bytes of a version that was just stored with the sha256 in its metadata; delete it if they differ.

    Does nothing if the object is no longer at that version. A server that ignores If-Match for deletes may delete a
    version that another writer stores between the comparison and the delete.

    Raises:
        StoreUnavailable: The bytes were damaged, and the blob was deleted.
        StoreDenied: The bytes were damaged, and the blob cannot be deleted.
    """
    with store_errors(f"cannot read back blob {key!r}"):
        found = client.get_object(**at)
    metadata = metadata_of(found)
    if metadata.get(VERSION) != version or sha256_of(found, key) == metadata.get(SHA256):
        return
    try:
        client.delete_object(**at, IfMatch=found["ETag"])
    except FOREIGN as error:
        raise StoreDenied(
            f"blob {key!r} was damaged while it was sent, and cannot be deleted ({one_line(error)}); delete it yourself"
        ) from error
    raise StoreUnavailable(f"blob {key!r} was damaged while it was sent, so it was deleted; try again")


class _Body(io.RawIOBase):
    def __init__(self, body: Any, key: str) -> None:  # noqa: ANN401 - boto3 has no types
        self._body, self._key = body, key

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: "WriteableBuffer") -> int:
        with store_errors(f"cannot read blob {self._key!r} to its end"):
            return int(self._body.readinto(buffer))

    def close(self) -> None:
        self._body.close()
        super().close()
