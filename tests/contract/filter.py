"""The promises of ``pixcore.Filter`` and ``pixcore.PictureFilter``, as tests for any filter."""

import copy
from abc import ABC, abstractmethod
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from attrs import evolve

from pixcore import Accepted, Candidate, CandidateKey, Download, Filter, Fingerprint, Measures, PictureFilter

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

    Change ``PLAIN`` with ``attrs.evolve`` to make the two. For a filter that sees pictures, also override ``picture``.
    """

    @pytest.fixture
    @abstractmethod
    def filter(self) -> Filter | PictureFilter:
        """Return the filter."""

    @abstractmethod
    def kept(self) -> Accepted:
        """Return an image that the filter keeps."""

    @abstractmethod
    def dropped(self) -> Accepted:
        """Return an image that the filter drops."""

    def picture(self, image: Accepted) -> bytes:  # noqa: ARG002 (for those who override it)
        """Return the small picture of an image that ``kept`` or ``dropped`` returned, as a WebP file."""
        return b""

    @pytest.fixture
    def answer(self, filter: Filter | PictureFilter) -> Callable[[Accepted], str]:  # noqa: A002 (the fixture's name)
        """Return the function that asks the filter about an image."""
        if isinstance(filter, PictureFilter):
            return lambda image: filter.fault_of_picture(image, self.picture(image))
        return filter.fault

    def test_it_keeps_and_drops(self, answer: Callable[[Accepted], str]) -> None:
        """An empty answer keeps an image; any other says in one line why not."""
        assert answer(self.kept()) == ""
        fault = answer(self.dropped())
        assert fault.strip()
        assert len(fault.splitlines()) == 1

    def test_the_answer_depends_on_the_image_alone(self, answer: Callable[[Accepted], str]) -> None:
        """A chunk that runs again must keep the same images."""
        answers = [answer(image) for image in (self.kept(), self.dropped())]
        for _ in range(3):
            assert answer(copy.deepcopy(self.dropped())) == answers[1]
            assert answer(copy.deepcopy(self.kept())) == answers[0]

    def test_an_image_without_measures_gets_an_answer(self, answer: Callable[[Accepted], str]) -> None:
        """Other validators may measure nothing and give no grey picture."""
        assert isinstance(answer(evolve(self.kept(), measures=None, grey=b"", mode="")), str)

    def test_an_image_without_a_picture_gets_an_answer(self, filter: Filter | PictureFilter) -> None:  # noqa: A002
        """Not every file can be drawn in time."""
        if isinstance(filter, PictureFilter):
            assert isinstance(filter.fault_of_picture(self.kept(), b""), str)

    def test_it_reads_no_file(self, answer: Callable[[Accepted], str]) -> None:
        """The bytes come from strangers, and only the decoder's child process may open them."""
        assert not self.kept().download.path.exists()
        assert isinstance(answer(self.kept()), str)
