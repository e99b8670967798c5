"""``pixcore status DATASET --duplicates`` lists near-duplicates of a dataset as a table or as JSON."""

import json
from itertools import combinations
from pathlib import Path

import pytest
from command import at_home, fill, pixcore
from near_pairs import grouped
from pictures import encoded, photo

from pixcore.model.chunks import ChunkKey
from pixcore.model.quality import Fingerprint
from pixcore.ports.seen_images import NearPair, SeenImage
from pixcore_runners.cli.document import near_document
from pixcore_runners.cli.tables import near_tables

RUN = ("run", "--source", "folder:photos", "--chunk-size", "4", "--quiet")


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Change to a folder with ten photos for three chunks; later ones repeat the first two, recompressed."""
    at_home(tmp_path, monkeypatch)
    photos = fill(tmp_path / "photos", 7)
    for number, seed, quality in ((7, 1, 40), (8, 0, 60), (9, 1, 60)):
        (photos / f"{number:04}.jpg").write_bytes(encoded(photo(seed, 64, 64), quality=quality))
    return tmp_path


@pytest.mark.usefixtures("home")
def test_every_near_pair_is_listed_with_its_distances() -> None:
    """The table and the document must have the same pairs, also across chunks."""
    assert pixcore(*RUN).code == 0
    ran = pixcore("status", "photos", "--duplicates", "--json")
    assert (ran.code, list(ran.document), ran.document["version"], ran.document["dataset"]) == (
        0,
        ["version", "dataset", "twins", "groups"],
        1,
        "photos",
    )
    assert [[image["url"] for image in group["images"]] for group in ran.document["groups"]] == [
        ["0000.jpg", "0008.jpg"],
        ["0001.jpg", "0007.jpg", "0009.jpg"],
    ]
    expected = []
    for number, group in enumerate(ran.document["groups"], 1):
        images = group["images"]
        assert [pair["images"] for pair in group["pairs"]] == [list(two) for two in combinations(range(len(images)), 2)]
        for pair in group["pairs"]:
            one, other = (images[place] for place in pair["images"])
            bits = [(int(one[name], 16) ^ int(other[name], 16)).bit_count() for name in ("phash", "dhash")]
            assert [pair["phash_bits"], pair["dhash_bits"]] == bits
            expected.append([number, *bits, one["chunk"], one["url"], other["chunk"], other["url"]])
    *table, last = pixcore("status", "photos", "--duplicates").out.splitlines()
    assert [line.split() for line in table[1:]] == [list(map(str, row)) for row in expected]
    assert last == "groups: 2, images: 5, pairs: 4, at most 10 of 64 phash bits and 10 of 64 dhash bits apart"


@pytest.mark.usefixtures("home")
def test_the_settings_decide_what_is_near(monkeypatch: pytest.MonkeyPatch) -> None:
    """A user must be able to try narrower limits without collecting the dataset again."""
    pixcore(*RUN)
    monkeypatch.setenv("PIXCORE_NEAR_PHASH", "0")
    monkeypatch.setenv("PIXCORE_NEAR_DHASH", "0")
    found = pixcore("status", "photos", "--duplicates", "--json").document["groups"]
    assert all(pair["phash_bits"] == pair["dhash_bits"] == 0 for group in found for pair in group["pairs"])
    assert len(found) < 2


def test_no_near_duplicates_are_reported_in_one_line(home: Path) -> None:
    """The document must then have an empty list."""
    fill(home / "distinct", 3)
    pixcore("run", "--source", "folder:distinct", "--quiet")
    ran = pixcore("status", "distinct", "--duplicates")
    assert (ran.code, ran.err) == (0, "")
    assert ran.out == (
        "no near-duplicates in dataset distinct: no two images are at most 10 of 64 phash bits and 10 of 64 dhash bits"
        " apart\n"
    )
    assert pixcore("status", "distinct", "--duplicates", "--json").document == {
        "version": 1,
        "dataset": "distinct",
        "twins": [],
        "groups": [],
    }


@pytest.mark.usefixtures("home")
def test_the_option_for_duplicates_needs_a_known_dataset() -> None:
    """A missing or unknown dataset must be a usage error with its remedy."""
    ran = pixcore("status", "--duplicates")
    assert (ran.code, ran.out) == (2, "")
    assert ran.err == (
        "pixcore: --duplicates needs a dataset; write `pixcore status DATASET --duplicates`."
        " (see `pixcore status --help`)\n"
    )
    ran = pixcore("status", "fotos", "--duplicates")
    assert (ran.code, ran.err.count("\n")) == (2, 1)
    assert "no dataset 'fotos'" in ran.err


def _image(number: int, url: str) -> SeenImage:
    return SeenImage(ChunkKey("d", number % 7), f"{number:064}", url, Fingerprint(number, number, "m", flat=False))


def test_many_pairs_are_printed_in_parts() -> None:
    """The first of a million pairs must be printed before the last is formatted, and none lost between two parts."""
    pairs = [NearPair(_image(2 * n, f"{n}.jpg"), _image(2 * n + 1, f"{n}'.jpg")) for n in range(1250)]
    groups = grouped(pairs)
    assert [table.row_count for table in near_tables(groups)] == [1000, 250]
    parts = list(near_document("d", groups))
    assert max(map(len, parts)) < 1000
    assert [[image["url"] for image in group["images"]] for group in json.loads("".join(parts))["groups"]] == [
        [image.url for image in group.images] for group in groups
    ]


def test_control_characters_in_urls_are_escaped(capsys: pytest.CaptureFixture[str]) -> None:
    """A URL of a stranger must not control the terminal in either form."""
    from rich.console import Console  # noqa: PLC0415

    groups = grouped([NearPair(_image(1, "\x1b[2J[red].jpg"), _image(2, "\u202egpj.exe"))])
    Console(width=200).print(*near_tables(groups))
    shown = capsys.readouterr().out
    assert "\\x1b[2J[red].jpg" in shown
    assert "\\u202egpj.exe" in shown
    assert "".join(near_document("d", groups)).replace("\n", "").isprintable()
    assert "".join(near_document("d", groups)).isascii()
