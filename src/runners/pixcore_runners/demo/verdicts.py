"""What the pipeline found in the demo's folder, file by file, set against what was planted."""

from collections import Counter
from urllib.parse import unquote, urlsplit

from attrs import define, field, frozen

from pixcore.chunk.events import CandidateMissed, Event, ImageAccepted, ImageRejected
from pixcore.model.images import Candidate
from pixcore_runners.demo.planting import ACCEPTED, Kind, Planted

UNSEEN = "never seen"


@frozen
class Category:
    """One kind of planted file: how many there are, and how many got each verdict."""

    kind: Kind
    planted: int
    found: Counter[str]

    @property
    def as_expected(self) -> bool:
        """Whether every file of this kind got the verdict it must get."""
        return self.found == {self.kind.verdict: self.planted}


@define
class Verdicts:
    """An observer that notes the verdict on every file of a planted folder."""

    planted: Planted
    _found: dict[str, str] = field(init=False, factory=dict)  # by path below the planted folder

    def __call__(self, event: Event) -> None:
        """Take an event in."""
        match event:
            case ImageAccepted(image=image):
                self._note(image.download.candidate, ACCEPTED)
            case ImageRejected(image=image):
                self._note(image.download.candidate, image.reason)
            case CandidateMissed(miss=miss):
                self._note(miss.candidate, miss.reason)
            case _:
                pass

    def categories(self) -> list[Category]:
        """Every kind that was planted, in the order of ``Kind``."""
        planted = Counter(self.planted.files.values())
        found: dict[Kind, Counter[str]] = {kind: Counter() for kind in planted}
        for path, kind in self.planted.files.items():
            found[kind][self._found.get(path, UNSEEN)] += 1
        return [Category(kind, planted[kind], found[kind]) for kind in Kind if kind in planted]

    def _note(self, candidate: Candidate, verdict: str) -> None:
        path = unquote(urlsplit(candidate.url).path).removeprefix("/")
        self._found[path] = str(verdict)
