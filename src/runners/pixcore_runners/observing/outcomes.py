"""The end of an attempt as one word, for metrics and traces."""

from pixcore.chunk.events import (
    ChunkCompleted,
    ChunkEnded,
    ChunkFailed,
    ChunkGivenBack,
    ChunkInterrupted,
    ChunkLost,
)


def outcome_of(event: ChunkEnded) -> str:
    """Return how the attempt ended. There are few values, so it may be a label."""
    match event:
        case ChunkCompleted():
            return "completed"
        case ChunkFailed(status=status):
            return status or "unrecorded"
        case ChunkInterrupted():
            return "interrupted"
        case ChunkGivenBack():
            return "given_back"
        case ChunkLost():
            return "lost"
        case _:
            return "unknown"
