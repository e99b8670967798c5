"""Conversion of one image in this process: sizes, content, colours, and what is kept of the original."""

import struct
from collections.abc import Callable
from io import BytesIO

import numpy as np
import pytest
from pictures import deep_png, encoded, photo
from PIL import Image

from pixcore.errors import InvalidRequest
from pixcore.model.conversion import Conversion, Encoding, Resize
from pixcore_adapters.converter.converting import Made, convert
from pixcore_adapters.rendering import eight_bits
from pixcore_adapters.validator.decode import Unwanted
from pixcore_adapters.validator.picture import Limits

TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}


def made(data: bytes, **how: object) -> Made:
    """Convert a file, without loss unless ``how`` says otherwise."""
    return convert(data, Conversion(**{"encode": "png", **how}), Limits())  # type: ignore[arg-type] # any option


def opened(result: Made) -> Image.Image:
    """Return the picture of a result."""
    image = Image.open(BytesIO(result.data))
    image.load()
    return image


def pixels(image: Image.Image) -> np.ndarray:
    """Return the pixels as numbers that may be subtracted."""
    return np.asarray(image.convert("RGB"), np.int16)


def differ(one: Image.Image, other: Image.Image) -> float:
    """Return the mean difference of two pictures of one size, in levels of 255."""
    assert one.size == other.size
    return float(np.abs(pixels(one) - pixels(other)).mean())


@pytest.mark.parametrize(
    ("resize", "sizes"),
    [
        (Resize.KEEP_RATIO, [(128, 64), (64, 171), (128, 64)]),
        (Resize.NO_UPSCALE, [(128, 64), (64, 171), (40, 20)]),
        (Resize.CROP, [(64, 64), (64, 64), (64, 64)]),
        (Resize.BORDER, [(64, 64), (64, 64), (64, 64)]),
        (None, [(128, 64), (64, 171), (128, 64)]),
    ],
)
def test_the_size_of_each_mode(resize: Resize | None, sizes: list[tuple[int, int]]) -> None:
    """They are those of img2dataset: wide, tall and small pictures."""
    for size, wanted in zip([(200, 100), (90, 240), (40, 20)], sizes, strict=True):
        result = made(encoded(Image.new("RGB", size), "PNG"), size=64, resize=resize)
        assert opened(result).size == (result.width, result.height) == wanted
        assert ("enlarged" in result.changes) == (size == (40, 20) and resize is not Resize.NO_UPSCALE)


def stripes(*, tall: bool) -> Image.Image:
    """Return three squares of 60 pixels in a row or a column: red, green and blue."""
    picture = Image.new("RGB", (60, 180) if tall else (180, 60))
    for number, colour in enumerate(("red", "lime", "blue")):
        picture.paste(
            colour, (0, 60 * number, 60, 60 * number + 60) if tall else (60 * number, 0, 60 * number + 60, 60)
        )
    return picture


@pytest.mark.parametrize("tall", [False, True])
def test_a_crop_is_the_middle_and_a_border_is_outside(tall: bool) -> None:
    """The subject must be in a crop, and no part of the picture may be missing inside a border."""
    data = encoded(stripes(tall=tall), "PNG")
    cropped = made(data, size=30, resize="crop")
    assert cropped.changes == ("cropped",)
    assert pixels(opened(cropped))[4:-4, 4:-4].reshape(-1, 3).tolist() == [[0, 255, 0]] * 22 * 22
    bordered = made(data, size=90, resize="border", background="#102030")
    seen = pixels(opened(bordered)) if tall else pixels(opened(bordered)).transpose(1, 0, 2)
    assert bordered.changes == ("bordered",)
    assert np.unique(seen[:, :28].reshape(-1, 3), axis=0).tolist() == [[16, 32, 48]]
    assert np.unique(seen[:, -28:].reshape(-1, 3), axis=0).tolist() == [[16, 32, 48]]
    assert seen[[15, 45, 75], 45].tolist() == [[255, 0, 0], [0, 255, 0], [0, 0, 255]]


@pytest.mark.parametrize(("tag", "resize"), [*((tag, "keep-ratio") for tag in TURNS), (6, "border")])
def test_the_orientation_is_applied(tag: int, resize: str) -> None:
    """Loaders ignore the tag, and the tag is not kept."""
    exif = Image.Exif()
    exif[0x0112] = tag
    stored = encoded(photo(1, 160, 80).transpose(TURNS[tag]), "PNG", exif=exif)
    upright = made(encoded(photo(1, 160, 80), "PNG"), size=40, resize=resize)
    result = made(stored, size=40, resize=resize)
    assert differ(opened(result), opened(upright)) < 1
    assert "turned" in result.changes
    assert not opened(result).getexif()


def disc() -> Image.Image:
    """Return a black disc, transparent around it; the transparent pixels are red."""
    y, x = np.mgrid[:96, :96]
    values = np.zeros((96, 96, 4), np.uint8)
    inside = (x - 48) ** 2 + (y - 48) ** 2 < 900
    values[..., 0] = np.where(inside, 0, 255)
    values[..., 3] = np.where(inside, 255, 0)
    return Image.fromarray(values)


@pytest.mark.parametrize("name", ["PNG", "WEBP", "GIF"])
def test_transparent_parts_show_the_background(name: str) -> None:
    """Not the colour that lies below them, not even at the edges."""
    data = encoded(disc(), name, **({"lossless": True} if name == "WEBP" else {}))
    result = made(data, size=24, background="#00ff00")
    seen = pixels(opened(result))
    assert result.changes == ("background",)
    assert seen[0, 0].tolist() == [0, 255, 0]
    assert seen[12, 12].tolist() == [0, 0, 0]
    assert seen[..., 0].max() < 8
    opaque = Image.new("RGBA", (32, 32), (9, 9, 9, 255))
    assert made(encoded(opaque, "PNG"), size=24).changes == ()


def profile(*colorants: tuple[float, float, float]) -> bytes:
    """Return an ICC profile of a display with these colorants (XYZ at D50) and a gamma of 2.2."""
    names = (b"rXYZ", b"gXYZ", b"bXYZ", b"rTRC", b"gTRC", b"bTRC", b"wtpt")
    points = [*colorants, (0.9642, 1.0, 0.8249)]
    xyz = [b"XYZ \0\0\0\0" + b"".join(struct.pack(">i", round(65536 * part)) for part in point) for point in points]
    gamma = b"curv\0\0\0\0" + struct.pack(">IH", 1, round(2.2 * 256)) + b"\0\0"
    tags = [*xyz[:3], gamma, gamma, gamma, xyz[3]]
    table, data, start = struct.pack(">I", len(tags)), b"", 128 + 4 + 12 * len(tags)
    for name, tag in zip(names, tags, strict=True):
        table += name + struct.pack(">II", start + len(data), len(tag))
        data += tag
    header = struct.pack(
        ">I4xI4s4s4s12s4s", start + len(data), 0x02400000, b"mntr", b"RGB ", b"XYZ ", bytes(12), b"acsp"
    )
    return header.ljust(68, b"\0") + struct.pack(">iii", 63190, 65536, 54061) + bytes(48) + table + data


RED, GREEN, BLUE = (0.436, 0.2225, 0.0139), (0.3851, 0.7169, 0.0971), (0.1431, 0.0606, 0.7141)  # of sRGB


@pytest.mark.parametrize("name", ["JPEG", "PNG", "WEBP"])
def test_colours_are_converted_to_srgb(name: str) -> None:
    """A loader ignores the profile. Here it says that the first channel is green."""
    picture = Image.new("RGB", (64, 64), (200, 40, 40))
    result = made(encoded(picture, name, icc_profile=profile(GREEN, RED, BLUE), quality=100), size=16)
    assert result.changes == ("profile",)
    assert np.abs(pixels(opened(result))[8, 8] - (40, 200, 40)).max() < 8
    assert "icc_profile" not in opened(result).info


def test_a_profile_that_cannot_be_applied_is_named() -> None:
    """The picture is kept as it is, and the user learns it."""
    picture = Image.new("RGB", (32, 32), (200, 40, 40))
    result = made(encoded(picture, "PNG", icc_profile=b"no profile" * 20), size=16)
    assert result.changes == ("profile_ignored",)
    assert pixels(opened(result))[8, 8].tolist() == [200, 40, 40]


@pytest.mark.parametrize(
    ("values", "name"),
    [
        (np.linspace(0, 4095, 64 * 64).astype(np.uint16), "PNG"),
        (np.linspace(0, 65535, 64 * 64).astype(np.uint16), "TIFF"),
        (np.linspace(-5, 12, 64 * 64, dtype=np.float32), "TIFF"),
    ],
    ids=["12 bits", "16 bits", "float"],
)
def test_more_bits_are_scaled_as_the_report_shows_them(values: np.ndarray, name: str) -> None:
    """A scan of 12 bits would be black if the values were cut."""
    grid = values.reshape(64, 64)
    result = made(encoded(Image.fromarray(grid), name))
    assert result.changes == ("eight_bits",)
    assert (pixels(opened(result))[..., 0] == eight_bits(grid)).all()


def test_colours_of_16_bits_are_named() -> None:
    """Pillow itself keeps only 8 of them."""
    result = made(deep_png(8, 8, 0x80FF))
    assert result.changes == ("eight_bits",)
    assert pixels(opened(result))[4, 4].tolist() == [128] * 3


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "CMYK", "YCbCr"])
def test_every_mode_becomes_rgb(mode: str) -> None:
    """A training set of images with different numbers of channels cannot be stacked."""
    picture = photo(3, 64, 48).convert(mode)
    name = "PNG" if mode == "LA" else "TIFF"
    result = made(encoded(picture, name))
    assert differ(opened(result), picture.convert("RGB")) < 1
    assert opened(result).mode == result.mode == "RGB"
    assert result.changes == (("cmyk",) if mode == "CMYK" else ())


@pytest.mark.parametrize("name", ["GIF", "WEBP", "PNG", "TIFF"])
def test_the_first_frame_is_kept_and_named(name: str) -> None:
    """Users must learn that the others are gone."""
    data = encoded(photo(1, 64, 64), name, save_all=True, append_images=[photo(2, 64, 64)])
    result = made(data)
    assert result.changes == ("first_frame",)
    assert differ(opened(result), photo(1, 64, 64)) < 12
    assert "first_frame" not in made(encoded(photo(1, 64, 64), "MPO", save_all=True, append_images=[photo(2)])).changes


@pytest.mark.parametrize("encoding", Encoding)
def test_results_are_deterministic_and_hold_no_metadata(encoding: Encoding) -> None:
    """A comment, a place or a profile of the original would be wrong or private."""
    exif = Image.Exif()
    exif[0x010F] = "a camera"
    data = encoded(photo(1, 96, 64), "JPEG", exif=exif, comment=b"secret", icc_profile=profile(GREEN, RED, BLUE))
    one, other = (made(data, size=32, encode=encoding) for _ in range(2))
    assert one == other
    assert opened(one).format == one.format
    assert not {"exif", "icc_profile", "comment"} & opened(one).info.keys()
    assert b"secret" not in one.data
    assert b"a camera" not in one.data


def test_a_lower_quality_is_smaller() -> None:
    """For every format that has a quality."""
    data = encoded(photo(1, 48, 32), "PNG")
    for encoding in ("jpg", "webp", "avif"):
        sizes = [len(made(data, encode=encoding, quality=quality).data) for quality in (30, None, 100)]
        assert sizes == sorted(sizes)
        assert len(set(sizes)) == 3


def ssim(one: Image.Image, other: Image.Image) -> float:
    """Return the structural similarity of two pictures' levels of grey, in windows of 8 x 8 pixels."""

    def windows(image: Image.Image) -> np.ndarray:
        levels = np.asarray(image.convert("L"), np.float64)
        return np.lib.stride_tricks.sliding_window_view(levels, (8, 8))[::4, ::4].reshape(-1, 64)

    a, b = windows(one), windows(other)
    means = a.mean(1), b.mean(1)
    together = ((a - means[0][:, None]) * (b - means[1][:, None])).mean(1)
    light = (2 * means[0] * means[1] + 6.5025) / (means[0] ** 2 + means[1] ** 2 + 6.5025)
    return float((light * (2 * together + 58.5225) / (a.var(1) + b.var(1) + 58.5225)).mean())


@pytest.mark.parametrize(("side", "mode"), [(18, "RGB"), (30, "RGB"), (37, "L"), (78, "CMYK")])
def test_a_scaled_decode_looks_like_a_full_one(side: int, mode: str) -> None:
    """A JPEG is decoded at 1/8, 1/4 or 1/2 here. A picture with fine detail shows the difference."""
    cells = np.random.default_rng(5).integers(0, 256, (120, 160), dtype=np.uint8)
    fine = Image.fromarray(cells).resize((640, 480), Image.Resampling.NEAREST).convert("RGB")
    data = encoded(Image.blend(photo(5, 640, 480), fine, 0.5).convert(mode), "JPEG", quality=92)
    with Image.open(BytesIO(data)) as image:
        reference = image.convert("RGB").resize((round(side * 4 / 3), side), Image.Resampling.LANCZOS)
    assert ssim(opened(made(data, size=side)), reference) > 0.98


@pytest.mark.parametrize(
    ("size", "how"),
    [
        ((20_000, 2), {"encode": "webp"}),
        ((2, 300), {"size": 16_000, "resize": "keep-ratio"}),
        ((1000, 1000), {"size": 8000}),
    ],
)
def test_a_result_beyond_the_limits_is_refused(size: tuple[int, int], how: dict[str, object]) -> None:
    """WebP holds no longer sides, and a strip that is enlarged would fill the memory."""
    with pytest.raises(Unwanted, match="the result would have"):
        made(encoded(Image.new("RGB", size), "PNG"), **how)


@pytest.mark.parametrize("break_", [lambda data: data[: len(data) // 2], lambda _: b"no picture"])
def test_a_broken_file_is_an_error(break_: Callable[[bytes], bytes]) -> None:
    """Half a picture must not be stored as a whole one."""
    with pytest.raises(Exception, match=r".+"):
        made(break_(encoded(photo(1, 64, 48), "PNG")), size=64)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"size": 0}, "the size cannot be 0"),
        ({"size": 20_000}, "use 1 to 16383 pixels"),
        ({"resize": "crop"}, "resize crop needs a size"),
        ({"size": 1, "resize": "stretch"}, "there is no resize 'stretch'; use one of: keep-ratio, no-upscale, crop"),
        ({"encode": "gif"}, "there is no encoding 'gif'; use one of: jpg, png, webp, avif"),
        ({"quality": 101}, "the quality cannot be 101"),
        ({"encode": "png", "quality": 90}, "PNG loses nothing"),
        ({"background": "reddish"}, "the background 'reddish' is not a colour; write #rrggbb"),
    ],
)
def test_an_impossible_conversion_is_refused(values: dict[str, object], message: str) -> None:
    """With the remedy, before anything is converted."""
    with pytest.raises(InvalidRequest, match=message):
        Conversion(**values)  # type: ignore[arg-type] # wrong on purpose
