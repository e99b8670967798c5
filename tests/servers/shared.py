"""The servers that all processes of a test run share: one of a kind, started by the first test that requests it."""

import fcntl
import pickle
from typing import TypeVar

from servers import run
from servers.server import Prepare, started
from servers.tools import Unavailable

A = TypeVar("A")


def shared(prepare: Prepare[A]) -> A:
    """Return the address of the run's server of this kind. The first process starts it, others wait for it.

    Raises:
        Unavailable: It cannot be installed or started; each run tries once.
    """
    known = run.folder() / prepare.__module__
    with known.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not known.exists():
            known.write_bytes(pickle.dumps(_outcome(prepare)))
    outcome: A | Unavailable = pickle.loads(known.read_bytes())  # noqa: S301 - written above, in a folder of our own
    if isinstance(outcome, Unavailable):
        raise outcome
    return outcome


def _outcome(prepare: Prepare[A]) -> A | Unavailable:
    try:
        server = started(prepare)
    except Unavailable as exc:
        return exc
    server.leave_to_run()
    return server.address
