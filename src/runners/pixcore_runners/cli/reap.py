"""``pixcore reap``: chunks whose worker died go back to the queue."""

import time

import rich_click as click

from pixcore import TransientError
from pixcore.errors import one_line
from pixcore_runners.assembly.assembly import Assembly, assemble_for_worker
from pixcore_runners.cli.document import VERSION
from pixcore_runners.cli.shell import Shell, shared
from pixcore_runners.cli.tables import add, plain_table
from pixcore_runners.cli.work import stopping
from pixcore_runners.queueing.dispatch import Reaped, reap
from pixcore_runners.queueing.runner import RUNNERS, open_runner

_GLANCE = 0.2  # how often it looks whether it should stop, in seconds


@click.command("reap")
@click.option("--every", type=click.FloatRange(min=0, min_open=True), metavar="S", help="Again every S seconds.")
@shared
def command(shell: Shell, every: float | None) -> None:
    """Free the claims of workers that died, and send what the queues have lost to them again.

    One is enough for all workers, several do no harm. With --every, it goes on until told to stop, whatever is away
    meanwhile.

    Example: `pixcore reap --every 15`
    """
    assembly = assemble_for_worker(shell.settings)
    if every is None:
        reaped = _round(assembly)
        table = plain_table("freed", "lost")
        add(table, reaped.freed, reaped.lost)
        shell.show({"version": VERSION, "freed": reaped.freed, "lost": reaped.lost}, table)
        return
    with stopping(shell) as stop:
        while not stop.is_set():
            try:
                reaped = _round(assembly)
            except TransientError as error:
                shell.say(f"not this time: {one_line(error)}")
            else:
                if reaped.freed or reaped.lost:
                    shell.say(f"claims freed: {reaped.freed}, lost deliveries sent again: {reaped.lost}")
            until = time.monotonic() + every
            # not by waiting for the event: a signal handler of this very thread sets it, and would deadlock
            while not stop.is_set() and (left := until - time.monotonic()) > 0:
                time.sleep(min(_GLANCE, left))


def _round(assembly: Assembly) -> Reaped:
    total = Reaped(0, 0)
    for name in RUNNERS:
        if next(assembly.status.overdue(name), None):  # a runner without chunks need not be installed
            reaped = reap(assembly.status, open_runner(name, assembly.settings), name)
            total = Reaped(total.freed + reaped.freed, total.lost + reaped.lost)
    return total
