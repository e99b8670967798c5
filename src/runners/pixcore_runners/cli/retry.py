"""``pixcore retry``: retry failed and short chunks."""

import rich_click as click

from pixcore.chunk.unfilled import allocations_of, is_unfilled, is_worth_a_retry
from pixcore.model.requests import namespace
from pixcore_runners.assembly.assembly import assemble
from pixcore_runners.cli.completion import dataset_names
from pixcore_runners.cli.direct import run_options, run_unfinished
from pixcore_runners.cli.shell import Shell, shared
from pixcore_runners.planning.dataset_plan import dataset_records
from pixcore_runners.queueing.dispatch import submit
from pixcore_runners.queueing.runner import RUNNERS, open_runner


@click.command("retry")
@click.argument("dataset", shell_complete=dataset_names)
@click.option("--runner", type=click.Choice([*RUNNERS]), help="Send the chunks to the workers of this queue instead.")
@run_options
@shared
def command(shell: Shell, dataset: str, runner: str | None) -> None:
    """Retry a dataset's failed and short chunks, if that may fill them. Full chunks stay untouched.

    It may if candidates are untried, were missed only for now, or were missed or rejected for what you can mend.
    Good images and permanent misses of lists are not fetched again. A short chunk's archive stays until a new one
    replaces it. `''` means the chunks without a dataset. Exits as `run` does; with --runner, exits with 0 once the
    chunks are enqueued.

    Example: `pixcore retry red-panda`
    """
    assembly = assemble(shell.settings)
    name = namespace(dataset)
    assembly.require_dataset(name)
    unfilled = [record for record in dataset_records(name, assembly.status) if is_unfilled(record)]
    allocations = allocations_of(assembly.status)
    retried = [record.chunk.key for record in unfilled if is_worth_a_retry(record, allocations(record))]
    reopened = sum(assembly.status.reopen(key) for key in retried)
    hopeless = len(unfilled) - len(retried)
    left = f"; left as they are, because all their candidates were tried: {hopeless}" if hopeless else ""
    shell.say(f"dataset {name}: chunks reopened: {reopened}{left}")
    if runner is None:
        run_unfinished(shell, assembly, name)
    sent = submit(name, assembly.status, open_runner(runner, shell.settings), shell.settings.queue_at(runner))
    shell.say(f"dataset {name}: chunks enqueued: {sent}")
