"""Count and log what a store does in another way than usual, because its server does not support the usual one."""

import logging
from collections import Counter

_logger = logging.getLogger("pixcore")


class Fallbacks:
    """How many blobs were stored in another way, by a sentence that says why and how.

    ``where`` is the URL of the store, for the log.
    """

    def __init__(self, where: str) -> None:
        self.counts: Counter[str] = Counter()
        self._where = where

    def count(self, sentence: str) -> None:
        """Count a blob; log the first one of a sentence, the tenth, the hundredth, and so on."""
        self.counts[sentence] += 1
        if str(number := self.counts[sentence]).rstrip("0") == "1":
            _logger.warning("%s: %s (%d so far)", self._where, sentence, number)
