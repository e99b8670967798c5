"""``pixcore status``: how the datasets stand."""

from collections.abc import Sequence

import rich_click as click

from pixcore.duplicates import NearGroup, near_groups
from pixcore.model import Status, dataset_name
from pixcore.quality import NearRule
from pixcore_runners.assembly import assemble
from pixcore_runners.cli.document import VERSION, document, near_document
from pixcore_runners.cli.shell import Shell, shared
from pixcore_runners.cli.tables import add, chunk_table, near_tables, plain_table
from pixcore_runners.datasets import known_dataset


@click.command("status")
@click.argument("dataset", default="")
@click.option("--duplicates", is_flag=True, help="Show the images of DATASET that nearly look alike; none is removed.")
@shared
def command(shell: Shell, dataset: str, duplicates: bool) -> None:
    """Show every dataset, or the chunks of one.

    Example: `pixcore status red-panda --json`
    """
    if duplicates and not dataset:
        raise click.UsageError("--duplicates looks into one dataset; write `pixcore status DATASET --duplicates`.")
    house = assemble(shell.settings)
    if dataset:
        name = dataset_name(dataset)
        records = known_dataset(name, house.status)
        if duplicates:
            rule = shell.settings.near
            _show(shell, name, rule, near_groups(house.seen.near(name, rule)))
        else:
            shell.show(document(name, records), chunk_table(records))
        return
    table = plain_table("dataset", *Status)
    datasets = []
    for name, found in house.status.summary().items():
        counts = {str(state): found.get(state, 0) for state in Status}
        add(table, name or "(none)", *counts.values())
        datasets.append({"dataset": name, **counts})
    if not datasets:
        shell.say("no dataset yet; `pixcore run` makes one")
    shell.show({"version": VERSION, "datasets": datasets}, table)


def _show(shell: Shell, dataset: str, rule: NearRule, groups: Sequence[NearGroup]) -> None:
    """Print what may be a million pairs piece by piece."""
    if shell.as_json:
        for piece in near_document(dataset, groups):
            click.echo(piece, nl=False)
        return
    apart = f"at most {rule.phash} of 64 phash bits and {rule.dhash} of 64 dhash bits apart"
    if not groups:
        click.echo(f"no near-duplicates in dataset {dataset}: no two images are {apart}")
        return
    for table in near_tables(groups):
        shell.show({}, table)
    images, pairs = (sum(len(getattr(group, of)) for group in groups) for of in ("images", "pairs"))
    click.echo(f"groups: {len(groups)}, images: {images}, pairs: {pairs}, {apart}")
