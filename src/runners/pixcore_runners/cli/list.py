"""``pixcore list``: show all datasets."""

from datetime import UTC, datetime

import rich_click as click

from pixcore import DatasetSummary, Status
from pixcore.stored.identity import identity_of
from pixcore_runners.assembly.assembly import assemble
from pixcore_runners.cli.document import VERSION
from pixcore_runners.cli.shell import Shell, shared
from pixcore_runners.cli.tables import add, plain_table, size
from pixcore_runners.planning.advice import NO_DATASET


@click.command("list")
@click.option("--format", "kind", type=click.Choice(["table", "json"]), default="table", help="Default: table.")
@shared
def command(shell: Shell, kind: str) -> None:
    """Show every dataset of the status database: chunks, images, state, size, store and last change.

    The state says what is left to do: `running`, `pending`, `failed`, `complete`, or an unfinished change such as
    `deleting`. The size is that of the archives. The store is `this` if it is the one that the settings name.

    Example: `pixcore list --format json`
    """
    assembly = assemble(shell.settings)
    found = list(assembly.datasets.summaries())
    here = identity_of(assembly.store) if found else ""
    table = plain_table("dataset", "state", "chunks", "images", "size", "store", "last change")
    for one in found:
        stores = ", ".join("this" if store in ("", here) else store for store in one.stores)
        chunks = sum(one.chunks.values())
        add(table, one.name or "(none)", state(one), chunks, one.images, size(one.bytes), stores, _moment(one.changed))
    for sentence in dict.fromkeys(one.change.sentence for one in found if one.change):
        shell.say(sentence)
    if not found:
        shell.say(NO_DATASET)
    document = {"version": VERSION, "datasets": [_described(one) for one in found]}
    Shell(shell.loaded, shell.as_json or kind == "json", shell.quiet, shell.verbose).show(document, table)


def state(one: DatasetSummary) -> str:
    """Return what is left to do with a dataset, in one word."""
    if one.change and one.change.dataset == one.name:
        return {"delete": "deleting", "rename": "renaming", "copy": "copying"}[one.change.kind]
    if one.running:
        return "running"
    if one.chunks.get(Status.PENDING) or one.chunks.get(Status.PROCESSING):
        return "pending"
    return "failed" if one.chunks.get(Status.FAILED) else "complete"


def _described(one: DatasetSummary) -> dict[str, object]:
    return {
        "dataset": one.name,
        "state": state(one),
        "chunks": {str(status): count for status, count in one.chunks.items()},
        "images": one.images,
        "bytes": one.bytes,
        "stores": [store for store in one.stores if store],
        "changed": _moment(one.changed),
        "unfinished": one.change.sentence if one.change else "",
    }


def _moment(seconds: float) -> str:
    return f"{datetime.fromtimestamp(int(seconds), UTC):%Y-%m-%dT%H:%M:%SZ}" if seconds else ""
