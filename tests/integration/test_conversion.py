"""Exports with converted images: their rows, and images that hang or crash the process that converts them."""

import hashlib
import os
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import pytest
from command import at_home, fill, pixcore
from exports import read_back
from pictures import animation, encoded, photo
from PIL import Image

from pixcore.model.conversion import Conversion, Unconverted
from pixcore.stored.splits import Splits
from pixcore_adapters.converter.pillow import PillowConverter

WEBP = ("--size", "32", "--resize", "keep-ratio", "--encode", "webp", "--quality", "80")


@pytest.fixture
def bmp_codec(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Return a function that plants a statement which later children run when they decode a BMP."""

    def plant(statement: str) -> None:
        (tmp_path / "sitecustomize.py").write_text(
            f"from PIL.BmpImagePlugin import BmpImageFile\ndef load(self):\n    {statement}\nBmpImageFile.load = load\n"
        )
        monkeypatch.setenv("PYTHONPATH", str(tmp_path), prepend=os.pathsep)

    return plant


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make a dataset of three photos, an animation and a BMP."""
    at_home(tmp_path, monkeypatch)
    photos = fill(tmp_path / "photos", 3)
    (photos / "moving.gif").write_bytes(animation(3))
    (photos / "z.bmp").write_bytes(encoded(photo(9, 60, 90), "BMP"))
    assert pixcore("run", "cat", "--dataset", "cats", "--source", "folder:photos").code == 0
    return tmp_path


@pytest.mark.usefixtures("home")
def test_rows_describe_the_converted_images_and_name_the_originals() -> None:
    """The converted image must be found again from its original, and be in the same split."""
    split = ("--split", "a=0.5,b=0.5")
    assert pixcore("export", "cats", "--format", "imagefolder", "--out", "plain", *split).code == 0
    ran = pixcore("export", "cats", "--format", "imagefolder", "--out", "small", *split, *WEBP, "--json")
    assert ran.code == 0
    assert ran.document["converted"]["images"] == 5
    assert ran.document["converted"]["changes"] == {"first_frame": 1}
    assert "first_frame: 1" in ran.err
    plain, small = read_back(Path("plain"), "imagefolder"), read_back(Path("small"), "imagefolder")
    for name in ("a", "b"):
        for (original, before), (data, row) in zip(plain[name], small[name], strict=True):
            with Image.open(BytesIO(data)) as image:
                assert (image.format, image.size) == ("WEBP", (row["width"], row["height"]))
                assert min(image.size) == 32
            assert (row["sha256"], row["bytes"]) == (hashlib.sha256(data).hexdigest(), len(data))
            assert (row["format"], row["mode"], row["orientation"], row["frames"]) == ("WEBP", "RGB", 1, 1)
            assert row["file_name"] == f"{Path(before['file_name']).stem}.webp"
            assert row["original_sha256"] == before["sha256"] == hashlib.sha256(original).hexdigest()
            originals = [row[f"original_{column}"] for column in ("width", "height", "bytes")]
            assert originals == [before[column] for column in ("width", "height", "bytes")]
            assert row["conversion"] == ("first_frame" if row["url"] == "moving.gif" else "")
            assert row["phash"] == before["phash"]


@pytest.mark.usefixtures("home")
def test_a_hostile_image_is_left_out_and_named(bmp_codec: Callable[[str], None]) -> None:
    """The process that converts it dies; all others are exported, and the exit code says that one is missing."""
    bmp_codec("import os, signal; os.kill(os.getpid(), signal.SIGKILL)")
    ran = pixcore("export", "cats", "--format", "parquet", "--out", "out", *WEBP, "--json")
    assert ran.code == 3
    assert ran.document["splits"] == {"train": 4}
    assert ran.document["converted"]["left_out"] == {"decoder_died": 1}
    assert [image["url"] for image in ran.document["converted"]["left_out_images"]] == ["z.bmp"]
    assert "left out, because it cannot be converted: 1-000004.bmp (z.bmp): decoder_died" in ran.err
    assert {row["url"] for _, row in read_back(Path("out"), "parquet")["train"]} == {
        "0000.jpg",
        "0001.jpg",
        "0002.jpg",
        "moving.gif",
    }
    assert not list(Path("work").iterdir())


def test_an_image_that_hangs_is_too_slow(tmp_path: Path, bmp_codec: Callable[[str], None]) -> None:
    """The others are converted by another child."""
    bmp_codec("import time; time.sleep(60)")
    pairs = []
    for number, name in enumerate(("JPEG", "BMP", "PNG")):
        (tmp_path / str(number)).write_bytes(encoded(photo(number, 64, 64), name))
        pairs.append((tmp_path / str(number), tmp_path / f"{number}.converted"))
    with PillowConverter(seconds=1.0, workers=1) as converter:
        outcomes = list(converter.convert(pairs, Conversion(size=16)))
    reasons = [outcome.reason if isinstance(outcome, Unconverted) else "" for outcome in outcomes]
    assert reasons == ["", "too_slow", ""]


def test_nothing_is_exported_if_no_image_can_be_converted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bmp_codec: Callable[[str], None]
) -> None:
    """An empty export would look like a finished one."""
    at_home(tmp_path, monkeypatch)
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "z.bmp").write_bytes(encoded(photo(9, 60, 90), "BMP"))
    assert pixcore("run", "cat", "--dataset", "cats", "--source", "folder:photos").code == 0
    bmp_codec("import os; os._exit(1)")
    ran = pixcore("export", "cats", "--format", "imagefolder", "--out", "out", *WEBP)
    assert ran.code == 4
    assert "none of the images can be converted (decoder_died: 1)" in ran.err
    assert not Path("out").exists()


@pytest.mark.usefixtures("home")
@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--quality", "80"), "--quality has no effect alone; add --size or --encode"),
        (("--resize", "crop"), "resize crop needs a size"),
        (("--encode", "png", "--quality", "80"), "PNG loses nothing"),
        (("--size", "64", "--background", "reddish"), "'reddish' is not a colour"),
    ],
)
def test_options_that_do_not_fit_are_refused(options: tuple[str, ...], message: str) -> None:
    """In one line, before anything is written."""
    ran = pixcore("export", "cats", "--format", "imagefolder", "--out", "out", *options)
    assert ran.code == 2
    assert message in ran.err
    assert len(ran.err.splitlines()) == 1
    assert not Path("out").exists()


DATASET = """\
dataset = "small"
source = ["folder:photos"]
store_as = { size = 48, resize = "crop", encode = "webp", quality = 80 }

[[keyword]]
name = "cat"
"""


def archive() -> bytes:
    """Return the only archive of the dataset ``small``."""
    [path] = Path("pixcore-data/blobs/small/data").iterdir()
    return path.read_bytes()


def test_a_dataset_stores_small_images(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Verify, export and a further attempt work on it, and a second run elsewhere makes the same archive."""
    at_home(tmp_path, monkeypatch)
    photos = fill(tmp_path / "photos", 3)
    (photos / "moving.gif").write_bytes(animation(3))
    (tmp_path / "small.toml").write_text(DATASET)
    assert "images are stored as 48 pixels, crop, webp, quality 80" in pixcore("plan", "small.toml").err
    ran = pixcore("run", "small.toml", "--json")
    assert ran.code == 0
    assert ran.chunks[0]["conversion"] == {"first_frame": 1}
    assert "changed by the conversion: first_frame: 1" in ran.err
    first = archive()
    checked = pixcore("verify", "small")
    assert checked.code == 0
    assert "images whose hashes are those of the originals, which are not stored: 4" in checked.err
    for out, size, options in (("out", 48, ()), ("smaller", 24, ("--size", "24", "--encode", "webp"))):
        ran = pixcore("export", "small", "--format", "imagefolder", "--out", out, "--split", "a=0.5,b=0.5", *options)
        assert ran.code == 0
        splits = read_back(Path(out), "imagefolder")
        assert sum(map(len, splits.values())) == 4
        for split, (data, row) in ((name, image) for name, images in splits.items() for image in images):
            with Image.open(BytesIO(data)) as image:
                assert (image.format, image.size) == ("WEBP", (size, size))
            original = hashlib.sha256((photos / row["url"]).read_bytes()).hexdigest()
            assert row["original_sha256"] == original
            assert split == Splits.parse("a=0.5,b=0.5").place(original)
            assert row["conversion"] == ("first_frame" if row["url"] == "moving.gif" else "")
    again = pixcore("run", "cat", "--source", "folder:photos", "--dataset", "small")
    assert again.code == 2
    assert "stores images as 48 pixels, crop, webp, quality 80" in again.err
    fill(photos, 1, first=3)
    assert pixcore("retry", "small").code == 0
    assert archive() == first
    Path("pixcore-data").rename("first")
    (photos / "0003.jpg").unlink()
    options = ("--size", "48", "--resize", "crop", "--encode", "webp", "--quality", "80")
    assert pixcore("run", "cat", "--source", "folder:photos", "--dataset", "small", *options).code == 0
    assert archive() == first


def test_a_hostile_image_is_rejected_while_a_dataset_is_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Decoding it does no harm, converting it kills the process: it is counted, and the others are stored."""
    at_home(tmp_path, monkeypatch)
    photos = fill(tmp_path / "photos", 3)
    (photos / "0001.png").write_bytes(encoded(photo(9, 60, 90), "PNG"))
    (tmp_path / "sitecustomize.py").write_text(
        "import os, signal\nfrom PIL import Image\nsave = Image.Image.save\n"
        "def deadly(self, *words, **options):\n"
        "    if self.size == (16, 24):\n        os.kill(os.getpid(), signal.SIGKILL)\n"
        "    save(self, *words, **options)\nImage.Image.save = deadly\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path), prepend=os.pathsep)
    ran = pixcore("run", "cat", "--source", "folder:photos", "--dataset", "small", "--size", "16", "--json")
    assert ran.chunks[0]["accepted"] == 3
    assert ran.chunks[0]["rejected"] == {"decoder_died": 1}
    assert pixcore("verify", "small").code == 0


def test_options_of_a_conversion_belong_into_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two places for one choice would contradict each other."""
    at_home(tmp_path, monkeypatch)
    (tmp_path / "small.toml").write_text(DATASET)
    ran = pixcore("run", "small.toml", "--size", "64")
    assert ran.code == 2
    assert "--size cannot be used with a DATASET.toml; write it into small.toml" in ran.err
