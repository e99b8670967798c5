"""Confirm proposed twins in a child process, within a bounded time for all images of a chunk."""

import time
from collections.abc import Callable, Sequence
from pathlib import Path

from attrs import asdict

from pixcore.model.comparison import Twin
from pixcore_adapters.twins.messages import Answer, answer_from_json, request_to_json
from pixcore_adapters.validator.decoder import Child
from pixcore_adapters.validator.picture import Limits, Refusal

_MOST = 8  # candidates of an image that are aligned with it
_LOADED = 4  # seconds of waiting that count as one of the deadline, if the child worked less


class Confirmer:
    """Compares the files of one chunk in a child process, which the first comparison starts. Not thread-safe.

    Args:
        limits: The limits within which the validator accepted the files.
        seconds: How long one image may take, with all its candidates.
        memory: How many bytes of data the child may hold.
        deadline: How many seconds of CPU time all comparisons of the chunk may take together. They may take four times
            as many seconds, because other processes may use the CPU, too. So the load of the machine changes hardly
            what is compared.
        clock: Returns seconds; only differences count.
    """

    def __init__(
        self,
        limits: Limits,
        *,
        seconds: float = 20.0,
        memory: int = 1 << 30,
        deadline: float = 300.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._left = deadline
        self._clock = clock
        self._child: Child[tuple[Path, Sequence[Path]], Answer] = Child(
            "pixcore_adapters.twins.child",
            {"limits": asdict(limits)},
            seconds,
            memory,
            encode=request_to_json,
            decode=answer_from_json,
        )

    def find(self, image: Path, candidates: Sequence[Path]) -> Twin | None:
        """Return the candidate that shows the same picture as the image, or None if none surely does.

        The nearest candidates come first; only the first 8 are compared. Also return None if a file crashes the child,
        takes too long or is missing, or once the deadline of the chunk has passed: an image that cannot be compared
        is kept.

        Raises:
            TransientError: No child can be started.
        """
        if not candidates or self._left <= 0:
            return None
        began = self._clock()
        self._child.give((image, candidates[:_MOST]))
        answer = self._child.take()
        waited = self._clock() - began
        self._left -= waited if isinstance(answer, Refusal) else max(answer.cpu, waited / _LOADED)
        return None if isinstance(answer, Refusal) else answer.twin

    def close(self) -> None:
        """End the child. Idempotent."""
        self._child.close()
