"""Metrics for Prometheus, correct with many processes, also if they are killed.

Each process that runs chunks counts in memory-mapped files of its own, which ``MultiProcessCollector`` adds up. A file
belongs to a numbered slot, and a slot to the process that holds the lock beside it. When that process ends or is
killed, the next one takes the slot and continues from its values. So no count is lost, no two processes write to one
file, and there are never more files than processes ran at one time, although a queue may fork a process for each chunk.

The registry of ``prometheus_client`` belongs to the program around pixcore and is not used. Its ``mmap_dict``, which
writes the files, is no documented interface: pyproject.toml bounds the version, tests/unit/test_metrics_files.py tests
the parts that are used.
"""

import fcntl
import os
import re
import threading
from collections.abc import Mapping
from itertools import count
from pathlib import Path
from typing import IO, Any

from attrs import define, field
from prometheus_client.mmap_dict import MmapedDict, mmap_key
from prometheus_client.utils import floatToGoString

from pixcore import InvalidRequest
from pixcore.chunk.events import (
    CandidateMissed,
    ChunkCompleted,
    ChunkEnded,
    Event,
    ImageAccepted,
    ImageRejected,
    ImageReplaced,
    ImageWithdrawn,
    StepRetried,
)
from pixcore.model.chunks import ChunkResult
from pixcore_runners.observing.delivered import DeliveryEnded
from pixcore_runners.observing.outcomes import outcome_of

# Upper bounds of the histograms, in seconds; the last finite one is the usual deadline of a chunk.
BUCKETS = (0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1500.0, float("inf"))
_LE = {bound: str(floatToGoString(bound)) for bound in BUCKETS}  # type: ignore[no-untyped-call]

_HELP = {
    "pixcore_attempts": "Attempts at chunks that ended, by outcome; pending: failed, to be retried.",
    "pixcore_deliveries": "Deliveries of chunks by a queue that ended, by outcome.",
    "pixcore_images_accepted": "Images accepted.",
    "pixcore_images_rejected": "Images rejected, by reason.",
    "pixcore_images_missed": "Candidates whose bytes could not be fetched, by reason.",
    "pixcore_retries": "Steps that failed and were retried within an attempt, by phase.",
    "pixcore_archive_bytes": "Bytes of the archives of completed chunks.",
    "pixcore_phase_seconds": "Seconds that completed chunks spent in each phase.",
    "pixcore_chunk_seconds": "Seconds that completed chunks spent in all phases.",
}

# Bytes of a new file: more than all series need. Written in full, because writing into a hole of a full disk kills.
_SIZE = 1 << 18

_HTTP = re.compile(r"http_(\d)\d\d")  # there are 900 codes; the label has only their classes


@define(eq=False)
class Metrics:
    """An observer that counts in a folder of this machine until it is closed. Safe for threads, and after a fork.

    Raises:
        InvalidRequest: The folder cannot be created.
    """

    folder: Path
    _slot: "_Slot | None" = field(init=False, default=None)
    _pid: int = field(init=False, factory=os.getpid)
    _lock: threading.Lock = field(init=False, factory=threading.Lock)

    def __attrs_post_init__(self) -> None:
        create_folder(self.folder)

    def __call__(self, event: Event) -> None:
        """See ``pixcore.chunk.events.Observer``.

        Raises:
            OSError: The folder cannot be written to.
        """
        if self._pid != os.getpid():  # a fork inherits the lock in any state, and the slot of its parent
            self._lock = threading.Lock()
            self.close()
            self._pid = os.getpid()
        with self._lock:
            slot = self._slot = self._slot or _Slot.first_free(self.folder)
            match event:
                case ImageAccepted():
                    slot.count("pixcore_images_accepted")
                case ImageRejected(image=image) | ImageReplaced(rejected=image) | ImageWithdrawn(image=image):
                    slot.count("pixcore_images_rejected", reason=image.reason)
                case CandidateMissed(miss=miss):
                    slot.count("pixcore_images_missed", reason=_HTTP.sub(r"http_\1xx", miss.reason))
                case StepRetried(phase=phase):
                    slot.count("pixcore_retries", phase=phase)
                case DeliveryEnded(outcome=outcome):
                    slot.count("pixcore_deliveries", outcome=outcome)
                case ChunkEnded():
                    slot.count("pixcore_attempts", outcome=outcome_of(event))
                    if isinstance(event, ChunkCompleted):
                        _completed(slot, event.result)

    def close(self) -> None:
        """Release the files for the next process. A later event takes files again. Idempotent."""
        with self._lock:
            slot, self._slot = self._slot, None
            if slot:
                slot.close()


@define(eq=False)
class _Slot:
    """The files of one number. They belong to this process until it ends."""

    lock: IO[bytes]  # the lock is held while this file is open
    counters: Any  # prometheus_client gives its MmapedDict no types
    histograms: Any

    @classmethod
    def first_free(cls, folder: Path) -> "_Slot":
        """Return the slot of the lowest number that no live process holds."""
        for number in count():
            lock = (folder / f"{number}.lock").open("ab")
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                lock.close()
            else:
                return cls(lock, *(_file(folder, kind, number) for kind in ("counter", "histogram")))
        raise AssertionError  # count() has no end

    def close(self) -> None:
        """Close the files, then release the lock."""
        self.counters.close()
        self.histograms.close()
        self.lock.close()

    def count(self, metric: str, amount: float = 1, **labels: str) -> None:
        """Add to a counter."""
        _add(self.counters, metric, "_total", labels, amount)

    def observe(self, metric: str, seconds: float, **labels: str) -> None:
        """Count a duration. A file holds each bucket by itself; the collector makes them cumulative."""
        bucket = next(bound for bound in BUCKETS if seconds <= bound)
        for bound in BUCKETS:  # write all buckets: Prometheus cannot read a histogram that lacks some
            _add(self.histograms, metric, "_bucket", {**labels, "le": _LE[bound]}, float(bound == bucket))
        _add(self.histograms, metric, "_sum", labels, seconds)


def _add(file: Any, metric: str, suffix: str, labels: Mapping[str, str], amount: float) -> None:  # noqa: ANN401 - untyped
    key = mmap_key(metric, metric + suffix, list(labels), list(labels.values()), _HELP[metric])
    value, _ = file.read_value(key)
    file.write_value(key, value + amount, 0.0)


def _file(folder: Path, kind: str, number: int) -> Any:  # noqa: ANN401 - untyped
    """Open the values of that kind. The collector reads the kind from the file's name."""
    path = folder / f"{kind}_{number}.db"
    if not path.exists():
        fresh = path.with_suffix(".new")
        fresh.write_bytes(bytes(_SIZE))
        fresh.rename(path)  # so that no process reads half a file
    return MmapedDict(str(path))  # type: ignore[no-untyped-call]


def _completed(slot: _Slot, result: ChunkResult) -> None:
    slot.count("pixcore_archive_bytes", result.bytes)
    for phase, seconds in result.seconds.items():
        slot.observe("pixcore_phase_seconds", seconds, phase=phase)
    slot.observe("pixcore_chunk_seconds", sum(result.seconds.values()))


def create_folder(folder: Path) -> None:
    """Create the folder of the metrics, if it does not exist.

    Raises:
        InvalidRequest: It cannot be created.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as exc:
        raise InvalidRequest(
            f"metrics_dir {folder} cannot be created ({exc.strerror}); set it to a folder of this machine that pixcore"
            " may write to"
        ) from exc
