"""``pixcore report`` writes a page about a dataset in the store."""

from pathlib import Path

import pytest
from command import at_home, fill, pixcore

RUN = ("run", "--source", "folder:photos", "--chunk-size", "4", "--quiet")
REPORT = ("report", "photos", "--out", "page.html")


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make a current folder with a dataset of two chunks, from six photos and a text file."""
    at_home(tmp_path, monkeypatch)
    (fill(tmp_path / "photos", 6) / "notes.jpg").write_text("no picture")
    assert pixcore(*RUN).code == 0
    return tmp_path


def test_the_page_is_written_and_summarised(home: Path) -> None:
    """Programs get a document, and people the progress on standard error."""
    ran = pixcore(*REPORT, "--json")
    page = home / "page.html"
    assert (ran.code, ran.document) == (
        0,
        {
            "version": 1,
            "dataset": "photos",
            "report": str(page),
            "images": 6,
            "shown": 6,
            "bytes": page.stat().st_size,
            "unread": {},
        },
    )
    assert "images: 6 of 6" in ran.err
    text = page.read_text()
    for part in ("not an image", "no image format recognised", "0005.jpg", "completed</span>, 20"):
        assert part in text


def test_the_same_dataset_gives_the_same_file(home: Path) -> None:
    """A later report replaces the earlier one, and differs only if the dataset does."""
    pages = []
    for _ in range(2):
        assert pixcore(*REPORT, "--quiet").code == 0
        pages.append((home / "page.html").read_bytes())
    assert pages[0] == pages[1]


def test_the_images_of_a_damaged_archive_are_missing_and_the_exit_code_says_so(home: Path) -> None:
    """Both the page and the exit code must show that it is incomplete."""
    (archive, _) = sorted((home / "pixcore-data/blobs/photos/data").glob("chunk_*.zip"))
    data = bytearray(archive.read_bytes())
    data[200] ^= 1
    archive.chmod(0o600)
    archive.write_bytes(data)
    ran = pixcore(*REPORT, "--json")
    assert (ran.code, ran.document["images"], list(ran.document["unread"])) == (3, 2, ["1"])
    assert "the archive of chunk 1 could not be read" in ran.err
    assert "is not the archive that chunk photos/1 was recorded with" in (home / "page.html").read_text()


def test_a_dataset_without_an_archive_has_a_report(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It shows why no image was collected."""
    at_home(tmp_path, monkeypatch)
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "notes.jpg").write_text("no picture")
    assert pixcore(*RUN).code == 4
    assert pixcore(*REPORT).code == 0
    text = (tmp_path / "page.html").read_text()
    assert "1 chunk has no archive" in " ".join(text.replace("<strong>", " ").split())
    assert "not an image" in text


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (("report", "photos", "--out", "photos/0000.jpg"), "is not a report of pixcore"),
        (("report", "photos", "--out", "."), "is not a report of pixcore"),
        (("report", "photos", "--out", "nowhere/page.html"), "nowhere is not a folder"),
        (("report", "dogs", "--out", "page.html"), "no dataset 'dogs'"),
        (("report", "photos"), "Missing option '--out'"),
    ],
)
def test_an_impossible_report_is_refused_and_changes_nothing(
    home: Path, words: tuple[str, ...], complaint: str
) -> None:
    """One line names the problem, with the exit code for wrong usage."""
    before = (home / "photos/0000.jpg").read_bytes()
    ran = pixcore(*words)
    assert (ran.code, ran.out) == (2, "")
    assert complaint in ran.err
    assert (home / "photos/0000.jpg").read_bytes() == before
    assert not (home / "page.html").exists()
