"""Drop images whose bytes are not those that the source promises."""

import hashlib
from collections.abc import Generator, Iterable

from pixcore.chunk.workspace import local_disk
from pixcore.model.images import Accepted, Rejected, RejectReason


def drop_changed(verdicts: Iterable[Accepted | Rejected]) -> Generator[Accepted | Rejected]:
    """Reject each accepted image that differs from its candidate's checksum; keep the order and all other verdicts.

    Raises:
        WorkspaceFull, TransientError: The image's file cannot be read.
    """
    for verdict in verdicts:
        expected = verdict.download.candidate.checksum
        if isinstance(verdict, Accepted) and expected and (found := _checksum(verdict, expected)) != expected:
            yield Rejected(verdict.download, RejectReason.HASH, f"{found}, not {expected}", verdict)
        else:
            yield verdict


def _checksum(image: Accepted, like: str) -> str:
    """Return the checksum of the image's bytes, of the same kind as ``like``."""
    if like.startswith("sha256:"):
        return f"sha256:{image.sha256}"
    kind = "sha1" if like.startswith("sha1:") else "md5"
    with local_disk("reading an image"):
        return f"{kind}:{hashlib.new(kind, image.download.path.read_bytes(), usedforsecurity=False).hexdigest()}"
