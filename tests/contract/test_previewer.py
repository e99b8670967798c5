"""The previewers of this project keep the contract."""

from collections.abc import Iterator

import pytest
from pictures import encoded, photo

from contract.previewer import PreviewerContract
from pixcore_adapters.validator.memory import MemoryPreviewer, encode
from pixcore_adapters.validator.pillow import PillowValidator


@pytest.fixture(scope="module")
def shared() -> Iterator[PillowValidator]:
    """Return one for all tests, because its children take long to start."""
    with PillowValidator(workers=1) as validator:
        yield validator


@pytest.mark.process
class TestPillowValidator(PreviewerContract):
    """Real pictures in real child processes."""

    @pytest.fixture
    def previewer(self, shared: PillowValidator) -> PillowValidator:
        """Return the shared validator, whose children make previews."""
        return shared

    def picture(self, seed: int) -> bytes:
        """Build a photograph."""
        return encoded(photo(seed), "PNG")


class TestMemoryPreviewer(PreviewerContract):
    """The test double for users must be as strict."""

    @pytest.fixture
    def previewer(self) -> MemoryPreviewer:
        """Return a previewer."""
        return MemoryPreviewer()

    def picture(self, seed: int) -> bytes:
        """Build a picture with a long name."""
        return encode(f"{seed} {'detail ' * 1000}")
