"""A filter like one that users write keeps the contract."""

import pytest
from attrs import evolve

from contract.filter import PLAIN, FilterContract
from pixcore import Accepted, Filter


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
