"""The converters of this project keep the contract."""

from collections.abc import Iterator

import pytest
from pictures import encoded, photo

from contract.converter import ConverterContract
from pixcore_adapters.converter.memory import MemoryConverter
from pixcore_adapters.converter.pillow import PillowConverter
from pixcore_adapters.validator.memory import encode


@pytest.fixture(scope="module")
def shared() -> Iterator[PillowConverter]:
    """Return one converter for all tests, as a runner has one for all chunks."""
    with PillowConverter(workers=2) as converter:
        yield converter


@pytest.mark.process
class TestPillowConverter(ConverterContract):
    """Real pictures in several formats, in real child processes."""

    FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "TIFF", "GIF")

    @pytest.fixture
    def converter(self, shared: PillowConverter) -> PillowConverter:
        """Return the shared converter, whose children start once."""
        return shared

    def picture(self, seed: int) -> bytes:
        """Build a picture in a format that depends on the seed."""
        return encoded(photo(seed, 96, 64), self.FORMATS[seed % len(self.FORMATS)])


class TestMemoryConverter(ConverterContract):
    """The test double for users must be as strict."""

    @pytest.fixture
    def converter(self) -> MemoryConverter:
        """Return a new converter, which is cheap."""
        return MemoryConverter()

    def picture(self, seed: int) -> bytes:
        """Build a picture that contains its seed."""
        return encode(f"picture {seed}", width=96, height=64)
