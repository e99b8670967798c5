"""The demo's folder: what is planted really is what it is said to be."""

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

from pixcore.errors import InvalidRequest
from pixcore.model.quality import Fingerprint, NearRule
from pixcore_runners.demo import Kind, Planted, faults, pictures, plant, planting
from pixcore_runners.demo.canvas import Canvas
from pixcore_runners.demo.scenes import SCENES

# what all of these look at takes half a minute to make: once, not in every process
pytestmark = pytest.mark.xdist_group("demo pictures")

GOOD = (Kind.PICTURE, Kind.WRONG_EXTENSION)
NEAR = (Kind.RESCALED, Kind.RECOMPRESSED, Kind.CROPPED)
SCAN = b"\xff\xda"


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> Planted:
    """One whole folder for all that only look."""
    return plant(tmp_path_factory.mktemp("planted"))


def of(planted: Planted, *kinds: Kind) -> Iterator[str]:
    """The paths of what is of these kinds."""
    return (path for path, kind in planted.files.items() if kind in kinds)


def original(planted: Planted, path: str) -> str:
    """The good picture that a duplicate is named after."""
    stem = str(PurePosixPath(path).with_suffix("")).rsplit("_", 1)[0]
    return next(good for good in of(planted, *GOOD) if PurePosixPath(good).with_suffix("") == PurePosixPath(stem))


def digests(folder: Path) -> Mapping[str, str]:
    """The sha256 of every file, by its path."""
    files = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): sha256(path.read_bytes()).hexdigest() for path in files}


def fingerprint(path: Path) -> Fingerprint:
    """What imagehash says of a file."""
    with Image.open(path) as image:
        phash, dhash = int(str(imagehash.phash(image)), 16), int(str(imagehash.dhash(image)), 16)
    return Fingerprint(phash, dhash, "imagehash", flat=False)


def test_folder_and_expectation_name_the_same_files(planted: Planted) -> None:
    """A file that nobody expects, or an expected one that is missing, would be a mismatch of the demo's own making."""
    assert digests(planted.folder).keys() == planted.files.keys()
    assert list(planted.files) == sorted(planted.files)


def test_every_keyword_gets_some_of_every_kind(planted: Planted) -> None:
    """Each keyword becomes a chunk of its own, which has to show everything."""
    for subfolder in planted.keywords.values():
        kinds = Counter(kind for path, kind in planted.files.items() if path.startswith(f"{subfolder}/"))
        assert kinds.keys() == set(Kind)
        assert sum(kinds[kind] for kind in GOOD) == 25


def test_a_seed_fixes_every_byte(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A demo whose folder changes from run to run could not be compared with the day before's."""
    monkeypatch.setattr(planting, "SCENES", {"sailing boat": SCENES["sailing boat"]})
    monkeypatch.setattr(planting, "_PICTURES", 8)
    first, again, other = (plant(tmp_path / name, seed) for name, seed in (("first", 3), ("again", 3), ("other", 4)))
    assert digests(first.folder) == digests(again.folder)
    assert first.files == again.files
    assert {path.stat().st_mtime for path in tmp_path.rglob("*.*")} == {1767225600.0}
    same = set(digests(first.folder).items()) & set(digests(other.folder).items())
    assert {path.rsplit("/")[-1] for path, _ in same} == {"empty.jpg", "not-found.jpg"}


def test_no_accepted_file_is_there_twice(planted: Planted) -> None:
    """Across keywords too: the dataset-wide memory would reject the second."""
    accepted = [sha256((planted.folder / path).read_bytes()) for path in of(planted, *GOOD, Kind.SINGLE_COLOUR)]
    assert len({digest.hexdigest() for digest in accepted}) == len(accepted)


def test_good_pictures_are_no_near_duplicates_of_each_other(planted: Planted) -> None:
    """Otherwise the validator would rightly reject what the demo calls good."""
    for subfolder in planted.keywords.values():
        paths = [path for path in of(planted, *GOOD) if path.startswith(subfolder)]
        prints = [fingerprint(planted.folder / path) for path in paths]
        assert not any(NearRule().holds(one, other) for one, other in combinations(prints, 2))


def test_a_picture_like_an_earlier_one_is_painted_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Even if a painter had only five pictures in it."""
    monkeypatch.setattr(pictures, "SIZES", ((480, 360),))

    def repetitive(canvas: Canvas, rng: np.random.Generator) -> None:
        SCENES["sailing boat"](canvas, np.random.default_rng(rng.integers(5)))

    painted = islice(pictures.distinct(repetitive, np.random.default_rng(0)), 5)
    prints = [picture.fingerprint for picture in painted]
    assert not any(NearRule().holds(one, other) for one, other in combinations(prints, 2))


def test_good_pictures_have_contrast(planted: Planted) -> None:
    """A picture that counted as flat would never be compared."""
    for path in of(planted, *GOOD):
        with Image.open(planted.folder / path) as image:
            assert ImageStat.Stat(image.convert("L")).stddev[0] > 10, path


def test_wrong_extensions_are_wrong(planted: Planted) -> None:
    """The archive must name them by what they are, so they have to differ."""
    for path in of(planted, Kind.WRONG_EXTENSION):
        with Image.open(planted.folder / path) as image:
            assert (image.format, path[-4:]) in {("PNG", ".jpg"), ("JPEG", ".png")}


def test_copies_come_after_their_original(planted: Planted) -> None:
    """The first of two twins stays, and the expectation rejects the copy."""
    for path in of(planted, Kind.COPY):
        first = original(planted, path)
        assert first < path
        assert (planted.folder / first).read_bytes() == (planted.folder / path).read_bytes()


def test_near_duplicates_are_near_and_come_after_their_original(planted: Planted) -> None:
    """Other bytes, another picture to nobody."""
    for path in of(planted, *NEAR):
        first = original(planted, path)
        assert first < path
        assert (planted.folder / first).read_bytes() != (planted.folder / path).read_bytes()
        assert NearRule().holds(fingerprint(planted.folder / first), fingerprint(planted.folder / path))


def test_truncated_pictures_open_but_do_not_load(planted: Planted) -> None:
    """The fault that a look at the header misses."""
    for path in of(planted, Kind.TRUNCATED):
        with Image.open(planted.folder / path) as image, pytest.raises(OSError, match="truncated"):
            image.load()


def test_what_is_no_image_does_not_open(planted: Planted) -> None:
    """Random bytes must not be an image by chance."""
    for path in of(planted, Kind.WEB_PAGE, Kind.EMPTY, Kind.GARBAGE):
        with pytest.raises(UnidentifiedImageError):
            Image.open(planted.folder / path)


def test_tiny_pictures_are_whole(planted: Planted) -> None:
    """Nothing but their size may be the reason."""
    for path in of(planted, Kind.TINY):
        with Image.open(planted.folder / path) as image:
            image.load()
            assert image.size == (32, 32)


def test_huge_pictures_are_small_files(planted: Planted, monkeypatch: pytest.MonkeyPatch) -> None:
    """Their header tells more pixels than a decoder may take, in a file that any download limit lets through."""
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", None)
    for path in of(planted, Kind.HUGE):
        file = planted.folder / path
        assert file.stat().st_size < 1_000_000
        with Image.open(file) as image:
            assert image.width * image.height > 200_000_000
            image.verify()  # every chunk's checksum


def test_huge_pictures_hold_their_pixels() -> None:
    """A picture cut short would be rejected for another reason by whoever looks there first."""
    with Image.open(BytesIO(faults.huge(1001))) as image:
        image.load()
        assert (image.size, image.getextrema()) == ((1001, 1001), (0, 0))


def test_scan_bombs_are_pictures_of_too_many_scans(planted: Planted) -> None:
    """Legal JPEG: only the number of passes tells it from a good picture."""
    for path in of(planted, Kind.SCAN_BOMB):
        data = (planted.folder / path).read_bytes()
        head, first, *others = data.split(SCAN)
        assert others.count(first) > 100
        rest = [scan for scan in others if scan != first]
        with Image.open(BytesIO(data)) as bomb, Image.open(BytesIO(SCAN.join([head, first, *rest]))) as plain:
            assert bomb.tobytes() == plain.tobytes()


def test_single_colours_hash_alike(planted: Planted) -> None:
    """They are what naive hashing calls duplicates."""
    for subfolder in planted.keywords.values():
        pair = [path for path in of(planted, Kind.SINGLE_COLOUR) if path.startswith(subfolder)]
        one, other = (fingerprint(planted.folder / path) for path in pair)
        assert NearRule().holds(one, other)


def test_a_folder_in_use_is_refused(tmp_path: Path) -> None:
    """Somebody's own files would be counted as findings."""
    (tmp_path / "holiday.jpg").touch()
    with pytest.raises(InvalidRequest, match="is not empty"):
        plant(tmp_path)
