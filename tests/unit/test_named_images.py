"""A person names images of a dataset in many ways; a decision must concern these images and no other."""

import os
from pathlib import Path

import older
import pytest
from shelf import Shelf

from pixcore import InvalidRequest
from pixcore.stored.named_images import NamedImage, named_images
from pixcore.stored.naming import recognise
from pixcore_runners.cli.deciding import _require_all

SUM = "6f2a91c0" + "0" * 56


@pytest.mark.parametrize(
    ("name", "line"),
    [
        (SUM, {"sha256": SUM}),
        (SUM[:8], {"sha256": SUM}),
        (SUM, {"sha256": "0" * 64, "stored_sha256": SUM}),
        ("https://a/b.jpg", {"url": "https://a/b.jpg"}),
        ("https://a/b.jpg", {"url": "https://short/1", "final_url": "https://a/b.jpg"}),
        ("https://me:secret@a/b.jpg?token=abc", {"url": "https://***@a/b.jpg?token=***"}),
        ("sub/b.jpg", {"source": "folder", "query": "/gone", "url": "sub/b.jpg"}),
        ("/gone/sub/../sub/b.jpg", {"source": "folder", "query": "/gone", "url": "sub/b.jpg"}),
        (os.path.relpath("/gone/b.jpg"), {"source": "folder", "query": "/gone", "url": "b.jpg"}),
    ],
)
def test_a_name_means_its_candidate_and_no_other(name: str, line: dict[str, object]) -> None:
    """Files may be gone, addresses hold credentials, and converted copies have a sha256 of their own."""
    other = {"source": "folder", "query": "/gone", "url": "other.jpg", "sha256": SUM[::-1], "final_url": "https://a/c"}
    recognised = recognise([name, "f" * 8, "nonsuch"])
    assert recognised({"source": "urls", **line}) == {name}
    assert recognised(other) == set()


def test_images_of_an_earlier_version_are_found_in_the_archives(tmp_path: Path) -> None:
    """Their chunks stored no outcomes; people curate old datasets, too."""
    shelf = Shelf(tmp_path)
    older.store(shelf)
    records = shelf.records()
    row = shelf.archives.rows(records[0])[0]
    names = [str(row["sha256"])[:9], str(row["url"]), "nonsuch"]
    found = named_images(names, records, shelf.archives)
    image = NamedImage(
        records[0].chunk.id, "accepted", *(str(row[key]) for key in ("sha256", "phash", "dhash", "url")), True
    )
    assert found == {names[0]: [image], names[1]: [image], "nonsuch": []}


def test_the_beginning_of_several_checksums_names_none() -> None:
    """Eight digits are seldom those of two images, but a decision about the wrong one would stay."""
    one, other = (NamedImage(1, "accepted", f"6f2a91c0{end:056}", "", "", "", is_stored=True) for end in (1, 2))
    _require_all({"6f2a91c0": [one, one], "https://a/moved": [one, other]}, "d")
    with pytest.raises(InvalidRequest, match="2 images have a sha256 that begins with 6f2a91c0; write more digits"):
        _require_all({"6f2a91c0": [one, other]}, "d")
