"""``pixcore outcomes``: list what became of every candidate of a dataset."""

import csv
import json
import sys
from collections import Counter
from collections.abc import Generator, Iterable, Mapping, Sequence
from contextlib import closing

import rich_click as click
from rich.table import Table

from pixcore import ChunkRecord, InvalidRequest, StoreNotFound
from pixcore.errors import one_line
from pixcore.model.outcomes import KEYS, listed_keys
from pixcore.model.requests import namespace
from pixcore.stored.archives import StoredArchives
from pixcore.stored.outcomes import has_outcomes, outcome_lines
from pixcore_runners.assembly.assembly import Assembly, assemble
from pixcore_runners.cli.commands import DONE, PARTIAL
from pixcore_runners.cli.completion import dataset_names
from pixcore_runners.cli.document import VERSION
from pixcore_runners.cli.shell import Shell, shared
from pixcore_runners.cli.tables import add, plain_table, reasons
from pixcore_runners.planning.dataset_plan import dataset_records

_PAGE = 1000  # rows of one table: rich lays out a whole table before it prints

_Line = Mapping[str, object]


@click.command("outcomes")
@click.argument("dataset", shell_complete=dataset_names)
@click.option(
    "--reason", "wanted", multiple=True, metavar="OUTCOME", help="Only these, such as near_duplicate. Repeatable."
)
@click.option("--format", "kind", type=click.Choice(["table", "jsonl", "csv"]), default="table", help="Default: table.")
@shared
def command(shell: Shell, dataset: str, wanted: tuple[str, ...], kind: str) -> None:
    """List what became of every candidate of DATASET: accepted, not_tried, or the reason why it is left out.

    `''` means the chunks without a dataset. The candidates come chunk by chunk, in their order, one chunk's list on the
    local disk at a time. The store holds the same lines, as DATASET/outcomes/chunk_ID.jsonl.gz. Exits with 3 if those
    of a chunk could not be read.

    Example: `pixcore outcomes red-panda --reason near_duplicate --format csv`
    """
    assembly = assemble(shell.settings)
    name = namespace(dataset)
    records = dataset_records(name, assembly.status)
    counts, unread = Counter[str](), dict[int, str]()
    with closing(_lines(records, assembly, wanted, counts, unread)) as lines:
        if shell.as_json:
            _print_document(name, lines, counts, unread)
        elif kind == "table":
            for table in _tables(lines):
                shell.show({}, table)
        elif kind == "jsonl":
            for line in lines:
                click.echo(json.dumps(line))
        else:
            _print_csv(records, lines)
    for error in unread.values():
        shell.say(error)
    if missing := without_outcomes(records, assembly.archives):
        shell.say(missing)
    if wanted and not any(counts[each] for each in wanted):
        shell.say(f"no candidate has the outcome {', '.join(wanted)}; found: {reasons(counts) or 'none'}")
    else:
        shell.say(reasons(counts))
    sys.exit(PARTIAL if unread else DONE)


def without_outcomes(records: Iterable[ChunkRecord], archives: StoredArchives) -> str:
    """Say for how many chunks no outcomes are stored, and why; return ``""`` if there are none."""
    without = [record for record in records if not has_outcomes(record, archives)]
    unfinished = sum(record.result is None for record in without)
    older = len(without) - unfinished
    parts = [f"{unfinished} because they are not completed"] if unfinished else []
    parts += [f"{older} because an earlier version of pixcore completed them"] if older else []
    return f"chunks without outcomes: {', '.join(parts)}" if parts else ""


def _lines(
    records: Sequence[ChunkRecord],
    assembly: Assembly,
    wanted: Sequence[str],
    counts: Counter[str],
    unread: dict[int, str],
) -> Generator[_Line]:
    """Yield the wanted lines, each with the id of its chunk, and count all lines by outcome.

    ``unread`` receives the error of each chunk whose outcomes are missing or damaged.
    """
    for record in records:
        try:
            for line in outcome_lines(record, assembly.archives):
                counts[str(line["outcome"])] += 1
                if not wanted or line["outcome"] in wanted:
                    yield {"chunk": record.chunk.id, **line}
        except (InvalidRequest, StoreNotFound) as error:
            unread[record.chunk.id] = one_line(error)


def _print_document(dataset: str, lines: Iterable[_Line], counts: Counter[str], unread: Mapping[int, str]) -> None:
    """Print one JSON document, a candidate a line. Its ``counts`` are those of all candidates."""
    click.echo(json.dumps({"version": VERSION, "dataset": dataset, "outcomes": []}).removesuffix("]}"), nl=False)
    for number, line in enumerate(lines):
        click.echo(f"{',' if number else ''}\n{json.dumps(line)}", nl=False)
    rest = {"counts": dict(sorted(counts.items())), "unread": {str(chunk): error for chunk, error in unread.items()}}
    click.echo(f"\n], {json.dumps(rest).removeprefix('{')}")


def _print_csv(records: Iterable[ChunkRecord], lines: Iterable[_Line]) -> None:
    listed = dict.fromkeys(key for record in records for key in listed_keys(record.chunk.request.columns).values())
    rows = csv.DictWriter(sys.stdout, ("chunk", *KEYS, *listed), restval="", lineterminator="\n")
    rows.writeheader()
    rows.writerows(lines)


def _tables(lines: Iterable[_Line]) -> Generator[Table]:
    table = _table()
    for line in lines:
        if table.row_count == _PAGE:
            yield table
            table = _table()
        size = f"{line['width']} x {line['height']}" if "width" in line else ""
        name = line.get("url") or f"{line['query']} {line['position']}"
        kept = f"; {line['twin_url']} is kept" if "twin_url" in line else ""
        add(table, line["chunk"], line["outcome"], name, size, line.get("bytes", ""), f"{line.get('detail', '')}{kept}")
    yield table


def _table() -> Table:
    return plain_table("chunk", "outcome", "candidate", "pixels", "bytes", "detail")
