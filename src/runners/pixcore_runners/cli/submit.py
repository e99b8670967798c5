"""``pixcore submit``: plan a dataset and enqueue its chunks."""

import rich_click as click

from pixcore import InvalidRequest, Priority
from pixcore.model.chunks import Status
from pixcore_runners.assembly.assembly import require_shared
from pixcore_runners.cli.dataset_arguments import dataset_spec, plan_and_save, spec_options
from pixcore_runners.cli.document import VERSION
from pixcore_runners.cli.shell import Shell, container_option, shared
from pixcore_runners.cli.tables import add, plain_table
from pixcore_runners.planning.spec import DatasetSpec
from pixcore_runners.queueing.dispatch import submit
from pixcore_runners.queueing.runner import RUNNERS, open_runner
from pixcore_runners.settings.source_names import parse


@click.command("submit")
@spec_options
@click.option(
    "--runner", type=click.Choice([*RUNNERS]), required=True, help="The queue that delivers the chunks to workers."
)
@click.option(
    "--priority",
    type=click.Choice([str(priority) for priority in Priority]),
    callback=lambda _context, _option, value: value and Priority(value),
    help="Deliver the chunks before or behind those of other datasets. Default: normal, or as they were submitted.",
)
@click.option("--shared-path", is_flag=True, help="The folders are at the same paths on every worker's machine.")
@container_option
@shared
def command(
    shell: Shell,
    /,
    keyword: str,
    count: int | None,
    dataset: str,
    *,
    runner: str,
    priority: Priority | None,
    shared_path: bool,
    **conversions: object,
) -> None:
    """Plan a dataset and enqueue its chunks for workers. Run it again to enqueue the chunks that are still pending.

    Lists are stored in the store, where workers read them. Start workers with `pixcore worker`.

    Example: `pixcore submit "red panda" --count 20000 --runner celery`
    """
    spec = dataset_spec(shell, keyword, count, dataset, conversions)
    require_shared(shell.settings)
    _require_shared_folders(spec, shared_path=shared_path)
    if priority and shell.settings.broker and shell.settings.broker.place.startswith("amqp"):
        raise InvalidRequest("queues of RabbitMQ have no priorities; leave out --priority, and use another queue")
    queue = open_runner(runner, shell.settings)
    queue.waiting()  # an unreachable broker is reported before anything is planned
    assembly, new, _ = plan_and_save(shell, spec)
    assembly.require_queue(runner)
    sent = submit(spec.dataset, assembly.status, queue, shell.settings.queue_at(runner), priority)
    counts = assembly.status.summary().get(spec.dataset, {})
    document = {"planned": new, "enqueued": sent, **{str(state): counts.get(state, 0) for state in Status}}
    table = plain_table("dataset", *document)
    add(table, spec.dataset, *document.values())
    shell.show({"version": VERSION, "dataset": spec.dataset, **document}, table)


def _require_shared_folders(spec: DatasetSpec, *, shared_path: bool) -> None:
    folders = [source for source in spec.sources if parse(source)[0] == "folder"]
    if folders and not shared_path:
        raise InvalidRequest(
            f"{folders[0]} is a folder of this machine; add --shared-path if every worker has it at the same path, else"
            " collect it here with `pixcore run`"
        )
