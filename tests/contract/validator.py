"""The contract of every validator: tests of the promises in ``pixcore.ports.validator``."""

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest

from pixcore.model.images import Accepted, Candidate, CandidateKey, Download, Rejected, RejectReason
from pixcore.ports import Validator

Store = Callable[..., list[Download]]


def verdicts(validator: Validator, downloads: Iterable[Download]) -> list[str]:
    """Return the verdicts as text: ``accepted``, or the reason of the rejection."""
    return [
        str(verdict.reason) if isinstance(verdict, Rejected) else "accepted"
        for verdict in validator.validate(downloads)
    ]


class ValidatorContract(ABC):
    """A subclass provides the ``validator`` fixture and bytes that this validator understands."""

    LOOK_AHEAD = 64  # downloads; enough to keep the workers of any validator busy

    @pytest.fixture
    @abstractmethod
    def validator(self) -> Validator:
        """Return a validator with its default limits."""

    @abstractmethod
    def picture(self, seed: int) -> bytes:
        """Build a picture of at least 50 x 50 pixels; each seed gives a different one."""

    @abstractmethod
    def damaged(self) -> bytes:
        """Build a truncated picture."""

    @pytest.fixture
    def store(self, tmp_path: Path) -> Store:
        """Write bytes to files, as a downloader does."""

        def store(*contents: bytes) -> list[Download]:
            downloads = []
            for number, content in enumerate(contents):
                path = tmp_path / f"{number}.jpg"
                path.write_bytes(content)
                candidate = Candidate(CandidateKey("test", "", number), f"{number}.jpg")
                downloads.append(Download(candidate, path, len(content), datetime.now(UTC)))
            return downloads

        return store

    def test_one_verdict_a_download_in_order(self, validator: Validator, store: Store) -> None:
        """Rows and counters depend on it."""
        good = [self.picture(seed) for seed in range(12)]
        downloads = store(*good[:6], b"no picture", *good[6:], b"")
        found = list(validator.validate(downloads))
        assert [verdict.download for verdict in found] == downloads
        assert [type(verdict) for verdict in found] == [Accepted] * 6 + [Rejected] + [Accepted] * 6 + [Rejected]

    def test_nothing_in_nothing_out(self, validator: Validator) -> None:
        """A slice may have no candidates."""
        assert list(validator.validate([])) == []

    def test_accepted_states_the_bytes_at_the_path(self, validator: Validator, store: Store) -> None:
        """The archive's checksums are computed from it."""
        [download] = store(self.picture(1))
        [accepted] = validator.validate([download])
        assert isinstance(accepted, Accepted)
        assert accepted.sha256 == hashlib.sha256(self.picture(1)).hexdigest()
        assert min(accepted.width, accepted.height) >= 50
        assert accepted.format
        assert accepted.fingerprint.method
        assert len(accepted.grey) in (0, 32 * 32)
        assert accepted.frames == 1
        assert accepted.orientation in range(1, 9)

    def test_bad_files_are_rejected_with_their_reasons(self, validator: Validator, store: Store) -> None:
        """The counters distinguish the reasons."""
        downloads = store(b"<!DOCTYPE html><p>Not found", b"", self.damaged())
        assert verdicts(validator, downloads) == [
            RejectReason.NOT_AN_IMAGE,
            RejectReason.NOT_AN_IMAGE,
            RejectReason.DAMAGED,
        ]

    def test_a_file_that_cannot_be_read_is_a_verdict(self, validator: Validator, store: Store) -> None:
        """Whatever is at the path, no exception is raised, and the next download is validated."""
        gone, folder, fine = store(b"", b"", self.picture(1))
        gone.path.unlink()
        folder.path.unlink()
        folder.path.mkdir()
        assert verdicts(validator, [gone, folder, fine]) == [RejectReason.NOT_AN_IMAGE] * 2 + ["accepted"]

    def test_pulls_ahead_by_a_bounded_number(self, validator: Validator, store: Store) -> None:
        """Otherwise the whole source would be downloaded before the first verdict."""
        downloads = store(*[self.picture(1)] * (3 * self.LOOK_AHEAD))
        pulled = iter(downloads)
        with closing(validator.validate(pulled)) as found:
            next(found)
            assert len(list(pulled)) >= len(downloads) - self.LOOK_AHEAD

    def test_pulls_nothing_before_the_first_verdict_is_requested(self, validator: Validator, store: Store) -> None:
        """It is lazy: a chunk that is cancelled before it starts fetches nothing."""
        pulled = iter(store(self.picture(1)))
        validator.validate(pulled).close()
        assert len(list(pulled)) == 1

    def test_may_be_closed_early_and_used_again(self, validator: Validator, store: Store) -> None:
        """A chunk stops at its target; the worker goes on with the next chunk."""
        downloads = store(*(self.picture(seed) for seed in range(6)))
        with closing(validator.validate(downloads)) as found:
            next(found)
        assert verdicts(validator, downloads) == ["accepted"] * 6

    def test_an_error_of_the_source_passes_through(self, validator: Validator, store: Store) -> None:
        """The pipeline handles a source that fails."""

        def failing() -> Iterator[Download]:
            yield from store(self.picture(1))
            raise ConnectionError("the source is gone")

        with pytest.raises(ConnectionError, match="the source is gone"):
            list(validator.validate(failing()))

    def test_leaves_the_files_as_they_are(self, validator: Validator, store: Store) -> None:
        """They are packed afterwards, and may be the files of a user's folder."""
        contents = [self.picture(1), self.damaged(), b"no picture"]
        downloads = store(*contents)
        list(validator.validate(downloads))
        assert [download.path.read_bytes() for download in downloads] == contents
        assert len(list(downloads[0].path.parent.iterdir())) == len(contents)
