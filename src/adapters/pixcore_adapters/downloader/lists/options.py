"""How a user wants a list or a folder to be read."""

import re
from collections.abc import Sequence

from attrs import field, frozen

from pixcore.errors import InvalidRequest

FORMATS = ("txt", "csv", "tsv", "jsonl", "json", "parquet")

_VERIFY = re.compile(r"(?P<kind>sha256|md5):(?P<column>.+)", re.DOTALL)


def _texts(texts: Sequence[str]) -> tuple[str, ...]:
    return tuple(texts)


@frozen
class ListOptions:
    """The options of a list. An empty one is found out from the list itself.

    Attributes:
        format: One of ``FORMATS``.
        encoding: The name of a text encoding that Python knows.
        url, caption, label, license: The columns that hold these.
        columns: The columns of a file without a header, in order.
        keep: The only other columns to keep; empty for all of them.
        drop: Columns not to keep.
        accept_junk: Whether to go on although more than 1 % of the rows are faulty.
        verify_hash: ``sha256:COLUMN`` or ``md5:COLUMN``: the column of the checksums of the images' bytes.
        licenses: Slugs; rows under other licences are left out.
        label_from: ``folder`` if the name of an image's folder is its label, or ``none``.

    Raises:
        InvalidRequest: An unknown format or encoding, or another form of ``verify_hash``.
    """

    format: str = ""
    encoding: str = ""
    url: str = ""
    caption: str = ""
    label: str = ""
    license: str = ""
    columns: tuple[str, ...] = field(default=(), converter=_texts)
    keep: tuple[str, ...] = field(default=(), converter=_texts)
    drop: tuple[str, ...] = field(default=(), converter=_texts)
    accept_junk: bool = False
    verify_hash: str = ""
    licenses: tuple[str, ...] = field(default=(), converter=_texts)
    label_from: str = "folder"

    def __attrs_post_init__(self) -> None:
        if self.format and self.format not in FORMATS:
            raise InvalidRequest(f"--list-format cannot be {self.format!r}; use one of: {', '.join(FORMATS)}")
        if self.verify_hash and not _VERIFY.fullmatch(self.verify_hash):
            raise InvalidRequest(f"--verify-hash cannot be {self.verify_hash!r}; write sha256:COLUMN or md5:COLUMN")
        if self.label_from not in ("folder", "none"):
            raise InvalidRequest(f"--label-from cannot be {self.label_from!r}; use folder or none")
        try:
            "".encode(self.encoding or "utf-8")
        except (LookupError, ValueError) as exc:
            raise InvalidRequest(
                f"--list-encoding: Python knows no text encoding {self.encoding!r}; use one such as latin-1 or cp1252"
            ) from exc

    @property
    def hash_kind(self) -> str:
        """``"sha256"``, ``"md5"`` or ``""``."""
        return self.verify_hash.partition(":")[0]

    @property
    def hash_column(self) -> str:
        """The column of the checksums, or ``""``."""
        return self.verify_hash.partition(":")[2]
