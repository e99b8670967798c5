"""``pixcore reap``: enqueue the chunks of dead workers again."""

import logging
import time
from functools import partial

import rich_click as click

from pixcore import TransientError
from pixcore.errors import one_line
from pixcore_runners.assembly.assembly import Assembly, assemble_for_worker
from pixcore_runners.cli.direct import stopping
from pixcore_runners.cli.document import VERSION
from pixcore_runners.cli.shell import Shell, shared
from pixcore_runners.cli.tables import add, plain_table
from pixcore_runners.observing.pulse import Pulse
from pixcore_runners.observing.web import bound, probes, serve
from pixcore_runners.queueing.dispatch import Reaped, reap
from pixcore_runners.queueing.runner import RUNNERS, open_runner

_logger = logging.getLogger("pixcore")

_LATE = 600.0  # seconds that a round may take before the reaper counts as dead
_POLL = 0.2  # seconds between two checks whether to stop


@click.command("reap")
@click.option("--every", type=click.FloatRange(min=0, min_open=True), metavar="S", help="Repeat every S seconds.")
@shared
def command(shell: Shell, every: float | None) -> None:
    """Free the claims of workers that died, and enqueue chunks again that a queue has lost.

    Only chunks that were sent to the broker and the queue of the settings are touched. One reaper is enough for all
    workers; several do no harm. With --every, it runs until a signal stops it, and continues after a service was
    unreachable.

    Example: `pixcore reap --every 15`
    """
    shell = shell if every is None else shell.logging()
    assembly = assemble_for_worker(shell.settings)
    for name in RUNNERS:
        if next(assembly.status.overdue(name), None):  # rows of older versions name no queue and no broker
            shell.say(
                f"some chunks were sent to {name} by an older pixcore, which did not store the queue; repeat"
                " `pixcore submit` for their datasets"
            )
    if every is None:
        reaped = _round(assembly)
        table = plain_table("freed", "lost")
        add(table, reaped.freed, reaped.lost)
        shell.show({"version": VERSION, "freed": reaped.freed, "lost": reaped.lost}, table)
        return
    pulse, failed = Pulse(), ["no round has ended yet"]
    if address := shell.settings.health:
        live = partial(pulse.fault, _LATE + every)
        serve(bound(probes(live, lambda: live() or failed[0]), *address.parts, "PIXCORE_HEALTH"))
    with stopping(shell) as stop:
        while not stop.is_set():
            pulse.beat()
            try:
                reaped = _round(assembly)
            except TransientError as error:
                failed[0] = one_line(error)
                _logger.warning("this round failed, the next one follows: %s", one_line(error))
            else:
                failed[0] = ""
                if reaped.freed or reaped.lost:
                    shell.say(f"claims freed: {reaped.freed}, lost deliveries sent again: {reaped.lost}")
            until = time.monotonic() + every
            # not by waiting for the event: a signal handler of this thread sets it, which would deadlock
            while not stop.is_set() and (left := until - time.monotonic()) > 0:
                time.sleep(min(_POLL, left))


def _round(assembly: Assembly) -> Reaped:
    total = Reaped(0, 0)
    for name in RUNNERS:
        queue = assembly.settings.queue_at(name)
        if next(assembly.status.overdue(queue), None):  # a runner without chunks need not be installed
            reaped = reap(assembly.status, open_runner(name, assembly.settings), queue)
            total = Reaped(total.freed + reaped.freed, total.lost + reaped.lost)
    return total
