"""``pixcore outcomes`` lists the fate of every candidate, and ``pixcore why`` explains one."""

import csv
import hashlib
import json
import zipfile
from collections import Counter
from pathlib import Path

import pytest
from command import at_home, fill, jpeg, pixcore
from pictures import encoded, photo

BLOBS = Path("pixcore-data/blobs/cats")


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a folder with a dataset of good pictures, faulty ones and one too many."""
    home = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patched:
        at_home(home, patched)
        photos = fill(home / "photos", 3)
        (photos / "0000-copy.jpg").write_bytes((photos / "0000.jpg").read_bytes())
        (photos / "0-page.jpg").write_text("<html>not found</html>")
        (photos / "0-tiny.jpg").write_bytes(encoded(photo(9, 32, 32)))
        ran = pixcore(
            "run", "--dataset", "cats", "--source", "folder:photos", "--count", 3, "--chunk-size", 3, "--quiet"
        )
        assert (ran.code, ran.err) == (0, "")
    return home


@pytest.fixture(autouse=True)
def _in(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    at_home(home, monkeypatch)


def test_each_format_lists_every_candidate() -> None:
    """The three formats and the JSON document agree with the counts of the status."""
    lines = [json.loads(line) for line in pixcore("outcomes", "cats", "--format", "jsonl").out.splitlines()]
    assert [line["url"] for line in lines][:3] == ["0-page.jpg", "0-tiny.jpg", "0000-copy.jpg"]
    (chunk,) = pixcore("status", "cats", "--json").chunks
    counts = Counter(line["outcome"] for line in lines)
    assert counts == {"accepted": chunk["accepted"], **chunk["rejected"], **chunk["missed"]}
    assert counts["too_small"] == counts["not_an_image"] == counts["duplicate"] == 1
    document = pixcore("outcomes", "cats", "--json").document
    assert (document["outcomes"], document["counts"]) == (lines, counts)
    table = list(csv.DictReader(pixcore("outcomes", "cats", "--format", "csv").out.splitlines()))
    assert [row["outcome"] for row in table] == [line["outcome"] for line in lines]
    assert table[0]["width"] == ""
    ran = pixcore("outcomes", "cats", "--reason", "too_small")
    assert ran.out.splitlines()[1].split() == [
        *("1", "too_small", "0-tiny.jpg", "32", "x", "32", str(lines[1]["bytes"])),
        *["32", "x", "32", "of", "at", "least", "50", "x", "50", "pixels"],
    ]
    assert "1 too_small" in ran.err
    assert "found: 3 accepted" in pixcore("outcomes", "cats", "--reason", "blurry").err


def test_why_explains_a_candidate_by_url_path_or_checksum(home: Path) -> None:
    """A person may have the address, the file or its checksum; a copy of the file under another name will do."""
    size = (home / "photos/0-tiny.jpg").stat().st_size
    sentence = (
        f"0-tiny.jpg (32 x 32 pixels, {size} bytes) is left out, because the image is too small: 32 x 32 of at least"
        " 50 x 50 pixels (too_small).\n"
    )
    (home / "renamed").write_bytes((home / "photos/0-tiny.jpg").read_bytes())
    sha256 = pixcore("why", "cats", "0-tiny.jpg", "--json").document["found"][0]["sha256"]
    for candidate in ("0-tiny.jpg", "photos/0-tiny.jpg", home / "photos/0-tiny.jpg", "renamed", sha256):
        assert pixcore("why", "cats", candidate).out == sentence
    (home / "photos/unclaimed.jpg").write_bytes(jpeg(50))
    assert pixcore("run", "--dataset", "one", "--source", "folder:photos", "--count", 1, "--quiet").code == 0
    unclaimed = pixcore("why", "one", "photos/unclaimed.jpg")
    place = f"it is candidate 7 of {home / 'photos'}"
    assert unclaimed.out == f"unclaimed.jpg was not tried, because no chunk needs it; {place}.\n"
    assert "chunk" not in pixcore("why", "one", "unclaimed.jpg", "--json").document["found"][0]
    (home / "photos/unclaimed.jpg").unlink()
    ran = pixcore("why", "cats", "nonsuch.jpg")
    assert (ran.code, ran.out) == (2, "")
    assert "no chunk of dataset 'cats' tried 'nonsuch.jpg'" in ran.err


def test_rejected_images_are_kept_if_the_dataset_asks_for_it(home: Path) -> None:
    """Their bytes and rows are stored beside the outcomes, as an archive that loaders read."""
    words = ("--dataset", "kept", "--source", "folder:photos", "--keep-rejected", "--quiet")
    assert pixcore("run", *words).code == 0
    (archive,) = BLOBS.with_name("kept").glob("outcomes/*.rejected.zip")
    with zipfile.ZipFile(archive) as packed:
        (image,) = (name for name in packed.namelist() if name.startswith("images/"))
        assert packed.read(image) == (home / "photos/0-tiny.jpg").read_bytes()
    (previews,) = BLOBS.with_name("kept").glob("outcomes/*.previews.zip")
    with zipfile.ZipFile(previews) as packed:
        assert packed.namelist() == [f"{hashlib.sha256((home / 'photos/0-tiny.jpg').read_bytes()).hexdigest()}.webp"]
    assert pixcore("verify", "kept", "--quiet").code == 0


def test_verify_checks_the_outcomes_and_takes_them_for_no_archive() -> None:
    """A damaged list is made again with its chunk; a folder's archives are found without the files beside them."""
    path = BLOBS / "outcomes/chunk_1.jsonl.gz"
    whole = path.read_bytes()
    path.write_bytes(b"damaged")
    ran = pixcore("outcomes", "cats", "--json")
    assert (ran.code, ran.document["outcomes"]) == (3, [])
    assert "outcomes/chunk_1.jsonl.gz is not the blob that was recorded" in ran.document["unread"]["1"]
    ran = pixcore("verify", "cats", "--repair", "--json")
    fault = {"chunk": 1, "blob": "cats/outcomes/chunk_1.jsonl.gz", "fault": "differs from what was recorded"}
    assert (ran.document["faults"], ran.document["reopened"]) == ([fault], [1])
    assert pixcore("run", "--dataset", "cats", "--source", "folder:photos", "--count", 3, "--quiet").code == 0
    assert path.read_bytes() == whole
    assert pixcore("verify", "cats", "--quiet").code == 0
    (BLOBS / "outcomes/chunk_1.previews.zip").write_bytes(b"")
    assert pixcore("verify", f"./{BLOBS}", "--quiet").out.startswith("archives: 1,")
    (BLOBS / "outcomes/chunk_1.previews.zip").unlink()
