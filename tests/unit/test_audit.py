"""The audit finds every kind of damage that an archive can have, and names it."""

import hashlib
from collections.abc import Callable, Iterator

import pytest
from attrs import define

from pixcore.model.rows import COLUMNS, NUMBERS
from pixcore.ports import Contents
from pixcore.stored.audit import audit

FIRST, SECOND = "images/000000.jpg", "images/000001.jpg"


@define
class Shard:
    """An archive's contents, open to damage."""

    rows: list[dict[str, object]]
    files: list[tuple[str, bytes]]

    def faults(self) -> list[str]:
        """What the audit says of it."""
        return list(audit(Contents(tuple(self.rows), iter(self.files))))


def described(name: str, data: bytes) -> dict[str, object]:
    """A row that is true of a file."""
    row: dict[str, object] = {column: 1 if column in NUMBERS else "" for column in COLUMNS}
    return row | {"file_name": name, "bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}


@pytest.fixture
def shard() -> Shard:
    """Give a whole archive of two pictures."""
    files = [(FIRST, b"one"), (SECOND, b"two!")]
    return Shard([described(name, data) for name, data in files], files)


def test_a_whole_archive_has_no_fault(shard: Shard) -> None:
    """A false alarm would have people throw away good data."""
    assert shard.faults() == []


def change(**values: object) -> Callable[[Shard], None]:
    """Damage the first row."""
    return lambda shard: shard.rows[0].update(values)


@pytest.mark.parametrize(
    ("damage", "faults"),
    [
        (lambda s: s.rows.pop(), [f"{SECOND}: has no row"]),
        (lambda s: s.files.pop(), [f"{SECOND}: has a row but no file"]),
        (lambda s: s.files.append(("images/x.jpg", b"")), ["images/x.jpg: has no row"]),
        (lambda s: s.files.append((FIRST, b"one")), [f"{FIRST}: is there more than once"]),
        (lambda s: s.rows.append(dict(s.rows[0])), [f"{FIRST}: has more than one row"]),
        (
            lambda s: s.files.__setitem__(0, (FIRST, b"onf")),
            [f"{FIRST}: its sha256 is not the one in its row"],
        ),
        (
            lambda s: s.files.__setitem__(0, (FIRST, b"on")),
            [f"{FIRST}: holds 2 bytes, its row says 3", f"{FIRST}: its sha256 is not the one in its row"],
        ),
        (change(width="1"), ["row 0: width is '1', not a whole number"]),
        (change(width=1.0), ["row 0: width is 1.0, not a whole number"]),
        (change(height=True), ["row 0: height is True, not a whole number"]),
        (change(title=7), ["row 0: title is 7, not text"]),
        (change(title=None), ["row 0: title is None, not text"]),
        (change(width=None), ["row 0: width is None, not a whole number"]),
        (change(image="x", mood="y"), ["row 0: has unknown columns image, mood"]),
        (lambda s: [s.rows[0].pop(c) for c in ("url", "label")], ["row 0: lacks label, url"]),
        (
            lambda s: s.rows[0].pop("file_name"),
            ["row 0: lacks file_name", f"{FIRST}: has no row", ": has a row but no file"],
        ),
        (lambda s: (s.rows.clear(), s.files.clear()), ["the archive holds no image"]),
        (lambda s: s.rows.clear(), ["the archive holds no image", f"{FIRST}: has no row", f"{SECOND}: has no row"]),
    ],
)
def test_damage_is_found_and_named(shard: Shard, damage: Callable[[Shard], object], faults: list[str]) -> None:
    """Each of these loads wrongly, or not at all, somewhere."""
    damage(shard)
    assert shard.faults() == faults


def test_files_are_read_one_by_one(shard: Shard) -> None:
    """An archive may be larger than memory: each file must be let go before the next is read."""
    held: list[str] = []

    def files() -> Iterator[tuple[str, bytes]]:
        for name, data in shard.files:
            held.append(name)
            yield name, data + b"damaged"

    faults = audit(Contents(tuple(shard.rows), files()))
    assert next(faults).startswith(FIRST)
    assert held == [FIRST]
