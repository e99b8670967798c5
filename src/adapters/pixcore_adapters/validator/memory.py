"""The validator for tests. Its pictures are short JSON texts, so nothing is decoded and a test chooses every hash."""

import hashlib
import json
from collections.abc import Generator, Iterable
from pathlib import Path

from pixcore.model.images import Accepted, Download, Rejected, RejectReason
from pixcore.model.quality import Fingerprint

_PREVIEW = 4096  # bytes
_OPENING = b'{"picture": '


def encode(
    name: str, *, width: int = 100, height: int = 100, phash: int = 0, dhash: int = 0, flat: bool = False
) -> bytes:
    """Make the bytes of a picture for ``MemoryValidator``: one line of JSON that begins with the picture's name.

    Pictures of different names differ in their bytes and so in their sha256. The distance of their hashes, 64 bits
    each, decides whether they are near.
    """
    values = {"picture": name, "width": width, "height": height, "phash": phash, "dhash": dhash, "flat": flat}
    return json.dumps(values).encode()


class MemoryValidator:
    """Accepts bytes from ``encode``. Others are ``not_an_image``, or ``damaged`` if they begin like a picture."""

    def validate(self, downloads: Iterable[Download]) -> Generator[Accepted | Rejected]:
        """Yield one verdict for each download. Draw no download ahead.

        Raises:
            Exception: Whatever ``downloads`` raises.
        """
        yield from map(_verdict, downloads)


def _verdict(download: Download) -> Accepted | Rejected:
    try:
        data = download.path.read_bytes()
    except OSError as error:
        return Rejected(download, RejectReason.NOT_AN_IMAGE, f"cannot be read: {error.strerror}")
    if not data.startswith(_OPENING):
        return Rejected(download, RejectReason.NOT_AN_IMAGE)
    try:
        values = json.loads(data)
        width, height = int(values["width"]), int(values["height"])
        prints = Fingerprint(values["phash"], values["dhash"], "memory", values["flat"])
    except (ValueError, TypeError, KeyError) as error:
        return Rejected(download, RejectReason.DAMAGED, str(error))
    return Accepted(download, hashlib.sha256(data).hexdigest(), width, height, "JSON", prints)


class MemoryPreviewer:
    """Previews bytes from ``encode``. A preview is the beginning of the picture's name, not a WebP file."""

    def preview(self, image: Path) -> bytes:
        """See ``Previewer``."""
        try:
            data = image.read_bytes()
            return f"preview of {json.loads(data)['picture']}".encode()[:_PREVIEW]
        except (OSError, ValueError, TypeError, KeyError):
            return b""
