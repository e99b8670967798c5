"""Every kind of damage is found, and undamaged files are accepted."""

import struct
import zlib
from collections.abc import Callable
from functools import cache
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from pictures import animation, encoded, encoded_heic, photo
from PIL import Image

from pixcore.model.images import RejectReason
from pixcore_adapters.validator.decode import decode
from pixcore_adapters.validator.jpeg import outline
from pixcore_adapters.validator.picture import Limits, Picture, Refusal

MANY = 30
PAGE = b"<!DOCTYPE html><html><head><title>502 Bad Gateway</title></head><body>nginx</body></html>\r\n" * 50
Judge = Callable[[bytes], Picture | Refusal]


@pytest.fixture
def judge(tmp_path: Path) -> Judge:
    """Judge bytes with the default limits."""

    def judge(data: bytes) -> Picture | Refusal:
        path = tmp_path / "file"
        path.write_bytes(data)
        return decode(path, Limits())

    return judge


def is_damaged(outcome: Picture | Refusal) -> bool:
    """Return whether the file was refused as damaged."""
    return isinstance(outcome, Refusal) and outcome.reason == RejectReason.DAMAGED


@cache
def jpeg(number: int, *, progressive: bool = False) -> bytes:
    """Return a photograph of about 50 kB."""
    return encoded(photo(number, 500, 375), quality=92, progressive=progressive)


def start_of_scan(data: bytes) -> int:
    """Return the offset of the coded data of the first scan."""
    marker = data.index(b"\xff\xda")
    return marker + 2 + int.from_bytes(data[marker + 2 : marker + 4], "big")


def broken(data: bytes, kind: str, chance: np.random.Generator) -> bytes:  # noqa: PLR0911 (a line for each kind)
    """Break a JPEG so that pixels are missing or wrong."""
    start, end = start_of_scan(data), len(data) - 2
    place = int(chance.integers(start, end - 4096))
    match kind:
        case "half, then an end marker":
            return data[: (start + end) // 2] + b"\xff\xd9"
        case "cut at 90 %":
            return data[: start + (end - start) * 9 // 10] + b"\xff\xd9"
        case "the last hundredth gone":
            return data[: start + (end - start) * 99 // 100] + b"\xff\xd9"
        case "a hole":
            return data[:place] + data[place + 4096 :]
        case "zeroed":
            return data[:place] + bytes(4096) + data[place + 4096 :]
        case "a few bytes zeroed":
            return data[:place] + bytes(512) + data[place + 512 :]
        case "overwritten":
            return data[:place] + chance.bytes(4096) + data[place + 4096 :]
        case "a web page over it":
            return data[:place] + PAGE[:4096] + data[place + 4096 :]
        case _:
            return data[:place] + PAGE[:4096] + data[place:]


KINDS = (
    *("half, then an end marker", "cut at 90 %", "the last hundredth gone", "a hole"),
    *("zeroed", "a few bytes zeroed", "overwritten", "a web page over it", "a web page inside"),
)


@pytest.mark.parametrize("progressive", [False, True], ids=["sequential", "progressive"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_damaged_jpeg_is_found(judge: Judge, kind: str, progressive: bool) -> None:
    """At most one in a hundred may be missed; `benchmarks/bench_judgement.py` counts on more files."""
    files = (broken(jpeg(seed, progressive=progressive), kind, np.random.default_rng(seed)) for seed in range(MANY))
    found = sum(is_damaged(judge(data)) for data in files)
    assert found >= MANY - 1


@pytest.mark.parametrize(
    "options",
    [
        *({}, {"progressive": True}, {"optimize": True}, {"restart_marker_rows": 1}, {"keep_rgb": True}),
        *({"subsampling": 0, "quality": 100}, {"subsampling": 1, "quality": 30}, {"quality": 5}),
    ],
)
def test_an_undamaged_jpeg_is_accepted(judge: Judge, options: dict[str, object]) -> None:
    """This must hold for every shape and every way to encode it."""
    for number in range(MANY):
        chance = np.random.default_rng(number)
        image = photo(number, *chance.integers(1, 800, 2).tolist())
        assert isinstance(judge(encoded(image, **options)), Picture)


@pytest.mark.parametrize("optimize", [False, True])
def test_even_areas_are_not_taken_for_zeros(judge: Judge, optimize: bool) -> None:
    """Optimised codes for even blocks are all zeros, and may fill kilobytes."""
    for colour in ("white", "black", "teal"):
        image = Image.new("RGB", (1600, 1200), colour)
        image.paste(photo(1), (100, 100))
        assert isinstance(judge(encoded(image, optimize=optimize)), Picture)


@pytest.mark.parametrize("missing", [1, 2, 5, 9])
def test_missing_scans_of_a_progressive_jpeg_are_damage(judge: Judge, missing: int) -> None:
    """Decoders show what there is: a coarser picture, without a warning."""
    data = jpeg(1, progressive=True)
    scans = outline(data, 100).scans
    assert is_damaged(judge(data[: scans[-missing].start] + b"\xff\xd9"))
    assert is_damaged(judge(data[: scans[-missing - 1].end] + b"\xff\xd9"))


def inserted(data: bytes, place: int, some: bytes) -> bytes:
    """Return the file with some bytes inserted."""
    return data[:place] + some + data[place:]


def odd_metadata() -> dict[str, bytes]:
    """Return JPEGs with all pixels about which libjpeg warns nevertheless."""
    data = jpeg(1)
    tables, frame, scan = (data.index(marker) for marker in (b"\xff\xdb", b"\xff\xc0", b"\xff\xda"))
    version = data.index(b"JFIF\0") + 5
    adobe = b"\xff\xee" + struct.pack(">H5sHHHB", 14, b"Adobe", 100, 0, 0, 9)
    profile = b"\xff\xe2" + struct.pack(">H", 2 + 14 + 20) + b"ICC_PROFILE\0\x05\x02" + bytes(20)
    return {
        "bytes before the tables": inserted(data, tables, b"\0\1\2\3"),
        "bytes before the frame": inserted(data, frame, b"junk"),
        "bytes before the scan": inserted(data, scan, bytes(100)),
        "an unknown JFIF version": data[:version] + b"\0\0" + data[version + 2 :],
        "an Adobe marker without a sense": inserted(data, tables, adobe),
        "a profile in parts that do not fit": inserted(data, tables, profile),
        "no profile": encoded(photo(1), icc_profile=b"not a profile" * 9),
        "parameters that a sequential scan does not have": data[: scan + 11] + bytes(3) + data[scan + 14 :],
        "a trailer": data + b"trailer" * 400,
    }


@pytest.mark.parametrize("name", odd_metadata())
def test_odd_metadata_is_not_damage(judge: Judge, name: str) -> None:
    """All pixels exist, and the hashes are those of the plain file."""
    outcome = judge(odd_metadata()[name])
    assert isinstance(outcome, Picture)
    if name != "no profile":
        plain = judge(jpeg(1))
        assert isinstance(plain, Picture)
        assert outcome.fingerprint == plain.fingerprint


def test_odd_metadata_does_not_hide_damage(judge: Judge) -> None:
    """Damage of the pixels must be found even if libjpeg warned about the metadata first."""
    for name, data in odd_metadata().items():
        middle = (start_of_scan(data) + len(data)) // 2
        assert is_damaged(judge(data[:middle] + b"\xff\xd9")), name


def test_cmyk_is_checked_too(judge: Judge) -> None:
    """Pillow decodes CMYK, but libjpeg's warnings must count."""
    data = encoded(photo(1, 500, 375).convert("CMYK"))
    assert isinstance(judge(data), Picture)
    assert is_damaged(judge(broken(data, "half, then an end marker", np.random.default_rng(1))))


def chunk(name: bytes, content: bytes, flaw: int = 0) -> bytes:
    """Return a chunk of a PNG. ``flaw`` changes its checksum."""
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content) ^ flaw)


def chunks(data: bytes) -> list[tuple[bytes, bytes]]:
    """Return the chunks of a PNG, each as its name and content."""
    found, place = [], 8
    while place < len(data):
        length = int.from_bytes(data[place : place + 4], "big")
        found.append((data[place + 4 : place + 8], data[place + 8 : place + 8 + length]))
        place += 12 + length
    return found


def png(*parts: tuple[bytes, bytes]) -> bytes:
    """Return the PNG of these chunks."""
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(name, content) for name, content in parts)


@pytest.mark.parametrize("name", [b"tEXt", b"gAMA", b"pHYs"])
def test_a_wrong_checksum_is_damage_and_named(judge: Judge, name: bytes) -> None:
    """Pillow does not open such a file, so no loader of the dataset would."""
    whole = encoded(photo(1), "PNG")
    text = chunk(name, {b"tEXt": b"Title\0A", b"gAMA": bytes(4), b"pHYs": bytes(9)}[name], flaw=1)
    outcome = judge(whole[:33] + text + whole[33:])
    assert is_damaged(outcome)
    assert isinstance(outcome, Refusal)
    assert name.decode() in outcome.detail


@pytest.mark.parametrize("flaw", ["no end", "half of the pixels", "a part is missing", "a part twice", "no data"])
def test_a_png_whose_pixels_do_not_inflate_is_damaged(judge: Judge, flaw: str) -> None:
    """This must hold even if every checksum is right."""
    header, *_, end = chunks(encoded(photo(1), "PNG"))
    packed = zlib.compress(b"".join(b"\0" + row.tobytes() for row in np.asarray(photo(1))))
    parts = [(b"IDAT", packed[place : place + 8192]) for place in range(0, len(packed), 8192)]
    assert isinstance(judge(png(header, *parts, end)), Picture)
    match flaw:
        case "no end":
            data = png(header, *parts[:-1])
        case "half of the pixels":
            data = png(header, (b"IDAT", zlib.compress(bytes(961 * 120))), end)
        case "a part is missing":
            data = png(header, *parts[:3], *parts[4:], end)
        case "a part twice":
            data = png(header, *parts[:3], parts[3], *parts[3:], end)
        case _:
            data = png(header, (b"IDAT", bytes(5000)), end)
    assert is_damaged(judge(data))


@pytest.mark.parametrize("kept", [1, 2, 3])
def test_missing_frames_of_an_apng_are_damage(judge: Judge, kept: int) -> None:
    """The header states the number of frames."""
    parts = chunks(animation(5, "PNG"))
    controls = [number for number, (name, _) in enumerate(parts) if name == b"fcTL"]
    assert is_damaged(judge(png(*parts[: controls[kept]], parts[-1])))


@pytest.mark.parametrize("control", [(0, 0), (2**31 + 1, 0)])
def test_a_png_with_an_invalid_animation_control_is_its_still_picture(judge: Judge, control: tuple[int, int]) -> None:
    """The format demands it, and viewers and loaders show the picture, whose pixels are whole."""
    header, *others = chunks(encoded(photo(1), "PNG"))
    outcome = judge(png(header, (b"acTL", struct.pack(">II", *control)), *others))
    assert isinstance(outcome, Picture)
    assert outcome.frames == 1


@pytest.mark.parametrize("part", [0.3, 0.6, 0.9])
@pytest.mark.parametrize("name", ["WEBP", "GIF", "BMP", "AVIF", "TIFF", "HEIF"])
def test_other_formats_cut_short_are_damaged(judge: Judge, name: str, part: float) -> None:
    """The test covers the cuts that the libraries of these formats report."""
    data = encoded_heic(photo(1)) if name == "HEIF" else encoded(photo(1), name)
    assert is_damaged(judge(data[: int(len(data) * part)]))


@pytest.mark.parametrize("name", ["GIF", "WEBP", "TIFF", "AVIF"])
def test_an_animation_cut_in_a_later_frame_is_damaged(judge: Judge, name: str) -> None:
    """It does not suffice that the first frame is complete."""
    data = animation(6, name)
    assert isinstance(judge(data), Picture)
    assert isinstance(judge(data[: len(data) * 6 // 10]), Refusal)


def test_a_phone_photo_counts_its_picture_alone(judge: Judge) -> None:
    """The 48.8 million pixels and the gain map of a quarter of that exceed the limit only together."""
    width, height = 8064, 6048
    picture, gain_map = Image.new("RGB", (width, height), "teal"), Image.new("RGB", (width // 2, height // 2))
    file = BytesIO()
    picture.save(file, "MPO", save_all=True, append_images=[gain_map])
    outcome = judge(file.getvalue())
    assert isinstance(outcome, Picture)
    assert (outcome.format, outcome.width, outcome.height, outcome.frames) == ("MPO", width, height, 1)
