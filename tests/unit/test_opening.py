"""Files that are not of an accepted format: each is refused by its own name."""

import sys
from io import BytesIO
from pathlib import Path

import pytest
from pictures import encoded, encoded_heic, photo, postscript

from pixcore.model.images import RejectReason
from pixcore_adapters.formats import FORMATS
from pixcore_adapters.opening import BrokenHeader, FormatNotAllowed, NotAnImage, open_image
from pixcore_adapters.validator.decode import decode
from pixcore_adapters.validator.picture import Limits, Refusal


def video(brand: bytes) -> bytes:
    """The head of a file in boxes, of that brand."""
    return b"\0\0\0\x14ftyp" + brand + b"\0\0\0\0" + brand + bytes(200)


FOREIGN = {
    "HEIC": video(b"heic"),
    "HEIF": video(b"mif1"),
    "Canon CR3": video(b"crx "),
    "MP4 video": video(b"isom"),
    "JPEG XL": b"\xff\x0a" + bytes(100),
    "JPEG2000": b"\x00\x00\x00\x0cjP  \r\n\x87\n" + bytes(100),
    "SVG": b'<?xml version="1.0"?>\n<!-- drawn --><!-- twice -->\n<svg xmlns="http://www.w3.org/2000/svg"/>',
    "PDF": b"%PDF-1.7\n" + bytes(100),
    "PSD": encoded(photo(1), "PPM").replace(b"P6", b"8BPS"),
    "TGA": encoded(photo(1), "TGA"),
    "EPS": postscript(),
    "PPM": encoded(photo(1), "PPM"),
    "ICO": encoded(photo(1, 64, 64), "ICO"),
    "XCF": b"gimp xcf v011\0" + bytes(100),
    "OpenEXR": b"v/1\x01" + bytes(100),
    "DDS": encoded(photo(1), "DDS"),
    "QOI": b"qoif" + bytes(100),
}


@pytest.mark.parametrize("name", FOREIGN)
def test_a_foreign_format_is_refused_by_its_name(tmp_path: Path, name: str) -> None:
    """A message that the file is no image would mislead the user."""
    path = tmp_path / "file"
    path.write_bytes(FOREIGN[name])
    outcome = decode(path, Limits(formats=tuple(one for one in FORMATS if one != "HEIF")))
    assert outcome == Refusal(RejectReason.FORMAT, f"looks like {name}")


def test_old_tga_files_are_known_without_a_footer() -> None:
    """The first version of the format has none, and no signature either."""
    data = encoded(photo(1), "TGA").removesuffix(b"TRUEVISION-XFILE.\0")
    with pytest.raises(FormatNotAllowed, match="looks like TGA"):
        open_image(data)


@pytest.mark.parametrize(
    "data",
    [
        b"<!DOCTYPE html><html><body><svg></svg></body></html>",
        b"Not found",
        bytes(5000),
        b'{"error": "no such picture"}' * 9,
        b"<!--" * 1000,
        b"<!---->" * 500,
    ],
)
def test_bytes_of_no_image_format_are_not_an_image(data: bytes) -> None:
    """A web page is not an image, even if it contains an SVG drawing."""
    with pytest.raises(NotAnImage):
        open_image(data)


def test_heic_without_the_extra_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    """The extra is optional, because its library is under another licence."""
    data = encoded_heic(photo(1))
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    with pytest.raises(FormatNotAllowed, match=r"looks like HEIC; install pixcore\[heif\]"):
        open_image(data)


def test_heic_is_opened_with_the_extra() -> None:
    """As phones write it."""
    with open_image(encoded_heic(photo(1))) as image:
        assert (image.format, image.size) == ("HEIF", (320, 240))


@pytest.mark.parametrize("name", ["PNG", "GIF", "TIFF", "AVIF"])
def test_a_file_that_begins_like_an_image_is_a_broken_one(name: str) -> None:
    """The source served an image, and something went wrong on the way."""
    data = encoded(photo(1), name)[:18] + b"\xff" * 200
    with pytest.raises(BrokenHeader, match=name):
        open_image(data)


def test_a_kind_that_pillow_cannot_read_is_not_called_damaged() -> None:
    """The file may be sound."""
    file = BytesIO(encoded(photo(1), "BMP"))
    file.seek(28)
    file.write(b"\x02\x00")  # bits a pixel
    with pytest.raises(OSError, match="Unsupported BMP pixel depth"):
        open_image(file.getvalue())
