"""``pixcore retry``: retry failed and short chunks."""

import rich_click as click

from pixcore.model.chunks import ChunkRecord, Status
from pixcore.model.requests import namespace
from pixcore_runners.assembly.assembly import assemble
from pixcore_runners.cli.direct import run_options, run_unfinished
from pixcore_runners.cli.shell import Shell, shared
from pixcore_runners.planning.dataset_plan import dataset_records
from pixcore_runners.queueing.dispatch import submit
from pixcore_runners.queueing.runner import RUNNERS, open_runner


@click.command("retry")
@click.argument("dataset")
@click.option("--runner", type=click.Choice([*RUNNERS]), help="Send the chunks to the workers of this queue instead.")
@run_options
@shared
def command(shell: Shell, dataset: str, runner: str | None) -> None:
    """Retry a dataset's failed chunks, and those that completed short. Full chunks stay untouched.

    `''` means the chunks without a dataset. A short chunk's archive stays until a new one replaces it. Exits as `run`
    does; with --runner, exits with 0 once the chunks are enqueued.

    Example: `pixcore retry red-panda`
    """
    assembly = assemble(shell.settings)
    name = namespace(dataset)
    retried = [record.chunk.key for record in dataset_records(name, assembly.status) if _is_retried(record)]
    reopened = sum(assembly.status.reopen(key) for key in retried)
    shell.say(f"dataset {name}: chunks reopened: {reopened}")
    if runner is None:
        run_unfinished(shell, assembly, name)
    sent = submit(name, assembly.status, open_runner(runner, shell.settings), runner)
    shell.say(f"dataset {name}: chunks enqueued: {sent}")


def _is_retried(record: ChunkRecord) -> bool:
    short = record.status is Status.COMPLETED and record.result is not None and record.result.shortfall > 0
    return short or record.status is Status.FAILED
