"""Watching chunks being worked off: a view that is renewed on a terminal, a block of lines each round elsewhere."""

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
from pixcore_runners.cli.document import INTERRUPTED, VERSION
from pixcore_runners.cli.pace import Pace
from pixcore_runners.cli.shell import Shell
from pixcore_runners.cli.tables import add, error_table, phase_table, plain_table
from pixcore_runners.observing.logs import escaped

_EVERY = 2.0  # seconds between two looks
_MINUTE = 60.0
_LONG = 600.0  # seconds over which the chunks that settle are counted: they are few

# How many times as many chunks as are being worked on must have settled before the rest is guessed from them: workers
# that began together also end together.
_WAVES = 3


@frozen
class View:
    """What one look found.

    Attributes:
        overview: How the chunks stand; the last that is known while ``away``.
        rate: Images accepted a second, over the last minute; None while too little was seen.
        left: Seconds until all chunks are settled, if it goes on as in the last minutes; None where nobody can tell.
        away: Why the status database cannot be reached at the moment, else empty.
    """

    overview: Overview
    rate: float | None = None
    left: float | None = None
    away: str = ""

    @property
    def chunks(self) -> int:
        """How many there are."""
        return sum(map(self._in, Status))

    @property
    def settled(self) -> int:
        """How many of them are completed or failed."""
        return self._in(Status.COMPLETED) + self._in(Status.FAILED)

    @property
    def running(self) -> int:
        """How many are being worked on."""
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
    """Look again and again until every chunk is settled; running chunks note their images every ``beat`` seconds.

    Raises:
        StatusUnavailable: At the first look; later ones wait for the status database to come back.
    """
    images, settling = Pace(_MINUTE, beat), Pace(_LONG, beat)

    def seen(overview: Overview) -> View:
        view, now = View(overview), clock()
        grown, ended = images.look(now, overview.accepted), settling.look(now, view.settled)
        told = ended is not None and ended.gained >= _WAVES * max(1, view.running)
        left = (view.chunks - view.settled) / ended.rate if ended and told else None
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
    """Show how the chunks of a dataset stand, or of all if it is empty, until every one is settled.

    Exits with 130 when it is interrupted before.
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
        yield _told(shell, lambda view: click.echo(json.dumps(_line(dataset, view))))
    elif console.is_terminal and not console.is_dumb_terminal:
        with Live(console=console, auto_refresh=False) as live:
            yield lambda view: live.update(_picture(dataset, view), refresh=True)
    else:
        # a pipe has no width: never cut what another program may read
        wide = Console(width=10_000)
        yield _told(shell, lambda view: wide.print(_picture(dataset, view), "", sep="\n"))


def _told(shell: Shell, show: Callable[[View], None]) -> Callable[[View], None]:
    """Show what is known, and say when nothing is, once: what was shown before is not shown again as if it were new."""
    before = ""

    def tell(view: View) -> None:
        nonlocal before
        if not view.away:
            show(view)
        elif not before:
            shell.say(_away(view))
        before = view.away

    return tell


def _line(dataset: str, view: View) -> Mapping[str, Any]:
    overview = view.overview
    return {
        "version": VERSION,
        "dataset": dataset,
        "chunks": {status: dict(overview.phases.get(status, {})) for status in Status},
        "accepted": overview.accepted,
        "images_per_second": view.rate and round(view.rate, 3),
        "workers": overview.workers,
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
    return escaped(f"watching on, although this look failed: {view.away}")


def _duration(seconds: float) -> str:
    """Roughly: nobody needs the seconds of hours."""
    if seconds < 2 * _MINUTE:
        return f"{seconds:.0f} s"
    minutes = math.ceil(seconds / _MINUTE)
    return f"{minutes} min" if minutes < 2 * _MINUTE else f"{minutes / 60:.0f} h"
