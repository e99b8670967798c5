"""The log lines under the name that the documents gave before they moved to ``pixcore_runners.observing``."""

from pixcore_runners.observing.logs import ChunkContext, LogObserver

__all__ = ["ChunkContext", "LogObserver"]
