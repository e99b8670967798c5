"""The progress of a delivered chunk, as every queue shows it."""

from attrs import define, field

from pixcore.chunk.events import (
    CandidateMissed,
    ChunkClaimed,
    ChunkCompleted,
    ChunkEnded,
    ChunkFailed,
    ChunkGivenBack,
    ChunkLost,
    Event,
    ImageAccepted,
    ImageRejected,
    ImageReplaced,
    ImageWithdrawn,
    PhaseEntered,
)
from pixcore.model.chunks import Phase
from pixcore.model.images import CandidateKey


@define(eq=False)
class ChunkProgress:
    """Counts the events of one chunk after another; ``as_json`` returns the counts."""

    _chunk: str = field(init=False, default="")
    _phase: Phase = field(init=False, default=Phase.INIT)
    _target: int = field(init=False, default=0)
    _accepted: int = field(init=False, default=0)
    _rejected: int = field(init=False, default=0)
    _missed: set[CandidateKey] = field(init=False, factory=set[CandidateKey])

    def update(self, event: Event) -> bool:
        """Count an event; return whether it changed what ``as_json`` returns."""
        match event:
            case ChunkClaimed(chunk=chunk, request=request):
                self._chunk, self._target = str(chunk), request.target
                self._phase = Phase.INIT
                self._accepted = self._rejected = 0
                self._missed.clear()
            case PhaseEntered(phase=phase):
                self._phase = phase
            case ImageAccepted(image=image):
                self._accepted += 1
                self._missed.discard(image.download.candidate.key)
            case ImageRejected(image=image):
                self._rejected += 1
                self._missed.discard(image.download.candidate.key)
            case ImageReplaced(image=image):
                self._rejected += 1
                self._missed.discard(image.download.candidate.key)
            case ImageWithdrawn():
                self._accepted -= 1
                self._rejected += 1
            case CandidateMissed(miss=miss):
                self._missed.add(miss.candidate.key)
            case ChunkCompleted():
                self._phase = Phase.COMPLETE
            case ChunkFailed() | ChunkGivenBack() | ChunkLost():
                self._phase = Phase.ERROR
            case _:
                return False
        return True

    def as_json(self) -> dict[str, object]:
        """Return ``chunk, phase, accepted, target, rejected, missed`` as JSON values."""
        return {
            "chunk": self._chunk,
            "phase": str(self._phase),
            "accepted": self._accepted,
            "target": self._target,
            "rejected": self._rejected,
            "missed": len(self._missed),
        }


def is_milestone(event: Event) -> bool:
    """Return whether to show the event immediately: a start, a phase or an end, not one of hundreds of images."""
    return isinstance(event, ChunkClaimed | PhaseEntered | ChunkEnded)
