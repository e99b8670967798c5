"""``pixcore retry``: failed and short chunks once more."""

import rich_click as click

from pixcore.model.chunks import ChunkRecord, Status
from pixcore.model.requests import namespace
from pixcore_runners.assembly.assembly import assemble
from pixcore_runners.cli.shell import Shell, shared
from pixcore_runners.cli.work import work_off, working
from pixcore_runners.planning.dataset_plan import dataset_records
from pixcore_runners.queueing.dispatch import submit
from pixcore_runners.queueing.runner import RUNNERS, open_runner


@click.command("retry")
@click.argument("dataset")
@click.option("--runner", type=click.Choice([*RUNNERS]), help="Send them to this queue's workers instead.")
@working
@shared
def command(shell: Shell, dataset: str, runner: str | None) -> None:
    """Work off a dataset's failed chunks again, and those that completed short; full ones stay untouched.

    Chunks without a dataset are meant by `''`. A short chunk's archive stays until a new one takes its place. Exits
    as `run` does; with --runner, with 0 once they are enqueued.

    Example: `pixcore retry red-panda`
    """
    assembly = assemble(shell.settings)
    name = namespace(dataset)
    again = [record.chunk.key for record in dataset_records(name, assembly.status) if _worth_it(record)]
    reopened = sum(assembly.status.reopen(key) for key in again)
    shell.say(f"dataset {name}: chunks opened again: {reopened}")
    if runner is None:
        work_off(shell, assembly, name)
    sent = submit(name, assembly.status, open_runner(runner, shell.settings), runner)
    shell.say(f"dataset {name}: chunks enqueued: {sent}")


def _worth_it(record: ChunkRecord) -> bool:
    short = record.status is Status.COMPLETED and record.result is not None and record.result.shortfall > 0
    return short or record.status is Status.FAILED
