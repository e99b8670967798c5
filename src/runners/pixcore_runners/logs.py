"""The documented import path of the names of ``pixcore_runners.observing``, kept for callers."""

from pixcore_runners.observing.chunk_lines import LogObserver
from pixcore_runners.observing.logs import ChunkContext

__all__ = ["ChunkContext", "LogObserver"]
