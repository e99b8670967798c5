"""``pixcore run``: plan a dataset and process it here."""

import rich_click as click

from pixcore_runners.assembly.imaging import validating
from pixcore_runners.cli.dataset_arguments import dataset_spec, plan_and_save, spec_options
from pixcore_runners.cli.direct import run_options, run_unfinished
from pixcore_runners.cli.shell import Shell, shared


@click.command("run")
@spec_options
@run_options
@shared
def command(shell: Shell, /, keyword: str, count: int | None, dataset: str, **conversions: object) -> None:
    """Plan a dataset and process it on this machine. Run it again to resume; nothing is done twice.

    Exits with 3 if a chunk failed or is short of its target, with 4 if no image was collected. A folder or list without
    --count is complete once all of it was tried.

    Example: `pixcore run "red panda" --source folder:./photos --count 1000`
    """
    spec = dataset_spec(shell, keyword, count, dataset, conversions)
    with validating(shell.settings, at_once=True) as validator:  # its decoder starts while the dataset is planned
        assembly, new, changes = plan_and_save(shell, spec)
        if new:
            shell.say(f"dataset {spec.dataset}: new chunks: {new}")
        run_unfinished(shell, assembly, spec.dataset, validator, is_settled=not changes)
