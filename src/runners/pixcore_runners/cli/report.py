"""``pixcore report``: write a dataset as one HTML page."""

import sys
from pathlib import Path

import rich_click as click

from pixcore.model.requests import dataset_name
from pixcore.stored.completed import AllChunks
from pixcore_runners.assembly.assembly import assemble
from pixcore_runners.cli.commands import DONE, PARTIAL
from pixcore_runners.cli.completion import dataset_names
from pixcore_runners.cli.document import VERSION
from pixcore_runners.cli.item_progress import item_progress
from pixcore_runners.cli.shell import Shell, shared
from pixcore_runners.cli.tables import add, plain_table
from pixcore_runners.planning.dataset_plan import require_chunks


@click.command("report")
@click.argument("dataset", shell_complete=dataset_names)
@click.option("--out", metavar="FILE", required=True, help="The page to write. Replaces an earlier report.")
@shared
def command(shell: Shell, dataset: str, out: str) -> None:
    """Write one HTML page that shows DATASET: its images, what was left out and why, and how its chunks fared.

    The page loads nothing from the network, so it can be sent as a file. Every archive is read once. All images are
    counted; at most 10,000 are shown, spread evenly, and at most 2,000 chunks are listed. A file that is not a report
    is never replaced. Exits with 3 if an archive could not be read.

    Example: `pixcore report red-panda --out red-panda.html`
    """
    from pixcore_adapters.outputs.report.build import gather  # noqa: PLC0415 - Pillow and Jinja2 are slow, `--help` is not
    from pixcore_adapters.outputs.report.page import check, write  # noqa: PLC0415 - the same

    target = Path(out).absolute()
    check(target)
    assembly = assemble(shell.settings)
    name = dataset_name(dataset)
    require_chunks(name, assembly.status)
    records = AllChunks(name, assembly.status)
    near = assembly.seen.near(name, shell.settings.near_rule)
    stored = sum(record.result.progress.accepted for record in records if record.result)
    with item_progress(shell, "images", stored) as done:
        attempts = assembly.status.history(name)
        report = gather(name, records, assembly.archives, groups=list(near), attempts=attempts, done=done)
    size = write(report, target)
    for chunk, error in report.unread.items():
        shell.say(f"the archive of chunk {chunk} could not be read: {error}")
    table = plain_table("report", "images", "shown", "bytes")
    add(table, target, report.figures.images, len(report.images), size)
    document = {
        "version": VERSION,
        "dataset": name,
        "report": str(target),
        "images": report.figures.images,
        "shown": len(report.images),
        "bytes": size,
        "unread": {str(chunk): error for chunk, error in report.unread.items()},
    }
    shell.show(document, table)
    sys.exit(PARTIAL if report.unread else DONE)
