"""The check finds every kind of damage that an archive can have, and names it."""

import hashlib
from collections.abc import Callable, Iterator

import pytest
from attrs import define

from pixcore.model.rows import COLUMNS, NUMBERS, ROW_VERSION, required
from pixcore.ports import Contents
from pixcore.stored.check import check_contents

FIRST, SECOND = "images/000000.jpg", "images/000001.jpg"


@define
class Packed:
    """The contents of an archive, which a test can damage."""

    rows: list[dict[str, object]]
    files: list[tuple[str, bytes]]

    def faults(self) -> list[str]:
        """Return the faults that the check finds."""
        return list(check_contents(Contents(tuple(self.rows), iter(self.files))))


def described(name: str, data: bytes) -> dict[str, object]:
    """Return a row that describes a file correctly."""
    row: dict[str, object] = {column: 1 if column in NUMBERS else "" for column in COLUMNS}
    row |= {"row_version": ROW_VERSION}
    return row | {"file_name": name, "bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}


@pytest.fixture
def packed() -> Packed:
    """Return a complete archive of two pictures."""
    files = [(FIRST, b"one"), (SECOND, b"two!")]
    return Packed([described(name, data) for name, data in files], files)


def test_a_whole_archive_has_no_fault(packed: Packed) -> None:
    """A false alarm would make users throw away good data."""
    assert packed.faults() == []


def change(**values: object) -> Callable[[Packed], None]:
    """Damage the first row."""
    return lambda packed: packed.rows[0].update(values)


def both(**values: object) -> Callable[[Packed], None]:
    """Change all rows."""
    return lambda packed: [row.update(values) for row in packed.rows] and None


@pytest.mark.parametrize(
    "change",
    [
        both(mood="calm", score=7),
        both(row_version=ROW_VERSION + 1, mood="calm", score=7),
        lambda packed: [row.pop(column) for row in packed.rows for column in {*COLUMNS} - {*required(1)}],
    ],
    ids=["further columns", "a later version", "the first version"],
)
def test_rows_of_another_version_have_no_fault(packed: Packed, change: Callable[[Packed], object]) -> None:
    """A fault would make `verify --repair` collect sound images again."""
    change(packed)
    assert packed.faults() == []


@pytest.mark.parametrize(
    ("damage", "faults"),
    [
        (lambda s: s.rows.pop(), [f"{SECOND}: has no row"]),
        (lambda s: s.files.pop(), [f"{SECOND}: has a row but no file"]),
        (lambda s: s.files.append(("images/x.jpg", b"")), ["images/x.jpg: has no row"]),
        (lambda s: s.files.append((FIRST, b"one")), [f"{FIRST}: occurs more than once"]),
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
        (
            both(image="x", mask_file_name="y"),
            [f"row {n}: has columns that loaders take for files: image, mask_file_name" for n in (0, 1)],
        ),
        (change(mood="calm"), ["row 1: differs from row 0 in the columns mood"]),
        (lambda s: (both(mood="calm")(s), change(mood=1)(s)), ["row 1: differs from row 0 in the columns mood"]),
        (both(mood=None), [f"row {n}: mood is None, neither text nor a whole number" for n in (0, 1)]),
        (both(mood=0.5), [f"row {n}: mood is 0.5, neither text nor a whole number" for n in (0, 1)]),
        (both(mood=True), [f"row {n}: mood is True, neither text nor a whole number" for n in (0, 1)]),
        (both(row_version="2"), [f"row {n}: row_version is '2', not a whole number" for n in (0, 1)]),
        (change(row_version=ROW_VERSION + 1), ["row 1: differs from row 0 in the columns row_version"]),
        (
            lambda s: [row.pop(column) for row in s.rows for column in ("row_version", "title")],
            ["row 0: lacks title", "row 1: lacks title"],
        ),
        (lambda s: [s.rows[0].pop(c) for c in ("url", "label")], ["row 0: lacks label, url"]),
        (
            lambda s: s.rows[0].pop("file_name"),
            ["row 0: lacks file_name", f"{FIRST}: has no row", ": has a row but no file"],
        ),
        (lambda s: (s.rows.clear(), s.files.clear()), ["the archive holds no image"]),
        (lambda s: s.rows.clear(), ["the archive holds no image", f"{FIRST}: has no row", f"{SECOND}: has no row"]),
    ],
)
def test_damage_is_found_and_named(packed: Packed, damage: Callable[[Packed], object], faults: list[str]) -> None:
    """Some loader reads each of these wrongly, or not at all."""
    damage(packed)
    assert packed.faults() == faults


def test_files_are_read_one_by_one(packed: Packed) -> None:
    """An archive may be larger than memory: each file must be released before the next one is read."""
    held: list[str] = []

    def files() -> Iterator[tuple[str, bytes]]:
        for name, data in packed.files:
            held.append(name)
            yield name, data + b"damaged"

    faults = check_contents(Contents(tuple(packed.rows), files()))
    assert next(faults).startswith(FIRST)
    assert held == [FIRST]
