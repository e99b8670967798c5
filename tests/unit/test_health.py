"""The answers to the probes of supervisors: what each check finds, and what an HTTP client sees of it."""

import threading
from collections.abc import Iterator

import pytest
from attrs import define
from http_client import get

from pixcore import InvalidRequest, StatusUnavailable
from pixcore_runners.observing.pulse import LATE, Pulse
from pixcore_runners.observing.web import bound, probes
from pixcore_runners.queueing.health import Health, Loop


@define
class Clock:
    """A clock that the test moves."""

    now: float = 1000.0

    def __call__(self) -> float:
        """Return the time."""
        return self.now


@pytest.fixture
def clock() -> Clock:
    """Return a clock."""
    return Clock()


@pytest.fixture
def loops(clock: Clock) -> list[Loop]:
    """Return two loops that have just run."""
    made = [Loop(Pulse(clock)), Loop(Pulse(clock))]
    for loop in made:
        loop.pulse.beat()
    return made


def test_a_worker_is_live_unless_one_of_its_loops_is_late(clock: Clock, loops: list[Loop]) -> None:
    """A loop that hangs must get the worker restarted, an outage of the broker must not."""
    health = Health(loops, lambda: None, clock=clock)
    loops[0].pulse.pause()  # waits for its broker
    clock.now += LATE
    assert health.live() == ""
    clock.now += 1
    assert health.live() == f"the loop has not run for {LATE + 1:.0f} s"
    assert health.ready() == health.live()
    loops[1].pulse.beat()
    assert health.live() == ""


def test_a_worker_is_ready_once_all_that_a_chunk_needs_works(clock: Clock, loops: list[Loop]) -> None:
    """An operator reads from the probe why a worker takes no chunks, also if a service never answers."""
    errors: list[Exception] = []

    def services() -> None:
        if errors:
            raise errors.pop()

    health = Health(loops, services, clock=clock)
    assert health.ready() == "the services have not been checked yet"
    errors.append(StatusUnavailable("the database is away"))
    health.check()
    assert health.ready() == "the database is away"
    health.check()
    assert health.ready() == ""
    loops[1].rest.begin()
    assert health.ready().startswith("the worker rests")
    loops[1].rest.end()
    loops[0].pulse.pause()
    assert "waits for its broker" in health.ready()
    loops[0].pulse.beat()
    clock.now += 61
    assert health.ready() == "a service has not answered for 61 s"
    assert health.live() == ""


@pytest.fixture
def answers() -> Iterator[tuple[int, dict[str, str]]]:
    """Return the port of a server, and what its two checks find."""
    found = {"live": "", "ready": ""}
    app = probes(lambda: found["live"], lambda: found["ready"])
    with bound(app, "127.0.0.1", 0, "address") as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server.server_port, found
        server.shutdown()
        thread.join()


def test_the_paths_answer_200_or_503_and_why(answers: tuple[int, dict[str, str]]) -> None:
    """Kubernetes reads the status, people the line; other paths must not look healthy."""
    port, found = answers
    assert get(port, "/healthz") == get(port, "/readyz") == (200, "ok\n")
    found |= {"live": "dead", "ready": "resting"}
    assert get(port, "/healthz") == (503, "dead\n")
    assert get(port, "/readyz") == (503, "resting\n")
    assert get(port, "/other") == (404, "use /healthz or /readyz\n")


def test_an_address_that_is_taken_is_named(answers: tuple[int, dict[str, str]]) -> None:
    """Two workers of one machine with the same address: the second must say what to change."""
    port, _ = answers
    with pytest.raises(
        InvalidRequest, match=f"cannot listen at 127.0.0.1:{port} .*in use.*; use another PIXCORE_HEALTH"
    ):
        bound(probes(str, str), "127.0.0.1", port, "PIXCORE_HEALTH")


def test_an_address_may_be_one_of_ipv6() -> None:
    """Clusters with IPv6 alone exist."""
    with bound(probes(str, str), "::1", 0, "address") as server:
        assert server.server_port
