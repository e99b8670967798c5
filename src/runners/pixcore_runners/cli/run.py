"""``pixcore run``: plan a dataset and process it here."""

import rich_click as click

from pixcore_runners.assembly.assembly import assemble, validating
from pixcore_runners.cli.dataset_arguments import dataset_spec, spec_options
from pixcore_runners.cli.direct import run_options, run_unfinished
from pixcore_runners.cli.lists import faults
from pixcore_runners.cli.shell import Shell, shared
from pixcore_runners.planning.dataset_plan import plan_missing


@click.command("run")
@spec_options
@run_options
@shared
def command(shell: Shell, keyword: str, count: int | None, dataset: str) -> None:
    """Plan a dataset and process it on this machine. Run it again to resume; nothing is done twice.

    Exits with 3 if a chunk failed or is short of its target, with 4 if no image was collected.

    Example: `pixcore run "red panda" --source folder:./photos --count 1000`
    """
    spec = dataset_spec(shell, keyword, count, dataset)
    with validating(shell.settings, at_once=True) as validator:  # its decoder starts while the dataset is planned
        read_only = assemble(shell.settings)
        with plan_missing(spec, read_only.status, read_only) as plan:  # errors are raised here ...
            assembly = assemble(shell.settings, create=True)  # ... before anything is created
            new = sum(1 for _ in plan.save(assembly.status, assembly.store))
            for line in (line for summary in plan.summaries for line in faults(summary)):
                shell.say(line)
        if new:
            shell.say(f"dataset {spec.dataset}: new chunks: {new}")
        run_unfinished(shell, assembly, spec.dataset, validator)
