"""The twin finder proposes and confirms copies of a picture, and no other pictures."""

from pathlib import Path

import numpy as np
import pytest
from copies import COPIES, page, scene
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from pictures import encoded, photo
from PIL import Image, ImageOps

from pixcore.model.comparison import Comparison
from pixcore_adapters.formats import FORMATS
from pixcore_adapters.twins.finding import Finder
from pixcore_adapters.twins.hashing import WAYS, hashes
from pixcore_adapters.twins.planes import inside, warp
from pixcore_adapters.twins.poses import IDENTITY, PROPOSED, after, inverse, mirrored
from pixcore_adapters.twins.proposing import Proposer
from pixcore_adapters.validator.decode import decode
from pixcore_adapters.validator.picture import Limits, Picture


def saved(folder: Path, name: str, image: Image.Image, format: str = "JPEG", **options: object) -> Path:  # noqa: A002
    """Write a file."""
    path = folder / name
    path.write_bytes(encoded(image, format, **({"quality": 90} if format == "JPEG" else {}) | options))
    return path


def grey(path: Path) -> NDArray[np.uint8]:
    """Return the small grey picture that the validator gives of a file."""
    picture = decode(path, Limits())
    assert isinstance(picture, Picture)
    return np.frombuffer(picture.grey, np.uint8).reshape(32, 32)


def compared(one: Path, other: Path) -> Comparison | None:
    """Return the comparison that makes two files twins, if they are."""
    twin = Finder(FORMATS).find(one, [other])
    return twin and twin.comparison


# -- poses ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("pose", PROPOSED)
def test_a_pose_and_its_inverse_cancel_each_other(pose: NDArray[np.float64]) -> None:
    """Mirroring twice also gives the first pose."""
    assert np.allclose(after(pose, inverse(pose)), IDENTITY)
    assert np.allclose(mirrored(mirrored(pose)), pose)


# -- proposing --------------------------------------------------------------------------------------------------------


def random_greys(count: int, seed: int = 0) -> list[NDArray[np.uint8]]:
    """Return pictures that have nothing in common."""
    return list(np.random.default_rng(seed).integers(0, 256, (count, 32, 32), dtype=np.uint8))


def test_different_pictures_are_not_proposed() -> None:
    """None of the 7,140 pairs of 120 pictures may be proposed."""
    assert not any(Proposer().add(random_greys(120)))


@given(cuts=st.lists(st.integers(1, 12), max_size=12), seed=st.integers(0, 2))
@settings(max_examples=8, deadline=None)
def test_grouping_does_not_change_proposals(cuts: list[int], seed: int) -> None:
    """Images come in groups of any size, depending on how fast the source is."""
    few = random_greys(6, seed)
    greys = [few[number % 6] for number in range(40)]
    together, apart = Proposer(), Proposer()
    expected = together.add(greys)
    found, start = [], 0
    for cut in [*cuts, len(greys)]:
        found += apart.add(greys[start : start + cut])
        start += cut
    assert found == expected
    assert expected[13] == [1, 7]


def test_a_mirrored_picture_has_the_hashes_of_the_mirrored_poses() -> None:
    """The hashes of mirrored poses are computed without warping the picture again."""
    picture = random_greys(1)[0]
    plain, flipped = (np.stack(hashes(each[np.newaxis]))[:, 0] for each in (picture, picture[:, ::-1].copy()))
    assert (plain[:, WAYS // 2] == flipped[:, 0]).all()
    assert (plain[:, 0] == flipped[:, WAYS // 2]).all()


@pytest.mark.parametrize("way", range(len(PROPOSED)))
def test_a_pose_has_the_hashes_of_the_picture_drawn_in_it(way: int) -> None:
    """Hashes of poses are computed without drawing them; rounding may turn a few bits over."""
    picture = np.asarray(scene(1).convert("L").resize((32, 32)))
    placed = np.where(inside(PROPOSED[way], 32, 0.0), warp(np.float32(picture), PROPOSED[way]), picture.mean())
    posed, drawn = hashes(picture[np.newaxis]), hashes(np.rint(placed).astype(np.uint8)[np.newaxis])
    assert all(np.bitwise_count(one[0, way] ^ other[0, 0]) <= 4 for one, other in zip(posed, drawn, strict=True))


def test_a_flat_picture_is_not_proposed() -> None:
    """All flat pictures have like hashes, whatever they show."""
    flat = np.full((32, 32), 200, np.uint8)
    assert Proposer().add([flat, flat, flat]) == [[], [], []]


# -- proposing and confirming -----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write the picture that the tests copy."""
    return saved(tmp_path_factory.mktemp("original"), "original.jpg", scene(1))


@pytest.mark.parametrize("copy", COPIES)
def test_copies_are_found_in_both_directions(copy: str, original: Path, tmp_path: Path) -> None:
    """The small grey pictures must propose a copy, and the files must confirm it."""
    with Image.open(original) as image:
        path = saved(tmp_path, "copy.jpg", COPIES[copy](image.convert("RGB")))
    assert Proposer().add([grey(original), grey(path)]) == [[], [0]]
    assert Proposer().add([grey(path), grey(original)]) == [[], [0]]
    forward, backward = compared(path, original), compared(original, path)
    assert forward
    assert backward
    assert forward.one.framed == backward.other.framed == (copy in ("border", "caption"))
    assert forward.one.overlaid == backward.other.overlaid == (copy in ("watermark", "caption over it"))
    assert forward.one.grey == backward.other.grey == (copy == "grey")
    assert forward.mirrored == backward.mirrored == (copy == "mirrored")
    assert not forward.other.framed
    assert not forward.other.overlaid


@pytest.mark.parametrize(
    ("copy", "words"),
    [
        ("cropped evenly", "same picture, cropped by 19 %"),
        ("cropped on one side", "same picture, cropped by 10 %"),
        ("mirrored", "same picture, mirrored"),
        ("border", "same picture, with a border of 13 %"),
        ("grey", "same picture, in grey"),
        ("watermark", "same picture, with a watermark or caption"),
    ],
)
def test_a_comparison_is_described_in_a_sentence(copy: str, words: str, original: Path, tmp_path: Path) -> None:
    """The sentence has numbers that a person can check."""
    with Image.open(original) as image:
        found = compared(saved(tmp_path, "copy.jpg", COPIES[copy](image.convert("RGB"))), original)
    assert found
    assert found.sentence().startswith(words)


def test_equal_pixels_are_distinguished_from_similar_ones(original: Path, tmp_path: Path) -> None:
    """A PNG made from a JPEG has equal pixels; a JPEG that was saved again does not."""
    with Image.open(original) as image:
        again = saved(tmp_path, "again.jpg", image.convert("RGB"), quality=40)
        same = saved(tmp_path, "same.png", image.convert("RGB"), "PNG")
    exact, alike = compared(same, original), compared(again, original)
    assert exact
    assert exact.equal
    assert alike
    assert not alike.equal


def test_an_enlarged_copy_is_recognised(original: Path, tmp_path: Path) -> None:
    """An enlarged copy has more pixels but no more detail; an original has more of both."""
    with Image.open(original) as image:
        large = saved(tmp_path, "large.png", image.resize((1280, 960), Image.Resampling.BICUBIC), "PNG")
        small = saved(tmp_path, "small.jpg", image.resize((320, 240), Image.Resampling.LANCZOS))
    enlarged, reduced = compared(large, original), compared(small, original)
    assert enlarged
    assert enlarged.one.enlarged
    assert reduced
    assert not reduced.other.enlarged


def test_the_original_of_a_crop_is_not_an_enlarged_copy(tmp_path: Path) -> None:
    """It has more pixels than the crop, but of a larger area, so it may be soft."""
    soft = scene(1, 520, 390).resize((640, 480), Image.Resampling.BICUBIC)
    whole = saved(tmp_path, "whole.jpg", soft)
    found = compared(saved(tmp_path, "crop.jpg", soft.crop((20, 15, 620, 465))), whole)
    assert found
    assert not found.other.enlarged


def test_soft_photographs_are_compared_by_faint_detail(tmp_path: Path) -> None:
    """Fog, sky and blurred pictures have no tile with strong detail; only copies may be twins."""
    soft = [photo(seed) for seed in range(1, 5)]
    files = [saved(tmp_path, f"{number}.jpg", image) for number, image in enumerate(soft)]
    for number, (image, file) in enumerate(zip(soft, files, strict=True)):
        copies = (
            saved(tmp_path, f"{number}-50.jpg", image, quality=50),
            saved(tmp_path, f"{number}-large.png", image.resize((640, 480)), "PNG"),
        )
        assert all(compared(file, copy) for copy in copies)
        assert not any(compared(file, other) for other in files[:number])


def test_pages_of_one_layout_are_not_twins(tmp_path: Path) -> None:
    """Two pages may agree in their layout and differ only in their words."""
    paths = [saved(tmp_path, f"{seed}.png", page(seed), "PNG") for seed in range(4)]
    assert not any(compared(one, other) for one in paths for other in paths if one != other)
    assert compared(saved(tmp_path, "again.jpg", page(0)), paths[0])


def test_a_small_copy_of_a_page_is_the_twin_of_that_page_alone(tmp_path: Path) -> None:
    """At a quarter of its size a page shows less detail than other pages of the layout, but its words still differ."""
    pages = [saved(tmp_path, f"{seed}.png", page(seed, 20), "PNG") for seed in range(3)]
    with Image.open(pages[0]) as image:
        small = saved(tmp_path, "small.jpg", image.resize((212, 275), Image.Resampling.LANCZOS))
    assert [bool(compared(small, each)) for each in pages] == [True, False, False]


def test_one_product_in_two_colours_is_not_a_twin(tmp_path: Path) -> None:
    """Shops show one product in several colours, and a dataset may need all of them."""
    pictures = []
    for colour in ((200, 30, 30), (40, 60, 200), (30, 120, 30), (140, 20, 60), (230, 60, 140)):
        image = Image.new("RGB", (512, 512), "white")
        image.paste(colour, (100, 120, 400, 380))
        pictures.append(saved(tmp_path, f"{colour}.jpg", image))
    assert not any(compared(one, other) for one in pictures for other in pictures if one != other)


def test_a_mirrored_page_is_not_a_twin(tmp_path: Path) -> None:
    """Mirrored writing has another meaning or none."""
    one = saved(tmp_path, "one.png", page(1), "PNG")
    assert not compared(saved(tmp_path, "other.png", ImageOps.mirror(page(1)), "PNG"), one)


def test_documents_with_the_same_cover_are_not_twins(tmp_path: Path) -> None:
    """All pages count. Only a copy of all pages is a twin."""

    def document(name: str, seeds: range, format: str) -> Path:  # noqa: A002 (Pillow's word)
        cover, *others = page(1), *map(page, seeds)
        return saved(tmp_path, name, cover, format, save_all=True, append_images=others)

    one = document("one.tif", range(10, 13), "TIFF")
    assert not compared(document("other.tif", range(20, 23), "TIFF"), one)
    assert not compared(saved(tmp_path, "cover.png", page(1), "PNG"), one)
    assert compared(document("copy.gif", range(10, 13), "GIF"), one)


def test_the_exif_orientation_is_applied_before_comparing(original: Path, tmp_path: Path) -> None:
    """A photograph and its copy with turned pixels and a tag are twins."""
    exif = Image.Exif()
    exif[0x0112] = 6
    with Image.open(original) as image:
        turned = saved(tmp_path, "turned.jpg", image.transpose(Image.Transpose.ROTATE_90), exif=exif)
    assert compared(turned, original)


def test_the_likeliest_of_many_candidates_is_found(original: Path, tmp_path: Path) -> None:
    """The order of candidates must not matter. A missing or broken file must not affect the others."""
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(original.read_bytes()[:3000])
    others = [saved(tmp_path, f"{seed}.jpg", scene(seed)) for seed in (2, 3)]
    with Image.open(original) as image:
        copy = saved(tmp_path, "copy.jpg", COPIES["smaller"](image))
    finder = Finder(FORMATS)
    twin = finder.find(copy, [tmp_path / "gone.jpg", broken, *others, original])
    assert twin
    assert twin.place == 4
    assert finder.find(broken, [original]) is None
    assert finder.find(copy, others) is None


@pytest.mark.parametrize("mode", ["L", "P", "RGBA", "CMYK", "I;16", "F"])
def test_every_colour_mode_is_compared(mode: str, tmp_path: Path) -> None:
    """A copy with the same levels in 8 bits is a twin."""
    image = scene(5).convert("L")
    plain = saved(tmp_path, "plain.png", image, "PNG")
    if mode == "I;16":
        other = Image.fromarray(np.asarray(image, np.uint16) * 256)
    elif mode == "F":
        other = Image.fromarray(np.asarray(image, np.float32) / 255)
    else:
        other = image.convert("RGB").convert(mode)
    assert compared(saved(tmp_path, "other.tif", other, "TIFF"), plain)
