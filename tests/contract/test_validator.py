"""The validators of this project keep the contract."""

from collections.abc import Iterator

import pytest
from pictures import encoded, photo

from contract.validator import ValidatorContract
from pixcore_adapters.validator.memory import MemoryValidator, encode
from pixcore_adapters.validator.pillow import PillowValidator


@pytest.fixture(scope="module")
def shared() -> Iterator[PillowValidator]:
    """Return one validator for all tests, as a runner has one for all chunks."""
    with PillowValidator(workers=2) as validator:
        yield validator


@pytest.mark.process
class TestPillowValidator(ValidatorContract):
    """Real pictures in several formats, in real child processes."""

    FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "TIFF", "GIF")

    @pytest.fixture
    def validator(self, shared: PillowValidator) -> PillowValidator:
        """Return the shared validator, whose children start once."""
        return shared

    def picture(self, seed: int) -> bytes:
        """Build a picture in a format that depends on the seed."""
        return encoded(photo(seed), self.FORMATS[seed % len(self.FORMATS)])

    def damaged(self) -> bytes:
        """Build a truncated picture."""
        return encoded(photo(1))[:-500]


class TestMemoryValidator(ValidatorContract):
    """The test double for users must be as strict."""

    @pytest.fixture
    def validator(self) -> MemoryValidator:
        """Return a new validator, which is cheap."""
        return MemoryValidator()

    def picture(self, seed: int) -> bytes:
        """Build a picture that contains its seed."""
        return encode(f"picture {seed}")

    def damaged(self) -> bytes:
        """Build a picture without its closing brace."""
        return encode("damaged")[:-1]
