"""The validator for tests: its pictures are a few words of JSON, so nothing is decoded and every hash can be chosen."""

import hashlib
import json
from collections.abc import Generator, Iterable

from pixcore.model.images import Accepted, Download, Rejected, RejectReason
from pixcore.model.quality import Fingerprint

_OPENING = b'{"picture": '


def encode(
    name: str, *, width: int = 100, height: int = 100, phash: int = 0, dhash: int = 0, flat: bool = False
) -> bytes:
    """Make the bytes of a picture for ``MemoryValidator``: one line of JSON, opening with the picture's name.

    Two pictures of different names differ in their bytes and so in their sha256; how near they are is said by their
    hashes, 64 bits each.
    """
    values = {"picture": name, "width": width, "height": height, "phash": phash, "dhash": dhash, "flat": flat}
    return json.dumps(values).encode()


class MemoryValidator:
    """Judges what ``encode`` makes: anything else is ``not_an_image``, or ``damaged`` when it opens like a picture."""

    def validate(self, downloads: Iterable[Download]) -> Generator[Accepted | Rejected]:
        """Yield one verdict a download, as the port promises; pulls none ahead.

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
