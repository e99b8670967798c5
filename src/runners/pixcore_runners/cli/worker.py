"""``pixcore worker``: a worker of a queue."""

import sys

import rich_click as click

from pixcore_runners.cli.shell import Shell, shared
from pixcore_runners.cli.work import working
from pixcore_runners.queueing.runner import RUNNERS, open_runner


@click.command("worker")
@click.argument("runner", type=click.Choice([*RUNNERS]))
@working
@shared
def command(shell: Shell, runner: str) -> None:
    """Work off the chunks that a queue delivers, until told to stop; Ctrl-C or SIGTERM gives running ones back.

    Every worker needs the same store, status database and broker. Beside the workers, run `pixcore reap --every 15`.

    Example: `pixcore worker celery --workers 4`
    """
    sys.exit(open_runner(runner, shell.settings).work(shell.settings.workers))
