"""``pixcore export``: write a dataset in another layout."""

import signal
import sys
from collections.abc import Generator
from contextlib import ExitStack, closing, contextmanager

import rich_click as click
from attrs import evolve

from pixcore import NoValidImages
from pixcore.model.requests import dataset_name
from pixcore.stored.completed import CompletedChunks, require_whole
from pixcore.stored.converted import ConversionCounts, converted
from pixcore.stored.samples import CLASSES, classes, columns, placed_together, samples
from pixcore.stored.splits import Splits
from pixcore_adapters.outputs.export import export
from pixcore_adapters.outputs.export.destinations import Destination
from pixcore_adapters.outputs.export.layout import ExportRequest, ShardSize
from pixcore_runners.assembly.assembly import assemble, layout
from pixcore_runners.assembly.destinations import destination
from pixcore_runners.assembly.imaging import converting
from pixcore_runners.cli.commands import DONE, INTERRUPTED, PARTIAL
from pixcore_runners.cli.completion import dataset_names
from pixcore_runners.cli.conversion import conversion, conversion_options, document, lines
from pixcore_runners.cli.document import VERSION
from pixcore_runners.cli.item_progress import item_progress
from pixcore_runners.cli.shell import Shell, shared
from pixcore_runners.cli.tables import add, plain_table
from pixcore_runners.planning.dataset_plan import require_chunks
from pixcore_runners.registry.tables import LAYOUTS


@click.command("export")
@click.argument("dataset", shell_complete=dataset_names)
@click.option(
    "--format",
    "kind",
    metavar="LAYOUT",
    required=True,
    help=f"{', '.join(LAYOUTS.builtin)}, or the layout of a plug-in.",
)
@click.option("--out", metavar="DIR|URL", required=True, help="A new or empty folder, here or in a store.")
@click.option("--split", "ratios", metavar="SPLITS", default="train=1", help="Such as train=0.9,test=0.1.")
@click.option("--label", type=click.Choice(CLASSES), help="The column whose values are the classes; it fills `label`.")
@click.option(
    "--shard-size", metavar="SIZE", help="Images in a file of webdataset or parquet, or its size: 1000 or 500MB."
)
@conversion_options
@click.option(
    "--create-container",
    is_flag=True,
    default=None,
    help="Create the container or bucket of --out if it does not exist.",
)
@shared
def command(
    shell: Shell,
    /,
    dataset: str,
    kind: str,
    out: str,
    *,
    ratios: str,
    label: str | None,
    shard_size: str | None,
    **conversions: object,
) -> None:
    """Write the images of DATASET's completed chunks to a folder, in a layout that other tools load.

    An image is in the same split in every export, together with its near-duplicates. With --label, the values of
    `label` are numbered classes: a ClassLabel for `datasets`, a folder each in layouts of plain files, `.cls` in a
    webdataset. With --label keyword, they are the keywords that found the images. The folder appears once
    everything is written. Exits with 3 if chunks are missing in it.

    With --size or --encode, images are converted: resized, upright, opaque and in sRGB. Rows describe the result, and
    keep `original_sha256`. Images that cannot be converted are named and left out; then it exits with 3, too.

    Example: `pixcore export red-panda --format imagefolder --out ./red-panda --split train=0.9,test=0.1`
    """
    splits, name, how = Splits.parse(ratios), dataset_name(dataset), conversion(conversions)
    make, shard = layout(kind), ShardSize.parse(shard_size) if shard_size else None
    target = destination(out, shell.settings, shell.say)
    target.check()
    assembly = assemble(evolve(shell.settings, create_container=False))  # that is for --out
    require_chunks(name, assembly.status)
    records = CompletedChunks(name, assembly.status)
    if not records:
        raise NoValidImages(f"no chunk of dataset {name} is completed, so there is nothing to export; run it first")
    require_whole(records, assembly.archives)
    near = placed_together(name, records, assembly.seen)
    found = ConversionCounts()
    with ExitStack() as opened:
        opened.enter_context(_interruptible(shell, target))
        done = opened.enter_context(item_progress(shell, "chunks", len(records)))
        named = classes(records, assembly.archives, label) if label else ()
        chosen = make(ExportRequest(name, columns(records, assembly.archives), named, shard))
        images = samples(records, assembly.archives, splits, near, label or CLASSES[0], done=done)
        opened.enter_context(closing(images))
        if how:
            converter, spare = opened.enter_context(converting(shell.settings))
            images = opened.enter_context(closing(converted(images, converter, how, spare, found)))
        counts = export(images, chosen, target, name, note=shell.say)
    table = plain_table("split", "images")
    sizes = {split: counts.get(split, 0) for split in splits.ratios}
    for split, size in sizes.items():
        add(table, split, size)
    about = {"version": VERSION, "dataset": name, "format": kind, "out": out, "splits": sizes}
    shell.show(about | ({"converted": document(found)} if how else {}), table)
    for line in lines(how, found) if how else ():
        shell.say(line)
    if records.others:
        shell.say(
            f"chunks that were not exported because they are not completed: {records.others}; see `pixcore status"
            f" {name}`"
        )
    sys.exit(PARTIAL if records.others or found.left_out else DONE)


@contextmanager
def _interruptible(shell: Shell, target: Destination) -> Generator[None]:
    """End on Ctrl-C and SIGTERM with nothing of the export shown."""
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    except KeyboardInterrupt:
        kept = f"; what was sent is kept in {target.remains}: run the command again to continue, or remove it"
        shell.say(f"interrupted; nothing was exported{kept if target.remains else ''}")
        sys.exit(INTERRUPTED)
    finally:
        signal.signal(signal.SIGTERM, before)
