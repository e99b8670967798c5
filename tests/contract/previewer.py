"""The contract of every previewer: tests of the promises in ``pixcore.ports.previewer``."""

from abc import ABC, abstractmethod
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from pixcore.ports import Previewer

MOST = 4096  # bytes of a preview


class PreviewerContract(ABC):
    """A subclass provides the ``previewer`` fixture and bytes that this previewer understands."""

    @pytest.fixture
    @abstractmethod
    def previewer(self) -> Previewer:
        """Return a previewer."""

    @abstractmethod
    def picture(self, seed: int) -> bytes:
        """Build a picture with more than 4 kB of detail; each seed gives a different one."""

    def test_a_preview_is_small_and_depends_on_the_picture_alone(self, previewer: Previewer, tmp_path: Path) -> None:
        """The same picture under another name has the same preview; previews of all are stored beside each chunk."""
        for name, seed in (("one", 1), ("again", 1), ("other", 2)):
            (tmp_path / name).write_bytes(self.picture(seed))
        one, again, other = (previewer.preview(tmp_path / name) for name in ("one", "again", "other"))
        assert one == again != other
        assert 0 < max(map(len, (one, other))) <= MOST

    def test_what_has_no_preview_is_no_error(self, previewer: Previewer, tmp_path: Path) -> None:
        """A chunk must not fail because a file is gone or broken."""
        (tmp_path / "garbage").write_bytes(b"no picture")
        assert previewer.preview(tmp_path / "garbage") == b""
        assert previewer.preview(tmp_path / "nonsuch") == b""

    def test_threads_share_a_previewer(self, previewer: Previewer, tmp_path: Path) -> None:
        """Each thread gets the preview of its own file."""
        paths = [tmp_path / str(seed) for seed in range(4)]
        for seed, path in enumerate(paths):
            path.write_bytes(self.picture(seed))
        expected = [previewer.preview(path) for path in paths]
        with ThreadPoolExecutor(4) as threads:
            assert list(threads.map(previewer.preview, paths * 3)) == expected * 3
