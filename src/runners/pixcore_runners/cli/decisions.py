"""``pixcore decisions``: list, export and import what was decided about the images of a dataset."""

import json
import sys
from collections.abc import Generator, Iterable
from contextlib import closing

import rich_click as click
from rich.table import Table

from pixcore import Decision
from pixcore.model.requests import dataset_name
from pixcore.stored import decision_csv
from pixcore.stored.named_images import named_images
from pixcore_runners.assembly.assembly import Assembly, assemble
from pixcore_runners.cli.completion import dataset_names
from pixcore_runners.cli.deciding import opened_text, record
from pixcore_runners.cli.document import VERSION
from pixcore_runners.cli.shell import Shell, shared
from pixcore_runners.cli.tables import add, plain_table
from pixcore_runners.planning.dataset_plan import dataset_records

_PAGE = 1000  # rows of one table: rich lays out a whole table before it prints


@click.command("decisions")
@click.argument("dataset", shell_complete=dataset_names)
@click.option("--format", "kind", type=click.Choice(["table", "jsonl", "csv"]), default="table", help="Default: table.")
@click.option(
    "--import", "imported", metavar="FILE", help="Record the decisions of FILE, CSV as exported. `-` is standard input."
)
@shared
def command(shell: Shell, dataset: str, kind: str, imported: str | None) -> None:
    """List the decisions about images of DATASET, ordered by sha256; or import them from a file.

    `--format csv` exports them, without the dataset's name and always in the same order, so that a team can keep the
    file under version control. Of two decisions about the same image, the later one counts, so importing a file again,
    or an older one, changes nothing. Decisions about images that the dataset has not yet met are imported, too.

    Example: `pixcore decisions red-panda --format csv`
    """
    name, assembly = dataset_name(dataset), assemble(shell.settings)
    records = dataset_records(name, assembly.status)
    if imported is None:
        _show(shell, name, assembly, kind)
        return
    assembly.require_dataset(name)
    with opened_text(imported) as file:
        given = list(decision_csv.read(file, name, imported))
    known = named_images({each.sha256 for each in given}, records, assembly.archives)
    record(shell, assembly, name, given)
    if unknown := sum(not images for images in known.values()):
        shell.say(f"no chunk has tried {unknown} of the images yet; their decisions hold as soon as one does")


def _show(shell: Shell, dataset: str, assembly: Assembly, kind: str) -> None:
    decisions = assembly.decisions.read(dataset)
    if shell.as_json:
        click.echo(json.dumps({"version": VERSION, "dataset": dataset, "decisions": []}).removesuffix("]}"), nl=False)
        for number, each in enumerate(decisions):
            click.echo(f"{',' if number else ''}\n{json.dumps(decision_csv.values(each))}", nl=False)
        click.echo("\n]}")
    elif kind == "csv":
        decision_csv.write(decisions, sys.stdout)
    elif kind == "jsonl":
        for each in decisions:
            click.echo(json.dumps(decision_csv.values(each)))
    else:
        with closing(_tables(decisions)) as tables:
            for table in tables:
                shell.show({}, table)


def _tables(decisions: Iterable[Decision]) -> Generator[Table]:
    table = _table()
    for each in decisions:
        if table.row_count == _PAGE:
            yield table
            table = _table()
        what = f"{each.kind} {each.label}" if each.label else f"{each.kind} and near" if each.near else each.kind
        add(table, each.sha256[:16], what, f"{each.at:%Y-%m-%d %H:%M}", each.by, each.reason)
    yield table


def _table() -> Table:
    return plain_table("image", "decision", "at (UTC)", "by", "reason")
