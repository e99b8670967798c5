"""Rest: a worker takes no chunks while its machine or a service does not work, and goes on by itself afterwards.

Without it, one machine with a full disk takes chunk after chunk from the others, and gives each of them back.
"""

import logging
import struct
import time
from collections.abc import Callable
from contextlib import suppress
from itertools import count
from mmap import mmap

from attrs import define, field

from pixcore import Fault, MachineUnfit, PixcoreError, RestingWorker, StatusRepo, StatusUnavailable
from pixcore.chunk.events import ChunkCompleted, ChunkGivenBack, Event
from pixcore.chunk.retry import RetryPolicy
from pixcore.errors import is_shared, one_line
from pixcore_runners.assembly.assembly import Assembly, assemble_for_worker
from pixcore_runners.assembly.imaging import validating
from pixcore_runners.observing.logs import this_worker
from pixcore_runners.settings import Settings

# Between two probes: 2 s at first, at most 2 minutes. Random, so that a fleet does not return at one moment.
PACE = RetryPolicy(attempts=1, first=2.0, longest=120.0, jitter=1.0)

_POLL = 0.2  # seconds between two checks whether to stop
_MARGIN = 60.0  # seconds that the note of a rest outlives the next probe

_logger = logging.getLogger("pixcore")


class SharedRest:
    """What the processes of one worker know about its rest, in memory that forks share. Needs no lock."""

    _FORM = struct.Struct("<QQQQQ")

    def __init__(self) -> None:
        self._memory = mmap(-1, self._FORM.size)

    @property
    def resting(self) -> bool:
        """Whether the worker rests, or has to."""
        return bool(self._read()[0])

    @property
    def faults(self) -> int:
        """How many chunks were given back since the last one that was completed."""
        return self._read()[1]

    @property
    def room(self) -> tuple[int, int]:
        """The bytes that the last chunk lacked, in the work directory and in the store."""
        return self._read()[2:4]

    @property
    def ended(self) -> int:
        """How many rests have ended. Adapters from before the last one may hold credentials that are refused."""
        return self._read()[4]

    def begin(self, work: int = 0, store: int = 0) -> None:
        """Make the worker rest until a probe passes with this many bytes of room."""
        _, faults, _, _, ended = self._read()
        self._write(1, faults + 1, work, store, ended)

    def reset(self) -> None:
        """Begin anew, for a worker that replaces another one."""
        self._write(0, 0, 0, 0, 0)

    def end(self) -> None:
        """End the rest."""
        _, faults, _, _, ended = self._read()
        self._write(0, faults, 0, 0, ended + 1)

    def observe(self, event: Event) -> None:
        """Begin a rest when a chunk is given back. An observer of a pipeline."""
        match event:
            case ChunkGivenBack(work=work, store=store):
                self.begin(work, store)
            case ChunkCompleted():
                resting, _, work, store, ended = self._read()
                self._write(resting, 0, work, store, ended)

    def _read(self) -> tuple[int, int, int, int, int]:
        values: tuple[int, int, int, int, int] = self._FORM.unpack(self._memory[:])
        return values

    def _write(self, *values: int) -> None:
        self._memory[:] = self._FORM.pack(*values)


@define(eq=False)
class Rest:
    """The rest of one worker.

    Attributes:
        shared: What the worker's processes know about it.
        probe: As for ``pixcore.chunk.dependencies.Dependencies``.
        status: Returns the status database, which shows operators that the worker rests.
        pause: Waits some seconds; returns early once the worker is to stop.
        clock: Returns seconds.
        patience: After how many seconds without success to give up; None: never.
    """

    shared: SharedRest
    probe: Callable[[int, int], PixcoreError | None]
    status: Callable[[], StatusRepo]
    pause: Callable[[float], object] = time.sleep
    clock: Callable[[], float] = time.monotonic
    patience: float | None = None
    _first: float = field(init=False, default=0.0)
    name: str = field(factory=this_worker)

    def begin_if_unfit(self) -> None:
        """Begin a rest if a worker that starts cannot run chunks. Its first chunk would show it too late."""
        if found := self.probe(0, 0):
            _logger.warning("the check before the first chunk has failed, and is repeated: %s", one_line(found))
            self.shared.begin()

    def until_fit(self, stopping: Callable[[], bool]) -> None:
        """Rest until the probe passes, if the worker has to. Even if it passes at once, one pause comes first.

        The pauses grow with the chunks that were given back one after another, in case the probe finds no fault.

        Raises:
            MachineUnfit: The patience is over.
        """
        if not self.shared.resting:
            return
        began, reason = self.clock(), ""
        if self.shared.faults <= 1:
            self._first = began
        try:
            for tries in count():
                found = self.probe(*self.shared.room)
                if stopping() or (tries and not found):
                    break
                wait = PACE.wait(max(1, self.shared.faults) + tries)
                if self.patience is not None and (found or self.shared.faults > 1):
                    self._give_up(found)
                if found:
                    reason = self._announce(found, wait, reason)
                self.pause(wait)
        finally:  # a worker that ends, perhaps by an exception of its queue, rests no longer
            if reason:
                with suppress(PixcoreError):
                    self.status().resume(self.name)
        self.shared.end()
        if reason and not stopping():
            _logger.info("this worker takes chunks again, after a rest of %.0f s", self.clock() - began)

    def _give_up(self, found: PixcoreError | None) -> None:
        """Raise if no chunk was completed since the first one was given back, for longer than the patience."""
        if self.patience is not None and self.clock() - self._first >= self.patience:
            why = one_line(found) if found else "each was given back; the lines above say why"
            raise MachineUnfit(f"no chunk could be run for {self.patience:.0f} s: {why}")

    def _announce(self, found: PixcoreError, wait: float, shown: str) -> str:
        reason = one_line(found)
        if reason != shown:
            _logger.warning("this worker takes no chunks: %s; the next check is in %.0f s", reason, wait)
        fault = found.fault if found.fault is Fault.MACHINE else Fault.SERVICE
        with suppress(PixcoreError):  # the status database may be what does not work
            self.status().rest(RestingWorker(self.name, fault, reason), wait + _MARGIN)
        return reason


def check_queue(assembly: Assembly, runner: str) -> None:
    """Refuse a queue with chunks of another store, when a worker starts. If the store does not work, do nothing.

    Raises:
        InvalidRequest: The queue holds chunks of another store.
        StatusUnavailable: The status database cannot be reached.
    """
    try:
        assembly.require_queue(runner)
    except StatusUnavailable:
        raise
    except PixcoreError as error:
        if not is_shared(error):
            raise


def worker_rest(settings: Settings, shared: SharedRest, pause: Callable[[float], object]) -> Rest:
    """Return the rest of a queue's worker. Every probe makes new adapters, which read credentials again."""

    def probe(work: int, store: int) -> PixcoreError | None:
        try:
            assembly = assemble_for_worker(settings)
            with validating(settings) as validator:
                return assembly.find_fault(validator, work, store)
        except PixcoreError as error:
            return error

    return Rest(shared, probe, lambda: assemble_for_worker(settings).status, pause)


def pausing(stopping: Callable[[], bool], beat: Callable[[], object] = lambda: None) -> Callable[[float], None]:
    """Return a function that waits some seconds, or less once the worker stops. Calls ``beat`` meanwhile."""

    def pause(seconds: float) -> None:
        until = time.monotonic() + seconds
        while not stopping() and (left := until - time.monotonic()) > 0:
            beat()
            time.sleep(min(_POLL, left))

    return pause
