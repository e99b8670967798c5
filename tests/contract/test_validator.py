"""The validators of this project keep the port's promises."""

from collections.abc import Iterator

import numpy as np
import pytest
from contract.validator import ValidatorContract
from pictures import encoded, photo
from PIL import Image

from pixcore_adapters.validator.memory import MemoryValidator, encode
from pixcore_adapters.validator.pillow import PillowValidator


@pytest.fixture(scope="module")
def shared() -> Iterator[PillowValidator]:
    """One for all tests, as a runner has one for all chunks."""
    with PillowValidator(workers=2) as validator:
        yield validator


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

    def variant(self, seed: int) -> bytes:
        """Smaller and badly compressed."""
        return encoded(photo(seed).resize((200, 150)), quality=30)

    def flat(self, seed: int) -> bytes:
        """A solid colour."""
        return encoded(Image.new("RGB", (100, 100), (250 - 50 * seed, 20, 60 * seed)))

    def small(self) -> bytes:
        """One pixel too narrow."""
        return encoded(photo(1, 49, 60))

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
        """Random hashes are far apart."""
        return self._encode(f"picture {seed}", seed)

    def variant(self, seed: int) -> bytes:
        """The same hashes under another name."""
        return self._encode(f"variant {seed}", seed)

    @staticmethod
    def _encode(name: str, seed: int) -> bytes:
        phash, dhash = np.random.default_rng(seed).integers(1 << 64, size=2, dtype=np.uint64)
        return encode(name, phash=int(phash), dhash=int(dhash))

    def flat(self, seed: int) -> bytes:
        """Hashes of nothing."""
        return encode(f"flat {seed}", flat=True)

    def small(self) -> bytes:
        """One pixel too narrow."""
        return encode("small", width=49, height=60)

    def damaged(self) -> bytes:
        """Without its closing brace."""
        return encode("damaged")[:-1]
