"""``pixcore retry``: failed and short chunks once more."""

import rich_click as click

from pixcore.model import ChunkRecord, Status, dataset_name
from pixcore_runners.assembly import assemble
from pixcore_runners.cli.shell import Shell, shared
from pixcore_runners.cli.work import work_off, working
from pixcore_runners.datasets import known_dataset


@click.command("retry")
@click.argument("dataset")
@working
@shared
def command(shell: Shell, dataset: str) -> None:
    """Work off a dataset's failed chunks again, and those that completed short; full ones stay untouched.

    A short chunk's archive stays until a new one takes its place. Exits as `run` does.

    Example: `pixcore retry red-panda`
    """
    house = assemble(shell.settings)
    name = dataset_name(dataset)
    again = [record.chunk.key for record in known_dataset(name, house.status) if _worth_it(record)]
    reopened = sum(house.status.reopen(key) for key in again)
    shell.say(f"dataset {name}: chunks opened again: {reopened}")
    work_off(shell, house, name)


def _worth_it(record: ChunkRecord) -> bool:
    short = record.status is Status.COMPLETED and record.result is not None and record.result.shortfall > 0
    return short or record.status is Status.FAILED
