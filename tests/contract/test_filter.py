"""Filters like those that users write keep the contract."""

from io import BytesIO

import pytest
from attrs import evolve
from pictures import encoded
from PIL import Image

from contract.filter import PLAIN, FilterContract
from pixcore import Accepted, Filter, PictureFilter


class Portraits:
    """Keeps images that are higher than wide and not dark at the centre."""

    def fault(self, image: Accepted) -> str:
        """See ``Filter``."""
        if image.width > image.height:
            return f"{image.width} x {image.height} is no portrait"
        centre = image.grey[16 * 32 + 16 :][:1]
        return "" if not centre or centre[0] > 20 else "the centre is dark"


class TestPortraits(FilterContract):
    """By its size and its grey picture."""

    @pytest.fixture
    def filter(self) -> Filter:
        """Return the filter."""
        return Portraits()

    def kept(self) -> Accepted:
        """Return a portrait."""
        return evolve(PLAIN, width=480, height=640, grey=bytes([200]) * 1024)

    def dropped(self) -> Accepted:
        """Return one that is dark at the centre."""
        return evolve(self.kept(), grey=bytes(1024))


class Warm:
    """Keeps images with more red than blue."""

    def fault_of_picture(self, image: Accepted, picture: bytes) -> str:
        """See ``PictureFilter``."""
        if not picture:
            return ""
        with Image.open(BytesIO(picture), formats=["WEBP"]) as opened:
            red, _, blue = opened.convert("RGB").resize((1, 1)).getpixel((0, 0))
        return "" if red > blue else f"{image.width} x {image.height} pixels of cold colours"


class TestWarm(FilterContract):
    """By its small picture."""

    @pytest.fixture
    def filter(self) -> PictureFilter:
        """Return the filter."""
        return Warm()

    def kept(self) -> Accepted:
        """Return a red image."""
        return evolve(PLAIN, sha256="1" * 64)

    def dropped(self) -> Accepted:
        """Return a blue image."""
        return evolve(PLAIN, sha256="2" * 64)

    def picture(self, image: Accepted) -> bytes:
        """Return its picture."""
        return encoded(Image.new("RGB", (64, 48), "red" if image.sha256 == self.kept().sha256 else "blue"), "WEBP")
