"""The checksums with which a server verifies what it receives: the best kind that it accepts.

AWS and most servers verify ``x-amz-checksum-sha256``. Older servers, and some gateways and proxies, refuse a request
with this header. They get ``Content-MD5`` instead, which S3 has always had. A blob that was sent without any checksum
is read back once it is stored.
"""

import base64
import hashlib
from collections.abc import Callable, Iterator
from enum import Enum
from typing import TypeVar

from botocore.exceptions import ClientError

from pixcore_adapters.blob_store.s3.errors import refused

R = TypeVar("R")


class Checksum(Enum):
    """A kind of checksum, by boto3's parameter for it. The better ones come first."""

    SHA256 = "ChecksumSHA256"
    MD5 = "ContentMD5"
    NONE = ""

    def headers(self, digest: bytes) -> dict[str, str]:
        """Return what sends a digest of this kind."""
        return {self.value: base64.b64encode(digest).decode()} if self.value else {}

    def digests(self, blocks: Iterator[bytes], length: int) -> list[bytes]:
        """Return the digest of each part of ``length`` bytes, the last of which may be shorter. There is at least one.

        Reads all blocks, also if no digest is needed.
        """

        def new() -> "hashlib._Hash":
            return hashlib.md5(usedforsecurity=False) if self is Checksum.MD5 else hashlib.sha256()

        finished: list[bytes] = []
        digest, missing = new(), length
        for block in blocks:
            while len(block) >= missing > 0:
                digest.update(block[:missing])
                finished.append(digest.digest())
                block, digest, missing = block[missing:], new(), length  # noqa: PLW2901 - the rest of it
            digest.update(block)
            missing -= len(block)
        return finished if finished and missing == length else [*finished, digest.digest()]


_FALLBACKS = {
    Checksum.MD5: "the server refuses the header x-amz-checksum-sha256 of {what}; Content-MD5 is sent instead",
    Checksum.NONE: "the server refuses the headers x-amz-checksum-sha256 and Content-MD5 of {what}; each is read back"
    " after it is stored",
}


class AcceptedChecksums:
    """Which kind of checksum a server accepts, for blobs that are sent whole and for those in parts."""

    def __init__(self) -> None:
        self._kinds: dict[bool, tuple[Checksum, ...]] = {}

    def send(self, write: Callable[[Checksum], R], *, parts: bool) -> R:
        """Call ``write`` with the best kind of checksum that the server does not refuse, and remember that kind.

        Until a write has succeeded, a request that the server refuses is repeated with the next kind.

        Raises:
            ClientError: As ``write`` raises it; the first one if the server refuses every kind.
        """
        refusals: list[ClientError] = []
        for kind in self._kinds.get(parts, tuple(Checksum)):
            try:
                result = write(kind)
            except ClientError as error:
                if not refused(error):
                    raise
                refusals.append(error)
            else:
                self._kinds[parts] = (kind,)
                return result
        raise refusals[0]

    def fallback(self, *, parts: bool) -> str:
        """Return what was done with the last blob, if its checksum was not of the best kind; "" if it was."""
        (kind,) = self._kinds[parts]
        return _FALLBACKS.get(kind, "").format(what="blobs in parts" if parts else "blobs")
