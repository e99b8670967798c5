"""``pixcore worker``: run a worker of a queue."""

import sys

import rich_click as click

from pixcore_runners.cli.direct import run_options
from pixcore_runners.cli.shell import Shell, shared
from pixcore_runners.queueing.runner import RUNNERS, open_runner


@click.command("worker")
@click.argument("runner", type=click.Choice([*RUNNERS]))
@run_options
@shared
def command(shell: Shell, runner: str) -> None:
    """Run the chunks that a queue delivers, until Ctrl-C or SIGTERM; running chunks are then given back.

    Every worker needs the same store, status database and broker. Run `pixcore reap --every 15` beside the workers.

    Example: `pixcore worker celery --workers 4`
    """
    shell.logging()
    sys.exit(open_runner(runner, shell.settings).work(shell.settings.workers))
