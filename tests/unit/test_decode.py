"""Decoding in this process: what is accepted, what is refused and why, and how pictures are hashed."""

import os
import warnings
from collections.abc import Callable
from functools import cache
from io import BytesIO
from pathlib import Path

import imagehash
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pictures import animation, encoded, encoded_heic, exif_with_thumbnail, photo, plain_png, postscript, scan_bomb
from PIL import Image

from pixcore.model.images import RejectReason
from pixcore_adapters.validator.decode import METHOD, decode
from pixcore_adapters.validator.hashes import SIDE, dhash, grey_picture, phash
from pixcore_adapters.validator.jpeg import decode as strictly
from pixcore_adapters.validator.jpeg import outline
from pixcore_adapters.validator.picture import FORMATS, Limits, Picture, Refusal, from_json, to_json

Decode = Callable[..., Picture | Refusal]


@pytest.fixture
def decoded(tmp_path: Path) -> Decode:
    """Decode bytes from a file."""

    def decoded(data: bytes, **limits: object) -> Picture | Refusal:
        path = tmp_path / "file"
        path.write_bytes(data)
        return decode(path, Limits(**limits))  # type: ignore[arg-type]

    return decoded


def two_in_one(second: bytes | None = None) -> bytes:
    """An MPO, as stereo cameras write it; ``second`` stands in for its second photograph."""
    data = encoded(photo(1), "MPO", save_all=True, append_images=[photo(2)])
    return data if second is None else data[: data.rindex(b"\xff\xd8\xff")] + second


def in_format(name: str) -> bytes:
    """The same photograph in a file of that format."""
    if name == "HEIF":
        return encoded_heic(photo(1))
    return two_in_one() if name == "MPO" else encoded(photo(1), name)


def in_mode(mode: str) -> bytes:
    """The same photograph in a file of that mode."""
    image = photo(3)
    if mode == "I;16":
        grey = np.asarray(image.convert("L"), np.uint16)
        return encoded(Image.fromarray(grey * 3), "PNG")
    return encoded(image.convert(mode), "JPEG" if mode == "CMYK" else "PNG")


def half_transparent_palette() -> bytes:
    """A sound PNG about which Pillow warns when it is made grey."""
    return encoded(photo(3).convert("P"), "PNG", transparency=bytes(range(256)))


@pytest.mark.parametrize("mode", ["RGB", "L", "P", "RGBA", "LA", "CMYK", "I;16", "1"])
def test_hashes_are_near_those_of_imagehash(decoded: Decode, tmp_path: Path, mode: str) -> None:
    """Other tools hash the whole picture; the default rule allows 10 bits of each."""
    picture = decoded(in_mode(mode))
    assert isinstance(picture, Picture)
    with Image.open(tmp_path / "file") as image:
        assert image.mode == mode
        seen = photo(3) if mode == "I;16" else image  # imagehash takes values above 255 for white
        assert (picture.fingerprint.phash ^ int(str(imagehash.phash(seen)), 16)).bit_count() <= 4
        assert (picture.fingerprint.dhash ^ int(str(imagehash.dhash(seen)), 16)).bit_count() <= 4
    assert picture.fingerprint.method == METHOD


@pytest.mark.parametrize(
    "grey",
    [
        *(photo(seed, 120, 90).convert("L") for seed in range(20)),
        Image.new("L", (90, 90), 200),
        Image.linear_gradient("L"),
        Image.linear_gradient("L").rotate(90),
    ],
    ids=[*map(str, range(20)), "solid", "gradient", "turned"],
)
def test_of_one_grey_picture_the_bits_are_those_of_imagehash(grey: Image.Image) -> None:
    """Also where all the terms but a few cancel to nothing, which arithmetic in fractions makes noise of.

    The dhash of imagehash resizes the whole picture, ours the small one: 3 bits may differ.
    """
    whole = np.asarray(grey.resize((SIDE, SIDE), Image.Resampling.LANCZOS))
    assert f"{phash(whole):016x}" == str(imagehash.phash(grey))
    assert (dhash(grey_picture(grey)) ^ int(str(imagehash.dhash(grey)), 16)).bit_count() <= 3


def test_the_grey_picture_is_the_one_that_was_hashed(decoded: Decode) -> None:
    """Near-duplicates are proposed from it."""
    picture = decoded(encoded(photo(1)))
    assert isinstance(picture, Picture)
    grey = np.frombuffer(picture.grey, np.uint8).reshape(32, 32)
    assert (phash(grey), dhash(grey)) == (picture.fingerprint.phash, picture.fingerprint.dhash)
    expected = np.asarray(photo(1).convert("L").resize((32, 32), Image.Resampling.BOX), int)
    assert np.abs(grey.astype(int) - expected).mean() < 6


@pytest.mark.parametrize("name", ["GIF", "TIFF", "WEBP", "PNG", "AVIF"])
def test_all_frames_count(decoded: Decode, name: str) -> None:
    """Two documents of one cover are two pictures, and a copy of one has its hashes."""

    def document(*seeds: int) -> Picture:
        cover, *pages = (photo(seed, 120, 90) for seed in seeds)
        picture = decoded(encoded(cover, name, save_all=True, append_images=pages))
        assert isinstance(picture, Picture)
        return picture

    one, other, again = document(1, 2, 3), document(1, 4, 5), document(1, 2, 3)
    assert (one.frames, one.width, one.height) == (3, 120, 90)
    assert one.fingerprint == again.fingerprint
    assert (one.fingerprint.phash ^ other.fingerprint.phash).bit_count() > 10


@pytest.mark.parametrize(
    ("tag", "turn"),
    [(6, Image.Transpose.ROTATE_90), (3, Image.Transpose.ROTATE_180), (2, Image.Transpose.FLIP_LEFT_RIGHT)],
)
@pytest.mark.parametrize("name", ["JPEG", "PNG", "WEBP"])
def test_hashes_are_of_the_upright_picture(decoded: Decode, name: str, tag: int, turn: Image.Transpose) -> None:
    """The size is that of the stored pixels, which is what loaders give, and the row says how to turn them."""
    exif = Image.Exif()
    exif[0x0112] = tag
    turned, plain = decoded(encoded(photo(1).transpose(turn), name, exif=exif)), decoded(encoded(photo(1), name))
    assert isinstance(turned, Picture)
    assert isinstance(plain, Picture)
    assert turned.orientation == tag
    assert (turned.height > turned.width) == (tag == 6)
    assert (turned.fingerprint.phash ^ plain.fingerprint.phash).bit_count() <= 2
    assert (turned.fingerprint.dhash ^ plain.fingerprint.dhash).bit_count() <= 2


def test_a_tiff_has_the_size_that_loaders_give(decoded: Decode) -> None:
    """Pillow turns it by itself: nothing is left to turn."""
    exif = Image.Exif()
    exif[0x0112] = 6
    picture = decoded(encoded(photo(1).transpose(Image.Transpose.ROTATE_90), "TIFF", exif=exif))
    assert isinstance(picture, Picture)
    assert (picture.width, picture.height, picture.orientation) == (320, 240, 1)


@pytest.mark.parametrize(
    ("image", "flat"),
    [
        (Image.new("RGB", (100, 100), "red"), True),
        (Image.fromarray(np.random.default_rng(1).integers(120, 124, (100, 100), dtype=np.uint8)), True),
        (photo(1).point(lambda level: 200 + level // 12), False),
        (photo(1), False),
    ],
    ids=["solid", "nearly solid", "fog", "photo"],
)
def test_only_pictures_without_contrast_are_flat(decoded: Decode, image: Image.Image, flat: bool) -> None:
    """A photograph in fog still has its own hashes; a wall does not."""
    picture = decoded(encoded(image))
    assert isinstance(picture, Picture)
    assert picture.fingerprint.flat is flat


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_of_the_default_is_decoded(decoded: Decode, name: str) -> None:
    """The format must be recognised by the content, whatever the file's name."""
    picture = decoded(in_format(name))
    assert isinstance(picture, Picture)
    assert (picture.format, picture.width, picture.height) == (name, 320, 240)
    assert (picture.frames, picture.orientation) == (1, 1)
    assert picture.mode == ("P" if name == "GIF" else "RGB")


@pytest.mark.parametrize("name", FORMATS)
def test_a_format_left_out_is_refused_by_name(decoded: Decode, name: str) -> None:
    """Pillow opens an MPO as a JPEG first."""
    others = tuple(other for other in FORMATS if other != name)
    refusal = decoded(in_format(name), formats=others)
    assert isinstance(refusal, Refusal)
    assert refusal.reason == RejectReason.FORMAT
    assert {"HEIF": "HEIC"}.get(name, name) in refusal.detail


@pytest.mark.parametrize(
    ("data", "limits", "reason"),
    [
        (b"", {}, RejectReason.NOT_AN_IMAGE),
        (b"<!DOCTYPE html><title>404</title>", {}, RejectReason.NOT_AN_IMAGE),
        (postscript(), {}, RejectReason.FORMAT),
        (encoded(photo(1), "PPM"), {}, RejectReason.FORMAT),
        (encoded(photo(1)), {"max_bytes": 1000}, RejectReason.TOO_LARGE),
        (encoded(photo(1)), {"max_pixels": 320 * 240 - 1}, RejectReason.TOO_MANY_PIXELS),
        (animation(5), {"max_pixels": 5 * 64 * 64 - 1}, RejectReason.TOO_MANY_PIXELS),
        (encoded(photo(1)), {"max_side": 319}, RejectReason.TOO_MANY_PIXELS),
        (plain_png(9000, 20_000), {}, RejectReason.TOO_MANY_PIXELS),
        (animation(6), {"max_frames": 5}, RejectReason.TOO_MANY_FRAMES),
        (animation(6, "PNG"), {"max_frames": 5}, RejectReason.TOO_MANY_FRAMES),
        (animation(6, "WEBP"), {"max_frames": 5}, RejectReason.TOO_MANY_FRAMES),
        (animation(6, "TIFF"), {"max_frames": 5}, RejectReason.TOO_MANY_FRAMES),
        (scan_bomb(100), {}, RejectReason.TOO_MANY_SCANS),
        (encoded(photo(1), "PNG")[:-400], {}, RejectReason.DAMAGED),
        (encoded(photo(1), "WEBP")[:-400], {}, RejectReason.DAMAGED),
        (encoded(photo(1), "BMP")[:-400], {}, RejectReason.DAMAGED),
        (encoded(photo(1), "AVIF")[:-400], {}, RejectReason.DAMAGED),
        (encoded(photo(1), "GIF")[:-400], {}, RejectReason.DAMAGED),
        (encoded(photo(1), "TIFF", compression="tiff_lzw")[:400], {}, RejectReason.DAMAGED),
        (encoded_heic(photo(1))[:-400], {}, RejectReason.DAMAGED),
    ],
)
def test_refused_for_the_right_reason(
    decoded: Decode, data: bytes, limits: dict[str, int], reason: RejectReason
) -> None:
    """Counters by reason are how a user learns what is wrong with a source."""
    refusal = decoded(data, **limits)
    assert isinstance(refusal, Refusal)
    assert refusal.reason == reason
    assert len(refusal.detail.splitlines()) == 1


@pytest.mark.parametrize(
    ("data", "limits"),
    [
        (encoded(photo(1)), {"max_pixels": 320 * 240, "max_side": 320}),
        (encoded(photo(1)), {"max_bytes": len(encoded(photo(1)))}),
        (animation(5), {"max_frames": 5, "max_pixels": 5 * 64 * 64}),
        (encoded(photo(1), progressive=True), {"max_scans": 10}),
        (encoded(photo(1)) + b"\0\0\0\x18ftypmp42" + bytes(9000), {}),
        (encoded(photo(1), exif=b"Exif\0\0II*\0\x08\0\0\0\x01\0\x0f\x01\x02\0\xff\xff\0\0\xf0\xff\0\0\0\0\0\0"), {}),
        (half_transparent_palette(), {}),
        (two_in_one(encoded(photo(2))[:-3000]), {}),
        (two_in_one(b""), {}),
        (two_in_one(scan_bomb(100)), {}),
        (two_in_one(), {"max_pixels": 320 * 240}),
    ],
    ids=[
        *("pixels", "bytes", "frames", "scans", "motion photo", "corrupt EXIF", "half-transparent palette"),
        *("half a gain map", "no gain map", "scans of a gain map", "pixels of a gain map"),
    ],
)
def test_accepted_up_to_the_limit_and_with_harmless_oddities(
    decoded: Decode, data: bytes, limits: dict[str, int]
) -> None:
    """A good picture must not be lost to a limit it keeps, or to what Pillow says of its metadata."""
    assert isinstance(decoded(data, **limits), Picture)


@pytest.mark.parametrize("kept", [0.3, 0.5, 0.7, 0.9])
def test_a_png_with_zeros_for_its_end_is_damaged(decoded: Decode, kept: float) -> None:
    """Interrupted downloads leave such files, some of which load() alone accepts."""
    data = encoded(photo(1), "PNG")
    whole = int(len(data) * kept)
    refusal = decoded(data[:whole] + bytes(len(data) - whole))
    assert isinstance(refusal, Refusal)
    assert refusal.reason == RejectReason.DAMAGED


@cache
def photographs() -> tuple[bytes, ...]:
    """JPEGs of several kinds, with and without a whole JPEG in their EXIF data."""
    options: list[dict[str, object]] = [{}, {"progressive": True}, {"quality": 95}, {"restart_marker_rows": 2}]
    return tuple(
        encoded(photo(seed), **options[seed % 4], **({"exif": exif_with_thumbnail(seed)} if seed % 3 else {}))
        for seed in range(12)
    )


def test_the_thumbnail_in_exif_data_is_really_there(decoded: Decode) -> None:
    """Without the thumbnail the next test would prove nothing."""
    assert all(isinstance(decoded(data), Picture) for data in photographs())
    assert photographs()[1].count(b"\xff\xd9") >= 2


def test_no_jpeg_cut_anywhere_is_accepted(decoded: Decode) -> None:
    """Truncated downloads are the commonest damage there is; the last byte counts too."""
    chance = np.random.default_rng(0)
    for number in range(300):
        data = photographs()[number % 12]
        kept = len(data) - number // 10 - 1 if number % 10 == 0 else chance.integers(len(data))
        assert isinstance(decoded(data[:kept]), Refusal), f"{kept} of {len(data)} bytes of photograph {number % 12}"


@pytest.mark.parametrize(("seed", "options"), [(17, {"restart_marker_rows": 2}), (27, {"optimize": True}), (34, {})])
def test_the_last_byte_of_a_jpeg_counts(decoded: Decode, seed: int, options: dict[str, object]) -> None:
    """Pillow's load() does not notice that the last two bytes are missing."""
    data = encoded(photo(seed), **options)
    assert isinstance(decoded(data), Picture)
    assert isinstance(decoded(data[:-1]), Refusal)
    assert isinstance(decoded(data[:-2]), Refusal)


def test_the_outline_is_of_the_picture_alone() -> None:
    """Markers inside segments, inside entropy-coded data or behind the end are not its own."""

    def scans(data: bytes) -> tuple[int, bool]:
        found = outline(data, 100)
        return len(found.scans), found.whole

    plain = photographs()[0]
    assert scans(plain) == (1, True)
    assert scans(photographs()[1]) == scans(encoded(photo(1), progressive=True)) == (10, True)
    assert scans(plain + plain) == (1, True)
    assert scans(plain[:-1]) == (0, False)
    assert scans(scan_bomb(5000)) == (101, False)
    [scan] = outline(plain, 100).scans
    assert (scan.start, scan.end) == (plain.index(b"\xff\xda") + 14, len(plain) - 2)


@cache
def kinds() -> tuple[bytes, ...]:
    """A JPEG of each kind that is decoded in its own way."""
    options: list[dict[str, object]] = [{}, {"progressive": True}, {"restart_marker_rows": 1}, {"keep_rgb": True}]
    sampled: list[dict[str, object]] = [{"subsampling": sampling} for sampling in (0, 1)]
    modes = (encoded(photo(4, 240, 180).convert(mode)) for mode in ("L", "CMYK"))
    tiny = encoded(photo(4, 9, 17))
    return (*(encoded(photo(4, 240, 180), **option) for option in options + sampled), *modes, tiny)


def damage(data: bytes, kind: str, chance: np.random.Generator) -> bytes:
    """What downloads and disks make of a file."""
    scan = data.index(b"\xff\xda") + 14
    place, some = int(chance.integers(scan, len(data) - 2)), int(chance.integers(1, 200))
    match kind:
        case "cut":
            return data[:place]
        case "cut and ended":
            return data[:place] + b"\xff\xd9"
        case "zeroed":
            return data[:place] + bytes(some) + data[place + some :]
        case "noise":
            return data[:place] + chance.bytes(some) + data[place + some :]
        case "missing":
            return data[:place] + data[place + some :]
    place = int(chance.integers(2, scan if kind == "bit of the header" else len(data)))
    return data[:place] + bytes([data[place] ^ 1 << int(chance.integers(8))]) + data[place + 1 :]


@pytest.mark.parametrize(
    "kind", ["cut", "cut and ended", "zeroed", "noise", "missing", "bit of the header", "bit anywhere"]
)
def test_a_scaled_decode_misses_nothing_that_a_full_one_finds(decoded: Decode, kind: str) -> None:
    """What is accepted, Pillow decodes in full, and libjpeg warns of nothing; what is refused, one of them refuses."""
    chance = np.random.default_rng(0)
    for number in range(270):
        data = damage(kinds()[number % len(kinds())], kind, chance)
        assert isinstance(decoded(data), Picture) == sound(data), f"{kind}, {number}"


def sound(data: bytes) -> bool:
    """What full decodes by Pillow and by libjpeg say, and the markers."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            with Image.open(BytesIO(data), formats=["JPEG"]) as image:
                strictly(data, image.size, image.mode, 10_000)
                image.convert("L")
        except Exception:  # noqa: BLE001 (Pillow raises many kinds)
            return False
    return outline(data, 100).whole


def sampled(*factors: int) -> bytes:
    """A grey JPEG of three components, of such sampling; every block is empty, so the scan is a few bits."""
    data = encoded(Image.new("RGB", (96, 8), "grey"), subsampling=0)
    frame, scan = data.index(b"\xff\xc0"), data.index(b"\xff\xda") + 14
    blocks = zip(("001010", "0000", "0000"), factors, strict=True)
    bits = "".join(code * (both >> 4) * (both & 15) for code, both in blocks) * (
        12 // max(both >> 4 for both in factors)
    )
    bits += "1" * (-len(bits) % 8)
    file = bytearray(data[:scan] + int(bits, 2).to_bytes(len(bits) // 8) + b"\xff\xd9")
    for number, both in enumerate(factors):
        file[frame + 11 + 3 * number] = both
    return bytes(file)


def test_colours_that_cannot_be_scaled_up_are_refused(decoded: Decode) -> None:
    """A grey decode would not look at them, and a loader of the dataset would fail."""
    assert isinstance(decoded(sampled(0x21, 0x11, 0x11)), Picture)
    odd = sampled(0x31, 0x21, 0x21)
    assert isinstance(decoded(odd), Refusal)
    assert not outline(odd, 100).scalable


def test_jpegs_that_libjpeg_cannot_scale_are_not_scaled() -> None:
    """From a lossless JPEG, libjpeg makes rows of another length than Pillow expects."""
    for data in kinds():
        assert outline(data, 100).scalable
    plain = kinds()[0]
    frame = plain.index(b"\xff\xc0") + 1
    assert not outline(plain[:frame] + b"\xc3" + plain[frame + 1 :], 100).scalable


def test_not_a_regular_file(tmp_path: Path) -> None:
    """A FIFO would block for ever, and a directory raise."""
    os.mkfifo(tmp_path / "fifo")
    for path in (tmp_path / "fifo", tmp_path, tmp_path / "missing", Path("/dev/zero")):
        refusal = decode(path, Limits())
        assert isinstance(refusal, Refusal)
        assert refusal.reason == RejectReason.NOT_AN_IMAGE


def test_outcomes_survive_the_pipe(decoded: Decode) -> None:
    """Parent and child speak JSON, because a pickle from a child that met hostile bytes could run anything."""
    for outcome in (decoded(encoded(photo(1))), decoded(b"\xff\xfe")):
        assert from_json(to_json(outcome)) == outcome


def test_a_format_that_starts_programs_cannot_be_allowed() -> None:
    """EPS means ghostscript; the list of what may be allowed is closed."""
    with pytest.raises(ValueError, match="EPS"):
        Limits(formats=("JPEG", "EPS"))


_SEEDS = (
    *(encoded(photo(1, 96, 64), name) for name in FORMATS if name not in ("MPO", "HEIF")),
    encoded_heic(photo(1, 96, 64)),
    encoded(photo(1, 96, 64), progressive=True, exif=exif_with_thumbnail(1)),
    encoded(photo(1, 96, 64), "MPO", save_all=True, append_images=[photo(2, 96, 64)]),
    *(animation(3, name) for name in ("GIF", "PNG", "WEBP", "TIFF")),
)


@st.composite
def mutated(draw: st.DrawFn) -> bytes:
    """A real image with a few bytes changed, a part moved, or its end missing."""
    data = bytearray(draw(st.sampled_from(_SEEDS)))
    for _ in range(draw(st.integers(1, 6))):
        place = draw(st.integers(0, len(data)) | st.integers(0, min(200, len(data))))
        match draw(st.integers(0, 3)):
            case 0:
                data[place : place + 1] = draw(st.binary(max_size=4))
            case 1:
                del data[place : place + draw(st.integers(1, 300))]
            case 2:
                data[place:place] = data[: draw(st.integers(1, 300))]
            case _:
                del data[place + 1 :]
    return bytes(data)


@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(st.binary(max_size=400) | mutated())
def test_whatever_a_file_holds_it_ends_as_a_value(decoded: Decode, data: bytes) -> None:
    """One bad file must cost one rejection, never the chunk; and no filter of warnings stays behind."""
    before = list(warnings.filters)
    assert isinstance(decoded(data, max_pixels=1_000_000), Picture | Refusal)
    assert warnings.filters == before
