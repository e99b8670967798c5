"""The validators of this project keep the port's promises."""

from collections.abc import Iterator

import pytest
from pictures import encoded, photo

from contract.validator import ValidatorContract
from pixcore_adapters.validator.memory import MemoryValidator, encode
from pixcore_adapters.validator.pillow import PillowValidator


@pytest.fixture(scope="module")
def shared() -> Iterator[PillowValidator]:
    """One for all tests, as a runner has one for all chunks."""
    with PillowValidator(workers=2) as validator:
        yield validator


@pytest.mark.process
class TestPillowValidator(ValidatorContract):
    """Real pictures, in several formats, through real children."""

    FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "TIFF", "GIF")

    @pytest.fixture
    def validator(self, shared: PillowValidator) -> PillowValidator:
        """The shared one: its children start once."""
        return shared

    def picture(self, seed: int) -> bytes:
        """A format for each seed."""
        return encoded(photo(seed), self.FORMATS[seed % len(self.FORMATS)])

    def damaged(self) -> bytes:
        """A download that broke off."""
        return encoded(photo(1))[:-500]


class TestMemoryValidator(ValidatorContract):
    """The double that users test with must not promise less."""

    @pytest.fixture
    def validator(self) -> MemoryValidator:
        """A fresh one costs nothing."""
        return MemoryValidator()

    def picture(self, seed: int) -> bytes:
        """Named by its seed."""
        return encode(f"picture {seed}")

    def damaged(self) -> bytes:
        """Without its closing brace."""
        return encode("damaged")[:-1]
