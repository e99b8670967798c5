"""The library: `import pixcore as px`, collect, open and read a dataset."""

from pathlib import Path

import pytest
from command import at_home, fill

from pixcore import InvalidRequest
from pixcore_runners import library as px


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Change to an empty folder, without a terminal."""
    at_home(tmp_path, monkeypatch)
    return tmp_path


def test_a_dataset_is_a_sequence_of_its_pictures(home: Path) -> None:
    """Every access must give the picture and the row of the same image, across chunks and from behind."""
    fill(home / "photos", 12)
    ds = px.collect(source="folder:./photos", dataset="mine", chunk_size=5, progress=False)
    assert (len(ds), ds.shortfall, ds.name) == (12, 0, "mine")
    assert [picture.url for picture in ds] == [row["url"] for row in ds.rows()]
    assert ds[-1].data == (home / "photos" / ds[11].url).read_bytes()
    assert [picture.url for picture in ds[4:6]] == [ds[4].url, ds[5].url]
    assert ds[7].image.size == (ds[7].row["width"], ds[7].row["height"])
    with pytest.raises(IndexError):
        ds[12]
    with pytest.raises(InvalidRequest, match="no dataset 'other' in the status database; it holds: mine"):
        px.open("other")
