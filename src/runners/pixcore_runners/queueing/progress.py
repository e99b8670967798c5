"""How far the chunk of a delivery has come, as every queue shows it."""

from attrs import define, field

from pixcore.chunk.events import (
    CandidateMissed,
    ChunkClaimed,
    ChunkCompleted,
    ChunkEnded,
    ChunkFailed,
    ChunkLost,
    Event,
    ImageAccepted,
    ImageRejected,
    PhaseEntered,
)
from pixcore.model.chunks import Phase
from pixcore.model.images import CandidateKey


@define(eq=False)
class Standing:
    """Kept up by ``take``; ``shown`` is what there is to show, as JSON takes it."""

    _chunk: str = field(init=False, default="")
    _phase: Phase = field(init=False, default=Phase.INIT)
    _target: int = field(init=False, default=0)
    _accepted: int = field(init=False, default=0)
    _rejected: int = field(init=False, default=0)
    _missed: set[CandidateKey] = field(init=False, factory=set[CandidateKey])

    def take(self, event: Event) -> bool:
        """Take an event in; gives whether there is something new to show."""
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
            case CandidateMissed(miss=miss):
                self._missed.add(miss.candidate.key)
            case ChunkCompleted():
                self._phase = Phase.COMPLETE
            case ChunkFailed() | ChunkLost():
                self._phase = Phase.ERROR
            case _:
                return False
        return True

    def shown(self) -> dict[str, object]:
        """``chunk, phase, accepted, target, rejected, missed``."""
        return {
            "chunk": self._chunk,
            "phase": str(self._phase),
            "accepted": self._accepted,
            "target": self._target,
            "rejected": self._rejected,
            "missed": len(self._missed),
        }


def is_news(event: Event) -> bool:
    """Whether to show it at once: a beginning, a phase or an end; images come by the hundred."""
    return isinstance(event, ChunkClaimed | PhaseEntered | ChunkEnded)
