"""The contract of every twin finder: tests of the promises in ``pixcore.ports.twin_finder``."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest

from pixcore.model.images import Accepted, Candidate, CandidateKey, Download, Rejected
from pixcore.ports import TwinFinder, Twins, Validator

Images = Callable[..., list[Accepted]]


class TwinFinderContract(ABC):
    """A subclass provides a finder, a validator, and pictures that both understand."""

    @pytest.fixture
    @abstractmethod
    def finder(self) -> TwinFinder:
        """Return a finder."""

    @pytest.fixture
    @abstractmethod
    def validator(self) -> Validator:
        """Return the validator whose images the finder gets."""

    @abstractmethod
    def picture(self, seed: int) -> bytes:
        """Build a picture of at least 50 x 50 pixels; each seed gives a quite different one."""

    @abstractmethod
    def copy(self, seed: int) -> bytes:
        """Build a copy of ``picture(seed)`` in other bytes."""

    @pytest.fixture
    def twins(self, finder: TwinFinder) -> Iterator[Twins]:
        """Open the finder for the images of one attempt."""
        with closing(finder.open()) as twins:
            yield twins

    @pytest.fixture
    def images(self, validator: Validator, tmp_path: Path) -> Images:
        """Write files and have them accepted."""

        def images(*contents: bytes) -> list[Accepted]:
            downloads = []
            for number, content in enumerate(contents):
                path = tmp_path / f"{number}"
                path.write_bytes(content)
                candidate = Candidate(CandidateKey("test", "", number), f"{number}.jpg")
                downloads.append(Download(candidate, path, len(content), datetime.now(UTC)))
            verdicts = list(validator.validate(downloads))
            assert not any(isinstance(verdict, Rejected) for verdict in verdicts)
            return [verdict for verdict in verdicts if isinstance(verdict, Accepted)]

        return images

    def test_a_copy_is_proposed_and_confirmed(self, twins: Twins, images: Images) -> None:
        """Only earlier images may be proposed, also within one call."""
        original, other, copy = images(self.picture(1), self.picture(2), self.copy(1))
        assert [list(each) for each in twins.propose([original, other, copy])] == [[], [], [0]]
        twin = twins.confirm(copy, [original])
        assert twin
        assert twin.place == 0
        assert twin.comparison.same
        assert twin.comparison.sentence().startswith("same picture")

    def test_calls_do_not_change_what_is_proposed(self, finder: TwinFinder, images: Images) -> None:
        """Images may come in groups of any size."""
        all_images = images(*(build(seed) for seed in (1, 2, 3) for build in (self.picture, self.copy)))
        with closing(finder.open()) as one, closing(finder.open()) as other:
            together = [list(each) for each in one.propose(all_images)]
            apart = [list(each) for image in all_images for each in other.propose([image])]
        assert together == apart == [[], [0], [], [2], [], [4]]
        assert one.propose([]) == []

    def test_different_pictures_are_not_twins(self, twins: Twins, images: Images) -> None:
        """This must hold even if they were proposed."""
        one, *others = images(*map(self.picture, range(4)))
        assert twins.confirm(one, others) is None
        assert twins.confirm(one, []) is None

    def test_the_place_is_among_the_candidates(self, twins: Twins, images: Images) -> None:
        """The place counts the candidates that are not twins. Candidates after the eighth are not compared."""
        copy, original, *others = images(self.copy(1), *map(self.picture, range(1, 10)))
        twin = twins.confirm(copy, [*others[:3], original])
        assert twin
        assert twin.place == 3
        assert twins.confirm(copy, [*others, original]) is None

    def test_a_missing_file_is_not_a_twin(self, twins: Twins, images: Images) -> None:
        """The next image must be compared as usual."""
        original, copy, again = images(self.picture(1), self.copy(1), self.copy(1) + b" ")
        copy.download.path.unlink()
        assert twins.confirm(copy, [original]) is None
        assert twins.confirm(again, [copy, original])

    def test_attempts_are_independent(self, finder: TwinFinder, images: Images) -> None:
        """Each attempt begins without images. Closing is idempotent, and allowed before any use."""
        original, copy = images(self.picture(1), self.copy(1))
        with closing(finder.open()) as one, closing(finder.open()) as other:
            assert [list(each) for each in one.propose([original])] == [[]]
            assert [list(each) for each in other.propose([copy])] == [[]]
            other.close()
