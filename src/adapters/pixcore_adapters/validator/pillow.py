"""The validator that really decodes, with Pillow, in child processes that hostile files may hang or crash at will."""

import os
import weakref
from collections import deque
from collections.abc import Generator, Iterable, Sequence
from contextlib import suppress
from functools import partial
from typing import Self

from pixcore.errors import InvalidRequest, TransientError
from pixcore.model.images import Accepted, Download, Rejected
from pixcore_adapters.validator.decoder import Decoder
from pixcore_adapters.validator.picture import Limits, Refusal

_LEAST_MEMORY = 256 << 20
_AHEAD = 2  # downloads a child: one that it decodes, and one to go on with


class PillowValidator:
    """Judges downloads by decoding them in child processes, ``workers`` of them for each call of ``validate``.

    Children are started when first needed and kept for later calls until ``close``, the end of a ``with`` block, or the
    end of this object or process, kill -9 included. May be used by several threads at once; after a fork, the new
    process starts its own.

    Args:
        limits: What an image may be.
        seconds: How long one image may take; then it is rejected as ``too_slow``.
        memory: How many bytes of data a child may hold, about 60 MB of its own included; an image that needs more is
            rejected as ``too_much_memory``, or ``decoder_died`` where a library cannot say so.
        workers: How many children a call has; None: one a core.
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
        self._workers = workers
        self._new = partial(Decoder, limits or Limits(), seconds, memory)
        self._decoders: list[Decoder] = []
        self._idle: list[Decoder] = []
        weakref.finalize(self, _close, self._decoders)
        _VALIDATORS.add(self)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the children. Idempotent, and no end: a later call of ``validate`` starts others. Not during one."""
        _close(self._decoders)

    def start(self) -> None:
        """Start the first child now, which imports while this process does something else.

        Only the first: more would take the cores from this process. If it cannot be started, a later call will tell.
        """
        first = self._lent()
        self._idle.append(first)
        with suppress(TransientError):
            first.start()

    def validate(self, downloads: Iterable[Download]) -> Generator[Accepted | Rejected]:
        """Yield one verdict a download, as the port promises; pulls ahead by two downloads a worker, never more.

        How far it pulls depends on ``workers`` alone, not on time: the same downloads end in the same verdicts.

        Raises:
            TransientError: No decoder child can be started, which says nothing about any download.
            Exception: Whatever ``downloads`` raises, at once; verdicts still to come are dropped.
        """
        ahead: deque[tuple[Download, Decoder]] = deque()
        decoders = [self._lent() for _ in range(self._workers)]
        try:
            for download in downloads:
                decoder = min(decoders, key=Decoder.load)
                ahead.append((download, decoder))
                decoder.give(download.path)
                if len(ahead) >= _AHEAD * len(decoders):
                    yield _verdict(*ahead.popleft())
            while ahead:
                yield _verdict(*ahead.popleft())
        finally:
            for decoder in decoders:
                decoder.settle()
            self._idle += decoders

    def _lent(self) -> Decoder:
        try:
            return self._idle.pop()
        except IndexError:
            self._decoders.append(self._new())
            return self._decoders[-1]

    def _after_fork(self) -> None:
        for decoder in self._decoders:
            decoder.forget()
        self._idle = list(self._decoders)


def _verdict(download: Download, decoder: Decoder) -> Accepted | Rejected:
    found = decoder.take()
    if isinstance(found, Refusal):
        return Rejected(download, found.reason, found.detail)
    return Accepted(
        download=download,
        sha256=found.sha256,
        width=found.width,
        height=found.height,
        format=found.format,
        fingerprint=found.fingerprint,
        grey=found.grey,
        frames=found.frames,
        mode=found.mode,
        orientation=found.orientation,
        measures=found.measures,
    )


def _close(decoders: Sequence[Decoder]) -> None:
    for decoder in decoders:
        decoder.close()


_VALIDATORS: "weakref.WeakSet[PillowValidator]" = weakref.WeakSet()


def _after_fork() -> None:
    for validator in _VALIDATORS:
        validator._after_fork()  # noqa: SLF001 (this module's own)


os.register_at_fork(after_in_child=_after_fork)
