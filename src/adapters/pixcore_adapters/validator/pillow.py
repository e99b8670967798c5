"""The validator that really decodes, with Pillow, in child processes that hostile files may hang or crash at will."""

import os
import weakref
from collections import deque
from collections.abc import Generator, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from queue import LifoQueue
from threading import Event
from typing import Self

from pixcore.errors import InvalidRequest
from pixcore.model import Accepted, Download, Rejected
from pixcore_adapters.validator.decoder import Decoder
from pixcore_adapters.validator.picture import Limits, Picture, Refusal

_LEAST_MEMORY = 256 << 20


class PillowValidator:
    """Judges downloads by decoding them, ``workers`` at a time, each in a child process of its own.

    Children are started when first needed and kept until ``close``, the end of a ``with`` block, or the end of this
    object or process, kill -9 included. May be used by several threads at once, which share the children; after a
    fork, the new process starts its own.

    Args:
        limits: What an image may be.
        seconds: How long one image may take; then it is rejected as ``too_slow``.
        memory: How many bytes of data a child may hold, about 60 MB of its own included; an image that needs more is
            rejected as ``too_much_memory``, or ``decoder_died`` where a library cannot say so.
        workers: How many children; None: one a core.
    """

    def __init__(
        self,
        limits: Limits | None = None,
        *,
        seconds: float = 10.0,
        memory: int = 1 << 30,
        workers: int | None = None,
    ) -> None:
        if workers is None:
            workers = os.cpu_count() or 1
        if workers < 1 or seconds <= 0 or memory < _LEAST_MEMORY:
            raise InvalidRequest(
                f"a validator with {workers} workers, {seconds:g} seconds and {memory} bytes of memory cannot work;"
                f" take at least 1 worker, more than 0 seconds and {_LEAST_MEMORY} bytes"
            )
        self._decoders = [Decoder(limits or Limits(), seconds, memory) for _ in range(workers)]
        self._idle = _idle(self._decoders)
        weakref.finalize(self, _close, self._decoders)
        _VALIDATORS.add(self)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the children. Idempotent, and no end: a later call of ``validate`` starts others. Not during one."""
        _close(self._decoders)

    def validate(self, downloads: Iterable[Download]) -> Generator[Accepted | Rejected]:
        """Yield one verdict a download, as the port promises; pulls ahead by two downloads a worker, never more.

        How far it pulls depends on ``workers`` alone, not on time: the same downloads end in the same verdicts.

        Raises:
            TransientError: No decoder child can be started, which says nothing about any download.
            Exception: Whatever ``downloads`` raises, at once; verdicts still to come are dropped.
        """
        ahead: deque[tuple[Download, Future[Picture | Refusal]]] = deque()
        given_up = Event()
        threads = ThreadPoolExecutor(len(self._decoders), "pixcore-decode")
        try:
            for download in downloads:
                ahead.append((download, threads.submit(self._decode, download.path, given_up)))
                if len(ahead) >= 2 * len(self._decoders):
                    yield _verdict(*ahead.popleft())
            while ahead:
                yield _verdict(*ahead.popleft())
        finally:
            given_up.set()
            threads.shutdown(cancel_futures=True)

    def _decode(self, path: Path, given_up: Event) -> Picture | Refusal:
        idle = self._idle
        decoder = idle.get()
        try:
            return decoder.decode(path, given_up)
        finally:
            idle.put(decoder)

    def _after_fork(self) -> None:
        for decoder in self._decoders:
            decoder.forget()
        self._idle = _idle(self._decoders)  # threads of the parent may have held some, or the queue's lock


def _verdict(download: Download, outcome: "Future[Picture | Refusal]") -> Accepted | Rejected:
    found = outcome.result()
    if isinstance(found, Refusal):
        return Rejected(download, found.reason, found.detail)
    return Accepted(download, found.sha256, found.width, found.height, found.format, found.fingerprint)


def _idle(decoders: Sequence[Decoder]) -> "LifoQueue[Decoder]":
    # last in, first out: where one child keeps up, no second is started
    queue: LifoQueue[Decoder] = LifoQueue()
    for decoder in decoders:
        queue.put(decoder)
    return queue


def _close(decoders: Sequence[Decoder]) -> None:
    for decoder in decoders:
        decoder.close()


_VALIDATORS: "weakref.WeakSet[PillowValidator]" = weakref.WeakSet()


def _after_fork() -> None:
    for validator in _VALIDATORS:
        validator._after_fork()  # noqa: SLF001 (this module's own)


os.register_at_fork(after_in_child=_after_fork)
