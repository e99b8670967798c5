"""The twin finders of this project keep the contract."""

from collections.abc import Iterator

import pytest
from copies import COPIES, scene
from pictures import encoded

from contract.twin_finder import TwinFinderContract
from pixcore_adapters.twins.memory import MemoryTwinFinder
from pixcore_adapters.twins.pillow import PillowTwinFinder
from pixcore_adapters.validator.memory import MemoryValidator, encode
from pixcore_adapters.validator.pillow import PillowValidator


@pytest.fixture(scope="module")
def shared() -> Iterator[PillowValidator]:
    """Return one validator for all tests."""
    with PillowValidator(workers=1) as validator:
        yield validator


@pytest.mark.process
class TestPillowTwinFinder(TwinFinderContract):
    """Real pictures, compared in real child processes."""

    @pytest.fixture
    def finder(self) -> PillowTwinFinder:
        """Return a finder with its default limits."""
        return PillowTwinFinder()

    @pytest.fixture
    def validator(self, shared: PillowValidator) -> PillowValidator:
        """Return the shared validator, whose children start once."""
        return shared

    def picture(self, seed: int) -> bytes:
        """Build a detailed picture."""
        return encoded(scene(seed, 320, 240), quality=90)

    def copy(self, seed: int) -> bytes:
        """Build a smaller one."""
        return encoded(COPIES["cropped on one side"](scene(seed, 320, 240)), quality=80)


class TestMemoryTwinFinder(TwinFinderContract):
    """The test double for users must be as strict."""

    @pytest.fixture
    def finder(self) -> MemoryTwinFinder:
        """Return a finder with the usual rule."""
        return MemoryTwinFinder()

    @pytest.fixture
    def validator(self) -> MemoryValidator:
        """Return the validator in memory."""
        return MemoryValidator()

    def picture(self, seed: int) -> bytes:
        """Build a picture whose hashes are far from those of other seeds."""
        return self._encoded(f"picture {seed}", seed, 0)

    def copy(self, seed: int) -> bytes:
        """Build a picture whose hashes are near."""
        return self._encoded(f"copy {seed}", seed, 0b11)

    def _encoded(self, name: str, seed: int, changed: int) -> bytes:
        spread = ((seed + 1) * 0x9E3779B97F4A7C15) & (2**64 - 1)
        return encode(name, phash=spread ^ changed, dhash=~spread & (2**64 - 1))
