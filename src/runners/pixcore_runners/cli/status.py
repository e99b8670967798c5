"""``pixcore status``: show the state of datasets and chunks."""

from collections.abc import Callable, Iterable, Sequence

import rich_click as click

from pixcore import ChunkRecord, Overview, StatusRepo, TwinPair
from pixcore.model.chunks import Status
from pixcore.model.quality import NearRule
from pixcore.model.requests import namespace
from pixcore.ports.seen_images import LISTED_PAIRS, NearGroup
from pixcore_runners.assembly.assembly import assemble
from pixcore_runners.cli.chunk_list import show_chunks
from pixcore_runners.cli.completion import dataset_names
from pixcore_runners.cli.document import VERSION, near_document
from pixcore_runners.cli.shell import Shell, shared
from pixcore_runners.cli.stored_placeholders import stored_placeholders
from pixcore_runners.cli.tables import add, near_tables, plain_table
from pixcore_runners.cli.watch import watch
from pixcore_runners.planning.advice import NO_DATASET
from pixcore_runners.planning.dataset_plan import require_chunks


@click.command("status")
@click.argument("dataset", default=None, shell_complete=dataset_names)
@click.option("--watch", "watched", is_flag=True, help="Show the progress until every chunk is completed or failed.")
@click.option("--duplicates", is_flag=True, help="Show the near-duplicates of DATASET. Removes nothing.")
@shared
def command(shell: Shell, dataset: str | None, watched: bool, duplicates: bool) -> None:
    """Show all datasets, or the chunks of one. `''` means the chunks without a dataset.

    With --watch, exits with 0 once every chunk is completed or failed, and with 130 if it is interrupted before. With
    --watch --json, prints one document a line.

    Example: `pixcore status red-panda --watch`
    """
    if watched and duplicates:
        raise click.UsageError("--watch and --duplicates exclude each other; use one of them.")
    if duplicates and not dataset:
        raise click.UsageError("--duplicates needs a dataset; write `pixcore status DATASET --duplicates`.")
    assembly = assemble(shell.settings)
    name = None if dataset is None else namespace(dataset)
    if watched:
        watch(shell, name or "", _watched(assembly.status, name))
    elif name is not None:
        require_chunks(name, assembly.status)
        records = assembly.status.find(name)
        if duplicates:
            rule = shell.settings.near_rule
            _show_near(shell, name, rule, list(assembly.seen.near(name, rule)), _twins(records))
        else:
            show_chunks(shell, name, records)
            if line := stored_placeholders(assembly, name):
                shell.say(line)
    else:
        _show_all(shell, assembly.status)


def _twins(records: Iterable[ChunkRecord]) -> list[TwinPair]:
    """Return the copies that chunks compared and kept, because their rule is to report them."""
    return [pair for record in records if record.result for pair in record.result.twins]


def _show_all(shell: Shell, status: StatusRepo) -> None:
    table = plain_table("dataset", *Status)
    datasets = []
    for name, found in status.summary().items():
        counts = {str(state): found.get(state, 0) for state in Status}
        add(table, name or "(none)", *counts.values())
        datasets.append({"dataset": name, **counts})
    if not datasets:
        shell.say(NO_DATASET)
    shell.show({"version": VERSION, "datasets": datasets}, table)


def _watched(status: StatusRepo, dataset: str | None) -> Callable[[], Overview]:
    """Return a function that reads the overview of the dataset, or of all."""
    if dataset is not None and not status.overview(dataset).phases:
        require_chunks(dataset, status)
    return lambda: status.overview(dataset)


def _show_near(
    shell: Shell, dataset: str, rule: NearRule, groups: Sequence[NearGroup], twins: Sequence[TwinPair]
) -> None:
    """Print the pairs in parts, because there may be a million."""
    if unlisted := sum(group.unlisted for group in groups):
        shell.say(
            f"pairs that are not listed: {unlisted}; of each group, the nearest {LISTED_PAIRS} are. To find fewer, set"
            " near_phash and near_dhash to fewer bits"
        )
    if shell.as_json:
        for text in near_document(dataset, groups, twins):
            click.echo(text, nl=False)
        return
    for pair in twins:
        click.echo(f"kept both: {pair.one} and {pair.other}: {pair.detail}")
    apart = f"at most {rule.phash} of 64 phash bits and {rule.dhash} of 64 dhash bits apart"
    if not groups:
        click.echo(f"no near-duplicates in dataset {dataset}: no two images are {apart}")
        return
    for table in near_tables(groups):
        shell.show({}, table)
    images, pairs = sum(len(group.images) for group in groups), sum(group.count for group in groups)
    click.echo(f"groups: {len(groups)}, images: {images}, pairs: {pairs}, {apart}")
