"""The documented import path of ``pixcore_runners.observing.logs``, kept for callers."""

from pixcore_runners.observing.logs import ChunkContext, LogObserver

__all__ = ["ChunkContext", "LogObserver"]
