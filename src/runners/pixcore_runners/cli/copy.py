"""``pixcore copy``: make a new dataset of some images of another one."""

import sys

import rich_click as click

from pixcore import NoValidImages, Status
from pixcore.model.requests import dataset_name
from pixcore.model.rows import COLUMN_TYPES
from pixcore.stored.conditions import parse
from pixcore.stored.copying import Copier
from pixcore.stored.identity import identity_of
from pixcore_runners.assembly.assembly import assemble
from pixcore_runners.cli.commands import DONE, PARTIAL
from pixcore_runners.cli.completion import dataset_names
from pixcore_runners.cli.document import VERSION
from pixcore_runners.cli.item_progress import item_progress
from pixcore_runners.cli.moving import mover
from pixcore_runners.cli.shell import Shell, shared
from pixcore_runners.cli.tables import add, plain_table
from pixcore_runners.observing import card_refresh
from pixcore_runners.planning.dataset_plan import dataset_records


@click.command("copy")
@click.argument("dataset", shell_complete=dataset_names)
@click.argument("name")
@click.option("--where", "conditions", multiple=True, metavar="CONDITION", help="Such as label=cat. Repeatable.")
@shared
def command(shell: Shell, dataset: str, name: str, conditions: tuple[str, ...]) -> None:
    """Copy the images of DATASET for which every --where holds to the new dataset NAME. Fetches nothing from the web.

    A condition compares a column of the rows with a value: COLUMN=VALUE, or != < <= > >=, or ~ for text that contains
    the value. Without --where, all images are copied. Rows and bytes stay as they are. NAME appears complete; if the
    copy is interrupted, the same command goes on. Exits with 3 if chunks of DATASET are not completed, and with 4 if no
    image matches.

    Example: `pixcore copy red-panda red-panda-large --where "width>=512" --where license=cc0`
    """
    source, new = dataset_name(dataset), dataset_name(name)
    assembly = assemble(shell.settings)
    known = dataset_records(source, assembly.status)
    assembly.require_dataset(source)
    columns = dict(pair for record in known for pair in record.chunk.request.columns) | COLUMN_TYPES
    wanted = parse(conditions, columns)
    records = [record for record in known if record.status is Status.COMPLETED]
    if not records:
        raise NoValidImages(f"no chunk of dataset {source} is completed, so there is nothing to copy; run it first")
    with item_progress(shell, "chunks", len(records)) as done:
        copier = Copier(assembly.archives, mover(shell, assembly), assembly.datasets, identity_of(assembly.store), done)
        copied = copier.copy(records, new, wanted)
    card_refresh.refresh(new, assembly.status, assembly.store)
    images, size = sum(one.request.target for one in copied), sum(one.result.bytes for one in copied)
    table = plain_table("copied", "to", "chunks", "images", "bytes")
    add(table, source, new, len(copied), images, size)
    about = {"dataset": new, "copied": source, "where": [str(each) for each in wanted.all]}
    shell.show({"version": VERSION, **about, "chunks": len(copied), "images": images, "bytes": size}, table)
    if missing := len(known) - len(records):
        shell.say(f"chunks that were not copied because they are not completed: {missing}")
    sys.exit(PARTIAL if missing else DONE)
