"""Comparison of the pipeline's verdict on each file of the demo with the expected verdict."""

from collections import Counter
from urllib.parse import unquote, urlsplit

from attrs import define, field, frozen

from pixcore.chunk.events import CandidateMissed, Event, ImageAccepted, ImageRejected, ImageReplaced, ImageWithdrawn
from pixcore.model.images import Candidate
from pixcore_runners.demo.planting import ACCEPTED, Kind, Planted

UNSEEN = "never seen"


@frozen
class Category:
    """One kind of planted file: the number of files, and the number that got each verdict."""

    kind: Kind
    planted: int
    found: Counter[str]

    @property
    def as_expected(self) -> bool:
        """Whether every file of this kind got the expected verdict."""
        return self.found == {self.kind.verdict: self.planted}


@define
class Verdicts:
    """An observer that records the verdict on every file of a planted folder."""

    planted: Planted
    _found: dict[str, str] = field(init=False, factory=dict)  # by path below the planted folder

    def __call__(self, event: Event) -> None:
        """Record the verdict of an event."""
        match event:
            case ImageAccepted(image=image):
                self._record(image.download.candidate, ACCEPTED)
            case ImageRejected(image=image) | ImageWithdrawn(image=image):
                self._record(image.download.candidate, image.reason)
            case ImageReplaced(image=image, rejected=rejected):
                self._record(image.download.candidate, ACCEPTED)
                self._record(rejected.download.candidate, rejected.reason)
            case CandidateMissed(miss=miss):
                self._record(miss.candidate, miss.reason)
            case _:
                pass

    def categories(self) -> list[Category]:
        """Return every kind that was planted, in the order of ``Kind``."""
        planted = Counter(self.planted.files.values())
        found: dict[Kind, Counter[str]] = {kind: Counter() for kind in planted}
        for path, kind in self.planted.files.items():
            found[kind][self._found.get(path, UNSEEN)] += 1
        return [Category(kind, planted[kind], found[kind]) for kind in Kind if kind in planted]

    def _record(self, candidate: Candidate, verdict: str) -> None:
        path = unquote(urlsplit(candidate.url).path).removeprefix("/")
        self._found[path] = str(verdict)
