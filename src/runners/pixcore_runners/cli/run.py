"""``pixcore run``: plan a dataset and work it off here."""

import rich_click as click

from pixcore_runners.assembly.assembly import assemble, validating
from pixcore_runners.cli.planning import wanted, wanting
from pixcore_runners.cli.shell import Shell, shared
from pixcore_runners.cli.work import work_off, working
from pixcore_runners.planning.dataset_plan import plan_missing


@click.command("run")
@wanting
@working
@shared
def command(shell: Shell, keyword: str, count: int | None, dataset: str) -> None:
    """Plan a dataset and work it off here; run again to resume: nothing is done twice.

    Exits with 3 when a chunk failed or is short of its target, with 4 when not one image was collected.

    Example: `pixcore run "red panda" --source folder:./photos --count 1000`
    """
    wish = wanted(shell, keyword, count, dataset)
    with validating(shell.settings, at_once=True) as validator:  # it gets ready while the dataset is planned
        looking = assemble(shell.settings)
        with plan_missing(wish, looking.status, looking) as proposal:  # what cannot be done is refused here ...
            assembly = assemble(shell.settings, make=True)  # ... before anything is made for it
            new = sum(1 for _ in proposal.save(assembly.status, assembly.store))
        if new:
            shell.say(f"dataset {wish.dataset}: new chunks: {new}")
        work_off(shell, assembly, wish.dataset, validator)
