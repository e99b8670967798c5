"""The promises of ``pixcore.Filter``, as tests for any filter."""

import copy
from abc import ABC, abstractmethod
from datetime import UTC, datetime
from pathlib import Path

import pytest
from attrs import evolve

from pixcore import Accepted, Candidate, CandidateKey, Download, Filter, Fingerprint, Measures

_CANDIDATE = Candidate(CandidateKey("folder", "/photos", 0), "0.jpg")
PLAIN = Accepted(
    download=Download(_CANDIDATE, Path("/nowhere/0"), 1000, datetime(2026, 1, 1, tzinfo=UTC)),
    sha256="0" * 64,
    width=640,
    height=480,
    format="JPEG",
    fingerprint=Fingerprint(0, 0, "contract", flat=False),
    grey=bytes(range(256)) * 4,
    mode="RGB",
    measures=Measures(700, 20, 230, 500, 7000, 400, 1333, 0),
)


class FilterContract(ABC):
    """Inherit from it and provide the filter, with one image that it keeps and one that it drops.

    Change ``PLAIN`` with ``attrs.evolve`` to make the two.
    """

    @pytest.fixture
    @abstractmethod
    def filter(self) -> Filter:
        """Return the filter."""

    @abstractmethod
    def kept(self) -> Accepted:
        """Return an image that the filter keeps."""

    @abstractmethod
    def dropped(self) -> Accepted:
        """Return an image that the filter drops."""

    def test_it_keeps_and_drops(self, filter: Filter) -> None:  # noqa: A002 (the name of the fixture)
        """An empty answer keeps an image; any other says in one line why not."""
        assert filter.fault(self.kept()) == ""
        fault = filter.fault(self.dropped())
        assert fault.strip()
        assert len(fault.splitlines()) == 1

    def test_the_answer_depends_on_the_image_alone(self, filter: Filter) -> None:  # noqa: A002 (the name of the fixture)
        """A chunk that runs again must keep the same images."""
        answers = [filter.fault(image) for image in (self.kept(), self.dropped())]
        for _ in range(3):
            assert filter.fault(copy.deepcopy(self.dropped())) == answers[1]
            assert filter.fault(copy.deepcopy(self.kept())) == answers[0]

    def test_an_image_without_measures_gets_an_answer(self, filter: Filter) -> None:  # noqa: A002 (the name of the fixture)
        """Other validators may measure nothing and give no grey picture."""
        assert isinstance(filter.fault(evolve(self.kept(), measures=None, grey=b"", mode="")), str)

    def test_it_reads_no_file(self, filter: Filter) -> None:  # noqa: A002 (the name of the fixture)
        """The bytes come from strangers, and only the decoder's child process may open them."""
        assert not self.kept().download.path.exists()
        assert isinstance(filter.fault(self.kept()), str)
