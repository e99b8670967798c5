"""Answer the probes of supervisors for the worker of a queue, in a process of its own.

A process and not a thread, because a worker forks, and a fork copies locks that another thread holds. It shows a worker
that hangs whatever hangs in it, and it ends with the worker.
"""

import os
import signal
import time
from collections.abc import Callable, Sequence

from attrs import define, field, frozen

from pixcore.errors import one_line
from pixcore.stored.identity import identity_of
from pixcore_runners.assembly.assembly import Assembly, assemble_for_worker
from pixcore_runners.assembly.rest import SharedRest
from pixcore_runners.direct.forks import fork, signals_held, signals_to_default
from pixcore_runners.observing.pulse import LATE, Pulse
from pixcore_runners.observing.web import Server, bound, probes, serve
from pixcore_runners.queueing.runner import Queue, open_runner
from pixcore_runners.settings import Settings

_EVERY = 10.0  # seconds between two checks of the services
_STALE = 60.0  # seconds after which the answer of a check is no longer believed
_POLL = 0.5  # seconds between two checks whether the worker is gone


@frozen
class Loop:
    """A loop that takes chunks: its pulse, and its rest."""

    pulse: Pulse = field(factory=Pulse)
    rest: SharedRest = field(factory=SharedRest)


@define(eq=False)
class Health:
    """What the probes of a worker answer.

    Attributes:
        loops: The loops of the worker.
        services: Raises if the status database, the store or the broker does not work.
        late: Seconds without a beat after which a loop counts as dead.
        clock: Returns seconds.
    """

    loops: Sequence[Loop]
    services: Callable[[], object]
    late: float = LATE
    clock: Callable[[], float] = time.monotonic
    _fault: str = field(init=False, default="the services have not been checked yet")
    _checked: float | None = field(init=False, default=None)

    def check(self) -> None:
        """Check the services. May take as long as they do."""
        try:
            self.services()
        except Exception as error:  # noqa: BLE001 - whatever it is, the services do not work
            self._fault = one_line(error)
        else:
            self._fault = ""
        self._checked = self.clock()

    def live(self) -> str:
        """Return why the worker must be restarted, or ``""``."""
        return next(filter(None, (loop.pulse.fault(self.late) for loop in self.loops)), "")

    def ready(self) -> str:
        """Return why the worker takes no chunks, or could not run one, or ``""``."""
        if dead := self.live():
            return dead
        if any(loop.rest.resting for loop in self.loops):
            return "the worker rests; its log and `pixcore status --watch` say why"
        if any(loop.pulse.silence is None for loop in self.loops):
            return "the worker has not begun to take chunks, or waits for its broker"
        if self._checked is not None and self.clock() - self._checked > _STALE:
            return f"a service has not answered for {self.clock() - self._checked:.0f} s"
        return self._fault


@define(eq=False)
class Services:
    """The status database, the store and the broker of a worker."""

    settings: Settings
    runner: str
    _opened: "tuple[Assembly, Queue] | None" = field(init=False, default=None)

    def __call__(self) -> None:
        """Read from each.

        Raises:
            Exception: One does not work.
        """
        # after an error, the next call creates new clients, which read the present credentials
        opened, self._opened = self._opened, None
        assembly, queue = opened or (assemble_for_worker(self.settings), open_runner(self.runner, self.settings))
        _ = assembly.status.identity
        identity_of(assembly.store)
        queue.waiting()
        self._opened = assembly, queue


def answer_probes(settings: Settings, runner: str, loops: Sequence[Loop], late: float = LATE) -> None:
    """Answer ``/healthz`` and ``/readyz`` at the address of the settings, for as long as this process lives.

    Call it before this process starts threads. Does nothing if no address is set.

    Raises:
        InvalidRequest: The address cannot be bound.
    """
    if settings.health is None:
        return
    health = Health(loops, Services(settings, runner), late)
    server = bound(probes(health.live, health.ready), *settings.health.parts, "PIXCORE_HEALTH")
    process = fork.Process(target=_answer, args=(health, server, os.getpid()), name="pixcore-health", daemon=True)
    with signals_held():
        process.start()
    server.server_close()


def _answer(health: Health, server: Server, worker: int) -> None:
    signals_to_default()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches this process too, but the worker ends it
    serve(server)
    while os.getppid() == worker:
        health.check()
        until = health.clock() + _EVERY
        while os.getppid() == worker and health.clock() < until:
            time.sleep(_POLL)
