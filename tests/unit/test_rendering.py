"""Pictures as they are seen: upright, opaque, in 8 bits, with all of their frames."""

from io import BytesIO

import numpy as np
import pytest
from pictures import encoded, photo
from PIL import Image, ImageChops, ImageStat

from pixcore_adapters.rendering import eight_bits, frames, orientation, render, render_frame

TURNS = {
    1: None,
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}


def seen(data: bytes, at_least: int = 64) -> Image.Image:
    """What is seen of a file."""
    with Image.open(BytesIO(data)) as image:
        return render(image, at_least)


def differ(one: Image.Image, other: Image.Image) -> float:
    """Mean difference of two pictures of about one size, in levels of 255."""
    same_size = other.convert("RGB").resize(one.size, Image.Resampling.BOX)
    return sum(ImageStat.Stat(ImageChops.difference(one.convert("RGB"), same_size)).mean) / 3


def tagged(tag: int) -> Image.Exif:
    """EXIF data of that orientation."""
    exif = Image.Exif()
    exif[0x0112] = tag
    return exif


@pytest.mark.parametrize("tag", TURNS)
@pytest.mark.parametrize("name", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_every_orientation_is_seen_upright(tag: int, name: str) -> None:
    """Two files of one picture, stored upright and turned, look the same."""
    picture, turn = photo(1), TURNS[tag]
    stored = picture.transpose(turn) if turn is not None else picture
    data = encoded(stored, name, exif=tagged(tag))
    assert differ(seen(data), picture) < 8
    with Image.open(BytesIO(data)) as image:
        assert orientation(image) == (1 if name == "TIFF" else tag)
        assert (image.height > image.width) == (tag >= 5 and name != "TIFF")


@pytest.mark.parametrize("tag", [0, 9, 255])
def test_an_orientation_that_does_not_exist_turns_nothing(tag: int) -> None:
    """Some cameras write 0."""
    assert differ(seen(encoded(photo(1), exif=tagged(tag))), photo(1)) < 8


@pytest.mark.parametrize("name", ["JPEG", "PNG"])
def test_the_shorter_side_is_at_least_the_requested_size(name: str) -> None:
    """A picture must neither be enlarged nor be larger than a cheap decode gives."""
    assert min(seen(encoded(photo(1, 1200, 1000), name), 128).size) in range(128, 256)
    assert seen(encoded(photo(1, 90, 60), name), 128).size == (90, 60)


def drawing(level: int) -> Image.Image:
    """A disc of one grey; around it all is transparent."""
    y, x = np.mgrid[:96, :96]
    pixels = np.full((96, 96, 4), level, np.uint8)
    pixels[..., 3] = np.where((x - 48) ** 2 + (y - 48) ** 2 < 900, 255, 0)
    return Image.fromarray(pixels)


@pytest.mark.parametrize(("level", "ground"), [(20, 255), (128, 255), (190, 255), (255, 0)])
def test_a_transparent_picture_is_drawn_on_a_ground_that_shows_it(level: int, ground: int) -> None:
    """White, as pages are; under a white drawing black."""
    picture = seen(encoded(drawing(level), "PNG"))
    assert picture.getpixel((2, 2)) == (ground,) * 3
    assert picture.getpixel((48, 48)) == (level,) * 3


def test_colours_under_full_transparency_are_not_seen() -> None:
    """These colours must not appear alone or be mixed into the edges of visible parts."""
    one, other = drawing(90), drawing(90)
    hidden = Image.new("RGBA", other.size, (255, 0, 0, 0))
    hidden.paste(other, mask=other.getchannel("A"))
    assert differ(seen(encoded(one, "PNG"), 24), seen(encoded(hidden, "PNG"), 24)) < 1


@pytest.mark.parametrize("mode", ["1", "L", "P", "CMYK", "YCbCr"])
def test_other_modes_are_seen_in_their_colours(mode: str) -> None:
    """What a viewer shows, whatever the file stores."""
    picture = photo(3).convert(mode)
    assert differ(seen(encoded(picture, "TIFF"), 60), picture.convert("RGB")) < 8


@pytest.mark.parametrize(("bits", "name"), [(8, "PNG"), (12, "PNG"), (16, "PNG"), (16, "TIFF")])
def test_integers_of_more_bits_keep_the_highest_eight(bits: int, name: str) -> None:
    """A scan of 12 bits is not black, and one of 16 bits not white."""
    grey = np.asarray(photo(4).convert("L"), np.uint16)
    grey[0, 0] = 255
    data = encoded(Image.fromarray(grey << (bits - 8)), name)
    assert differ(seen(data, 1000), Image.fromarray(grey.astype(np.uint8))) == 0


@pytest.mark.parametrize(
    ("values", "levels"),
    [
        ([0.0, 0.5, 1.0], [0, 127, 255]),
        ([0.0, 100.0, 255.0], [0, 100, 255]),
        ([1000.0, 1500.0, 2000.0], [0, 127, 255]),
        ([-32768.0, 1000.0, 1500.0, 2000.0], [0, 0, 127, 255]),
        ([1000.0, 1500.0, 2000.0, 1e30], [0, 127, 255, 255]),
        ([np.nan, 1000.0, np.inf, -np.inf, 2000.0], [0, 0, 255, 0, 255]),
        ([700.0, 700.0], [0, 0]),
        ([np.nan, np.nan], [0, 0]),
    ],
)
def test_fractions_are_stretched_over_the_values_that_mean_something(values: list[float], levels: list[int]) -> None:
    """One mark for missing data must not make all heights the same."""
    assert eight_bits(np.array([values], np.float32)).tolist() == [levels]


def test_whole_numbers_below_zero_are_stretched() -> None:
    """Such pictures exist, for example maps of heights below sea level."""
    heights = np.array([[-100, 0, 100]], np.int32)
    assert eight_bits(heights).tolist() == [[0, 127, 255]]


@pytest.mark.parametrize("name", ["GIF", "TIFF", "WEBP", "PNG", "AVIF"])
def test_all_frames_are_seen(name: str) -> None:
    """Two documents of one cover are two; each page is a tile."""

    def document(first: int) -> bytes:
        cover, *pages = (photo(seed, 120, 90) for seed in (0, *range(first, first + 4)))
        return encoded(cover, name, save_all=True, append_images=pages)

    one, other = seen(document(10), 90), seen(document(20), 90)
    width, height = one.size
    cover = (0, 0, width // 3, height // 2)
    assert abs(width / 3 / (height / 2) - 120 / 90) < 0.1
    assert min(width, height) >= 90
    assert differ(one.crop(cover), photo(0, 120, 90)) < 12
    assert differ(one.crop(cover), other.crop(cover)) < 3
    assert differ(one, other) > 12


def test_at_most_sixteen_frames_are_drawn() -> None:
    """The first and the last frame must be among them."""
    pictures = [Image.new("RGB", (40, 30), (number, 0, 0)) for number in range(100)]
    sheet = seen(encoded(pictures[0], "TIFF", save_all=True, append_images=pictures[1:]), 120)
    assert sheet.size == (160, 120)
    assert [sheet.getpixel(place) for place in ((5, 5), (155, 115))] == [(0, 0, 0), (99, 0, 0)]


def test_an_mpo_is_its_first_picture() -> None:
    """The second is a preview or a gain map, and may be gone."""
    data = encoded(photo(1), "MPO", save_all=True, append_images=[photo(2)])
    for whole in (data, data[: data.rindex(b"\xff\xd8\xff")]):
        assert differ(seen(whole), photo(1)) < 8
        with Image.open(BytesIO(whole)) as image:
            assert image.format == "MPO"
            assert frames(image) == 1


def test_one_frame_can_be_seen_alone() -> None:
    """A thumbnail shows the first."""
    data = encoded(photo(1), "TIFF", save_all=True, append_images=[photo(2)])
    with Image.open(BytesIO(data)) as image:
        assert differ(render_frame(image, 64), photo(1)) < 8
