"""``pixcore submit``: plan a dataset and send its chunks to the workers of a queue."""

import rich_click as click

from pixcore import InvalidRequest
from pixcore.model.chunks import Status
from pixcore_runners.assembly.assembly import assemble, require_shared
from pixcore_runners.cli.document import VERSION
from pixcore_runners.cli.planning import wanted, wanting
from pixcore_runners.cli.shell import Shell, creating, shared
from pixcore_runners.cli.tables import add, plain_table
from pixcore_runners.planning.dataset_plan import DatasetSpec, plan_missing
from pixcore_runners.queueing.dispatch import submit
from pixcore_runners.queueing.runner import RUNNERS, open_runner
from pixcore_runners.settings.source_names import parse


@click.command("submit")
@wanting
@click.option(
    "--runner", type=click.Choice([*RUNNERS]), required=True, help="The queue that delivers the chunks to workers."
)
@click.option("--shared-path", is_flag=True, help="The folders are at the same paths on every worker's machine.")
@creating
@shared
def command(shell: Shell, keyword: str, count: int | None, dataset: str, *, runner: str, shared_path: bool) -> None:
    """Plan a dataset and send its chunks to workers; again: sends only what is neither running nor done.

    Lists are kept in the store, where workers read them. Start workers with `pixcore worker`.

    Example: `pixcore submit "red panda" --count 20000 --runner celery`
    """
    wish = wanted(shell, keyword, count, dataset)
    require_shared(shell.settings)
    _require_shared_folders(wish, shared_path=shared_path)
    queue = open_runner(runner, shell.settings)
    queue.waiting()  # a broker that is away is found before anything is planned
    looking = assemble(shell.settings)
    with plan_missing(wish, looking.status, looking) as proposal:
        assembly = assemble(shell.settings, make=True)
        new = sum(1 for _ in proposal.save(assembly.status, assembly.store))
    sent = submit(wish.dataset, assembly.status, queue, runner)
    counts = assembly.status.summary().get(wish.dataset, {})
    document = {"planned": new, "enqueued": sent, **{str(state): counts.get(state, 0) for state in Status}}
    table = plain_table("dataset", *document)
    add(table, wish.dataset, *document.values())
    shell.show({"version": VERSION, "dataset": wish.dataset, **document}, table)


def _require_shared_folders(wish: DatasetSpec, *, shared_path: bool) -> None:
    folders = [source for source in wish.sources if parse(source)[0] == "folder"]
    if folders and not shared_path:
        raise InvalidRequest(
            f"{folders[0]} is a folder of this machine; if every worker has it at the same path, add --shared-path;"
            " else collect it here with `pixcore run`"
        )
