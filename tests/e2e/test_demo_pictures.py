"""The demo's folder: each planted file really has the properties of its kind."""

import fcntl
import pickle
from collections import Counter
from collections.abc import Iterator, Mapping
from hashlib import sha256
from io import BytesIO
from itertools import combinations, islice
from pathlib import Path, PurePosixPath

import imagehash
import numpy as np
import pytest
from PIL import Image, ImageStat, UnidentifiedImageError
from servers import run

from pixcore.errors import InvalidRequest
from pixcore.model.quality import Fingerprint, NearRule
from pixcore_runners.demo import Kind, Planted, faults, pictures, plant, planting
from pixcore_runners.demo.canvas import Canvas
from pixcore_runners.demo.scenes import SCENES

GOOD = (Kind.PICTURE, Kind.WRONG_EXTENSION)
NEAR = (Kind.RESCALED, Kind.RECOMPRESSED, Kind.CROPPED)
SCAN = b"\xff\xda"


@pytest.fixture(scope="module")
def planted() -> Planted:
    """Plant one whole folder, for the tests of all processes that only read it."""
    folder = run.folder() / "planted"
    known = folder.with_suffix(".pickle")
    with folder.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not known.exists():
            known.write_bytes(pickle.dumps(plant(folder)))
    planted: Planted = pickle.loads(known.read_bytes())  # noqa: S301 - written above, in a folder of our own
    return planted


def of(planted: Planted, *kinds: Kind) -> Iterator[str]:
    """Return the paths of the files of these kinds."""
    return (path for path, kind in planted.files.items() if kind in kinds)


def original(planted: Planted, path: str) -> str:
    """Return the good picture whose name a duplicate's name begins with."""
    stem = str(PurePosixPath(path).with_suffix("")).rsplit("_", 1)[0]
    return next(good for good in of(planted, *GOOD) if PurePosixPath(good).with_suffix("") == PurePosixPath(stem))


def digests(folder: Path) -> Mapping[str, str]:
    """Return the sha256 of every file, by its path."""
    files = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): sha256(path.read_bytes()).hexdigest() for path in files}


def fingerprint(path: Path) -> Fingerprint:
    """Hash a file with imagehash."""
    with Image.open(path) as image:
        phash, dhash = int(str(imagehash.phash(image)), 16), int(str(imagehash.dhash(image)), 16)
    return Fingerprint(phash, dhash, "imagehash", flat=False)


def test_folder_and_expectation_name_the_same_files(planted: Planted) -> None:
    """An unexpected or a missing file would be a mismatch that the demo itself causes."""
    assert digests(planted.folder).keys() == planted.files.keys()
    assert list(planted.files) == sorted(planted.files)


def test_every_keyword_has_files_of_every_kind(planted: Planted) -> None:
    """Each keyword becomes one chunk, which has to show every kind."""
    for subfolder in planted.keywords.values():
        kinds = Counter(kind for path, kind in planted.files.items() if path.startswith(f"{subfolder}/"))
        assert kinds.keys() == set(Kind)
        assert sum(kinds[kind] for kind in GOOD) == 25


def test_a_seed_fixes_every_byte(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Otherwise runs on different days could not be compared."""
    monkeypatch.setattr(planting, "SCENES", {"sailing boat": SCENES["sailing boat"]})
    monkeypatch.setattr(planting, "_PICTURES", 8)
    first, again, other = (plant(tmp_path / name, seed) for name, seed in (("first", 3), ("again", 3), ("other", 4)))
    assert digests(first.folder) == digests(again.folder)
    assert first.files == again.files
    assert {path.stat().st_mtime for path in tmp_path.rglob("*.*")} == {1767225600.0}
    same = set(digests(first.folder).items()) & set(digests(other.folder).items())
    assert {path.rsplit("/")[-1] for path, _ in same} == {"empty.jpg", "not-found.jpg"}


def test_no_accepted_file_is_a_copy_of_another(planted: Planted) -> None:
    """This must hold across keywords, because the search over the dataset would reject the second."""
    accepted = [sha256((planted.folder / path).read_bytes()) for path in of(planted, *GOOD, Kind.SINGLE_COLOUR)]
    assert len({digest.hexdigest() for digest in accepted}) == len(accepted)


def test_good_pictures_are_no_near_duplicates_of_each_other(planted: Planted) -> None:
    """Otherwise the validator would correctly reject pictures that the demo calls good."""
    for subfolder in planted.keywords.values():
        paths = [path for path in of(planted, *GOOD) if path.startswith(subfolder)]
        prints = [fingerprint(planted.folder / path) for path in paths]
        assert not any(NearRule().holds(one, other) for one, other in combinations(prints, 2))


def test_a_picture_like_an_earlier_one_is_painted_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """The pictures must differ even if a painter can paint only five."""
    monkeypatch.setattr(pictures, "SIZES", ((480, 360),))

    def repetitive(canvas: Canvas, rng: np.random.Generator) -> None:
        SCENES["sailing boat"](canvas, np.random.default_rng(rng.integers(5)))

    painted = islice(pictures.distinct(repetitive, np.random.default_rng(0)), 5)
    prints = [picture.fingerprint for picture in painted]
    assert not any(NearRule().holds(one, other) for one, other in combinations(prints, 2))


def test_good_pictures_have_contrast(planted: Planted) -> None:
    """A flat picture would never be compared."""
    for path in of(planted, *GOOD):
        with Image.open(planted.folder / path) as image:
            assert ImageStat.Stat(image.convert("L")).stddev[0] > 10, path


def test_wrong_extensions_are_wrong(planted: Planted) -> None:
    """The archive must name them by their format, so the extensions have to differ."""
    for path in of(planted, Kind.WRONG_EXTENSION):
        with Image.open(planted.folder / path) as image:
            assert (image.format, path[-4:]) in {("PNG", ".jpg"), ("JPEG", ".png")}


def test_copies_come_after_their_original(planted: Planted) -> None:
    """The first of two equal files is kept, and the copy is expected to be rejected."""
    for path in of(planted, Kind.COPY):
        first = original(planted, path)
        assert first < path
        assert (planted.folder / first).read_bytes() == (planted.folder / path).read_bytes()


def test_near_duplicates_are_near_and_come_after_their_original(planted: Planted) -> None:
    """Their bytes differ, but they show the same picture."""
    for path in of(planted, *NEAR):
        first = original(planted, path)
        assert first < path
        assert (planted.folder / first).read_bytes() != (planted.folder / path).read_bytes()
        assert NearRule().holds(fingerprint(planted.folder / first), fingerprint(planted.folder / path))


def test_truncated_pictures_open_but_do_not_load(planted: Planted) -> None:
    """A check of the header does not find this fault."""
    for path in of(planted, Kind.TRUNCATED):
        with Image.open(planted.folder / path) as image, pytest.raises(OSError, match="truncated"):
            image.load()


def test_files_that_are_no_images_do_not_open(planted: Planted) -> None:
    """Random bytes must not be an image by chance."""
    for path in of(planted, Kind.WEB_PAGE, Kind.EMPTY, Kind.GARBAGE):
        with pytest.raises(UnidentifiedImageError):
            Image.open(planted.folder / path)


def test_tiny_pictures_are_not_damaged(planted: Planted) -> None:
    """Only their size may be the reason for a rejection."""
    for path in of(planted, Kind.TINY):
        with Image.open(planted.folder / path) as image:
            image.load()
            assert image.size == (32, 32)


def test_huge_pictures_are_small_files(planted: Planted, monkeypatch: pytest.MonkeyPatch) -> None:
    """The header has more pixels than a decoder may accept, in a file within any download limit."""
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", None)
    for path in of(planted, Kind.HUGE):
        file = planted.folder / path
        assert file.stat().st_size < 1_000_000
        with Image.open(file) as image:
            assert image.width * image.height > 200_000_000
            image.verify()  # checks the checksum of every PNG chunk


def test_huge_pictures_have_all_their_pixels() -> None:
    """A validator that checks for truncation first would give another reason for a truncated picture."""
    with Image.open(BytesIO(faults.huge(1001))) as image:
        image.load()
        assert (image.size, image.getextrema()) == ((1001, 1001), (0, 0))


def test_scan_bombs_are_valid_pictures_with_too_many_scans(planted: Planted) -> None:
    """They are valid JPEGs; only the number of scans differs from a good picture."""
    for path in of(planted, Kind.SCAN_BOMB):
        data = (planted.folder / path).read_bytes()
        head, first, *others = data.split(SCAN)
        assert others.count(first) > 100
        rest = [scan for scan in others if scan != first]
        with Image.open(BytesIO(data)) as bomb, Image.open(BytesIO(SCAN.join([head, first, *rest]))) as plain:
            assert bomb.tobytes() == plain.tobytes()


def test_single_colours_have_near_hashes(planted: Planted) -> None:
    """Simple hashing calls them duplicates."""
    for subfolder in planted.keywords.values():
        pair = [path for path in of(planted, Kind.SINGLE_COLOUR) if path.startswith(subfolder)]
        one, other = (fingerprint(planted.folder / path) for path in pair)
        assert NearRule().holds(one, other)


def test_a_folder_in_use_is_refused(tmp_path: Path) -> None:
    """A user's own files would be counted as findings."""
    (tmp_path / "holiday.jpg").touch()
    with pytest.raises(InvalidRequest, match="is not empty"):
        plant(tmp_path)
