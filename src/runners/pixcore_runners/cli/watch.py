"""Watch the progress of chunks: a view that is redrawn on a terminal, a block of lines each round elsewhere."""

import json
import math
import sys
import time
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import rich_click as click
from attrs import evolve, frozen
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.text import Text

from pixcore import Overview, Status, StatusUnavailable
from pixcore.errors import one_line
from pixcore_runners.cli.commands import INTERRUPTED
from pixcore_runners.cli.document import VERSION
from pixcore_runners.cli.growth import GrowthMeter
from pixcore_runners.cli.shell import Shell
from pixcore_runners.cli.tables import add, error_table, phase_table, plain_table
from pixcore_runners.observing.logs import escaped

_EVERY = 2.0  # seconds between two rounds
_MINUTE = 60.0
_LONG = 600.0  # seconds over which completed and failed chunks are counted: they are few

# How many chunks must have ended for each running one before the time left is estimated. Chunks that started together
# also end together, so fewer would mislead.
_WAVES = 3


@frozen
class View:
    """What one round read.

    Attributes:
        overview: The state of the chunks; the last known one while ``away``.
        rate: Images accepted per second over the last minute; None until enough was measured.
        left: Estimated seconds until all chunks are completed or failed; None until enough was measured.
        away: Why the status database cannot be reached now, else empty.
    """

    overview: Overview
    rate: float | None = None
    left: float | None = None
    away: str = ""

    @property
    def chunks(self) -> int:
        """The number of chunks."""
        return sum(map(self._in, Status))

    @property
    def settled(self) -> int:
        """The number of completed and failed chunks."""
        return self._in(Status.COMPLETED) + self._in(Status.FAILED)

    @property
    def running(self) -> int:
        """The number of running chunks."""
        return self._in(Status.PROCESSING)

    def _in(self, status: Status) -> int:
        return sum(self.overview.phases.get(status, {}).values())


def views(
    look: Callable[[], Overview],
    beat: float,
    *,
    clock: Callable[[], float] = time.monotonic,
    nap: Callable[[float], None] = time.sleep,
) -> Iterator[View]:
    """Yield a view every 2 s until every chunk is completed or failed.

    ``beat`` is the interval, in seconds, at which running chunks store their counts.

    Raises:
        StatusUnavailable: In the first round. Later rounds wait until the status database can be reached again.
    """
    images, settling = GrowthMeter(_MINUTE, beat), GrowthMeter(_LONG, beat)

    def seen(overview: Overview) -> View:
        view, now = View(overview), clock()
        grown, ended = images.record(now, overview.accepted), settling.record(now, view.settled)
        is_known = ended is not None and ended.gained >= _WAVES * max(1, view.running)
        left = (view.chunks - view.settled) / ended.rate if ended and is_known else None
        return evolve(view, rate=grown.rate if grown else None, left=left)

    view = seen(look())
    yield view
    while view.settled < view.chunks:
        nap(_EVERY)
        try:
            view = seen(look())
        except StatusUnavailable as error:
            view = View(view.overview, away=one_line(error))
        yield view


def watch(shell: Shell, dataset: str, look: Callable[[], Overview]) -> None:
    """Show the progress of a dataset's chunks, or of all if it is empty, until each is completed or failed.

    Exits with 130 if it is interrupted before.
    """
    try:
        with _screen(shell, dataset) as show:
            for view in views(look, shell.settings.lease_ttl / 3):
                show(view)
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)


@contextmanager
def _screen(shell: Shell, dataset: str) -> Generator[Callable[[View], None]]:
    console = Console()
    if shell.as_json:
        yield _showing(shell, lambda view: click.echo(json.dumps(_line(dataset, view))))
    elif console.is_terminal and not console.is_dumb_terminal:
        with Live(console=console, auto_refresh=False) as live:
            yield lambda view: live.update(_picture(dataset, view), refresh=True)
    else:
        # a pipe has no width: do not cut what another program may read
        wide = Console(width=10_000)
        yield _showing(shell, lambda view: wide.print(_picture(dataset, view), "", sep="\n"))


def _showing(shell: Shell, show: Callable[[View], None]) -> Callable[[View], None]:
    """Show each view. While the status database cannot be reached, print one line and no old figures."""
    before = ""

    def update(view: View) -> None:
        nonlocal before
        if not view.away:
            show(view)
        elif not before:
            shell.say(_away(view))
        before = view.away

    return update


def _line(dataset: str, view: View) -> Mapping[str, Any]:
    overview = view.overview
    return {
        "version": VERSION,
        "dataset": dataset,
        "chunks": {status: dict(overview.phases.get(status, {})) for status in Status},
        "accepted": overview.accepted,
        "images_per_second": view.rate and round(view.rate, 3),
        "workers": overview.workers,
        "resting": [
            {"worker": each.name, "fault": each.fault, "reason": each.reason, "seconds": round(each.seconds, 3)}
            for each in overview.resting
        ],
        "oldest_claim": round(overview.oldest, 3),
        "expired_leases": overview.expired,
        "seconds_left": view.left and round(view.left),
        "errors": [{"error": error, "chunks": count} for error, count in overview.errors.items()],
    }


def _picture(dataset: str, view: View) -> RenderableType:
    overview = view.overview
    title = f"{dataset or 'all datasets'}: {view.settled} of {view.chunks} chunks settled"
    facts = plain_table("", "")
    facts.show_header = False
    rate = "" if view.rate is None else f", {view.rate:.1f} a second over the last minute"
    add(facts, "images", f"{overview.accepted} accepted{rate}")
    oldest = f", the oldest claim is held for {_duration(overview.oldest)}" if overview.workers else ""
    add(facts, "workers", f"{overview.workers} live{oldest}")
    for each in overview.resting:
        text = escaped(f"{each.name} for {_duration(each.seconds)}, the {each.fault} is at fault: {each.reason}")
        add(facts, "resting", text, style="yellow")
    if overview.expired:
        remedy = "`pixcore reap`, or `pixcore run` again"
        add(facts, "expired", f"{overview.expired}, of workers that died: {remedy}", style="yellow")
    if view.left:
        add(facts, "time left", f"about {_duration(view.left)}")
    parts: list[RenderableType] = [Text(title, "bold"), "", phase_table(overview), "", facts]
    if overview.errors:
        parts += ["", error_table(overview.errors)]
    if view.away:
        parts += ["", Text(_away(view), "yellow")]
    return Group(*parts)


def _away(view: View) -> str:
    return escaped(f"this round failed, the next one follows: {view.away}")


def _duration(seconds: float) -> str:
    """Return a rounded duration."""
    if seconds < 2 * _MINUTE:
        return f"{seconds:.0f} s"
    minutes = math.ceil(seconds / _MINUTE)
    return f"{minutes} min" if minutes < 2 * _MINUTE else f"{minutes / 60:.0f} h"
