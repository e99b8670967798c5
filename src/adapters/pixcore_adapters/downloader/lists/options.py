"""The options by which a user says how to read a list or a folder."""

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
    """The options of a list. The list itself gives the value of an empty option.

    Attributes:
        format: One of ``FORMATS``.
        encoding: Python's name of a text encoding.
        url, caption, label, license: The names of the columns that hold these.
        columns: The columns of a file without a header, in order.
        keep: The only other columns to keep; empty for all of them.
        drop: Columns not to keep.
        accept_junk: Whether to accept a list of which more than 1 % of the rows are faulty.
        verify_hash: ``sha256:COLUMN`` or ``md5:COLUMN``: the column of the checksums of the images' bytes.
        licenses: Slugs; rows under other licences are left out.
        label_from: ``folder`` if the name of an image's folder is its label, or ``none``.

    Raises:
        InvalidRequest: The format or encoding is unknown, or ``verify_hash`` or ``label_from`` has another form.
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
