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
        """Begin with the images of one attempt."""
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
        """Only earlier images are proposed, also within one call."""
        original, other, copy = images(self.picture(1), self.picture(2), self.copy(1))
        assert [list(each) for each in twins.propose([original, other, copy])] == [[], [], [0]]
        twin = twins.confirm(copy, [original])
        assert twin
        assert twin.place == 0
        assert twin.comparison.same
        assert twin.comparison.sentence().startswith("same picture")

    def test_calls_do_not_change_what_is_proposed(self, finder: TwinFinder, images: Images) -> None:
        """Images come in groups of any size."""
        all_images = images(*(build(seed) for seed in (1, 2, 3) for build in (self.picture, self.copy)))
        with closing(finder.open()) as one, closing(finder.open()) as other:
            together = [list(each) for each in one.propose(all_images)]
            apart = [list(each) for image in all_images for each in other.propose([image])]
        assert together == apart == [[], [0], [], [2], [], [4]]
        assert one.propose([]) == []

    def test_other_pictures_are_no_twins(self, twins: Twins, images: Images) -> None:
        """Whatever was proposed."""
        one, *others = images(*map(self.picture, range(4)))
        assert twins.confirm(one, others) is None
        assert twins.confirm(one, []) is None

    def test_the_place_is_among_the_candidates(self, twins: Twins, images: Images) -> None:
        """Behind others that are no twins; one beyond the eighth is not looked at."""
        copy, original, *others = images(self.copy(1), *map(self.picture, range(1, 10)))
        twin = twins.confirm(copy, [*others[:3], original])
        assert twin
        assert twin.place == 3
        assert twins.confirm(copy, [*others, original]) is None

    def test_a_file_that_is_gone_is_no_twin(self, twins: Twins, images: Images) -> None:
        """And the next image is compared as usual."""
        original, copy, again = images(self.picture(1), self.copy(1), self.copy(1) + b" ")
        copy.download.path.unlink()
        assert twins.confirm(copy, [original]) is None
        assert twins.confirm(again, [copy, original])

    def test_attempts_do_not_know_each_other(self, finder: TwinFinder, images: Images) -> None:
        """Each begins with nothing; closing is idempotent, and needs no use before."""
        original, copy = images(self.picture(1), self.copy(1))
        with closing(finder.open()) as one, closing(finder.open()) as other:
            assert [list(each) for each in one.propose([original])] == [[]]
            assert [list(each) for each in other.propose([copy])] == [[]]
            other.close()
