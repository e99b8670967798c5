"""Tables for users."""

from collections.abc import Iterable, Iterator, Mapping

from rich.table import Table
from rich.text import Text

from pixcore import ChunkRecord, Overview, Status
from pixcore.model.chunks import Phase
from pixcore.ports.seen_images import NearGroup
from pixcore_runners.observing.logs import escaped

_PAGE = 1000  # rows of one table: rich lays out a whole table before it prints

_STEP = 1000  # between decimal prefixes


def plain_table(*columns: str) -> Table:
    """Return a table without frames, whose cells are not read as markup."""
    table = Table(box=None, pad_edge=False)
    for column in columns:
        table.add_column(column, overflow="fold")
    return table


def add(table: Table, *cells: object, style: str = "") -> None:
    """Add a row of plain texts. Escapes control characters and markup, because cells may hold text from web sites."""
    table.add_row(*(Text(escaped(str(cell))) for cell in cells), style=style)


def chunk_tables(records: Iterable[ChunkRecord]) -> Iterator[Table]:
    """Yield tables with one row a chunk, at most 1,000 rows each: its state, its images, what was left out and why."""
    table = _chunk_table()
    for record in records:
        if table.row_count == _PAGE:
            yield table
            table = _chunk_table()
        left_out = {**record.progress.rejected, **record.progress.missed}
        add(
            table,
            record.chunk.id,
            record.status,
            record.phase,
            f"{record.progress.accepted}/{record.chunk.request.target}",
            reasons(left_out),
            record.attempt,
            _lease(record),
            record.error or _archive(record),
        )
    yield table


def _chunk_table() -> Table:
    return plain_table("chunk", "status", "phase", "accepted", "left out", "attempt", "lease", "archive or error")


def phase_table(overview: Overview) -> Table:
    """Return a table with one row a status: its chunks, and their phases in the order in which chunks pass them."""
    table = Table(box=None, pad_edge=False)
    table.add_column("status")
    table.add_column("chunks", justify="right")
    table.add_column("in phase")
    for status in Status:
        phases = overview.phases.get(status, {})
        where = ", ".join(f"{phases[phase]} {phase}" for phase in Phase if phase in phases)
        add(table, status, sum(phases.values()), where, style="red" if status is Status.FAILED and phases else "")
    return table


def error_table(errors: Mapping[str, int]) -> Table:
    """Return a table with one line an error, cut at the width of the terminal: its chunks, in the order given."""
    table = Table(box=None, pad_edge=False)
    table.add_column("chunks", justify="right")
    table.add_column("error", no_wrap=True, overflow="ellipsis")
    for error, count in errors.items():
        add(table, count, error)
    return table


def near_tables(groups: Iterable[NearGroup]) -> Iterator[Table]:
    """Yield tables with one row a near pair, at most 1,000 rows each. Groups are numbered from 1."""
    table = _near_table()
    for number, group in enumerate(groups, 1):
        for pair in group.pairs:
            if table.row_count == _PAGE:
                yield table
                table = _near_table()
            one, other = pair.one, pair.other
            add(table, number, pair.phash, pair.dhash, one.chunk.id, one.url, other.chunk.id, other.url)
    yield table


def _near_table() -> Table:
    return plain_table("group", "phash bits", "dhash bits", "chunk", "image", "chunk", "near image")


def _archive(record: ChunkRecord) -> str:
    url = record.result.url if record.result else ""
    return f"{url} (to be rebuilt from stored images)" if record.rebuild else url


def _lease(record: ChunkRecord) -> str:
    if record.status is not Status.PROCESSING:
        return ""
    return f"{record.lease_left:.0f} s" if record.lease_left > 0 else "expired"


def reasons(counts: Mapping[str, int]) -> str:
    """Return the counts by reason as text, the most frequent first."""
    return ", ".join(f"{n} {reason}" for reason, n in sorted(counts.items(), key=lambda one: (-one[1], one[0])))


def size(count: int) -> str:
    """Return a number of bytes with a decimal prefix, such as ``1.2 MB``."""
    value, unit = float(count), "B"
    for unit in ("B", "kB", "MB", "GB", "TB"):
        if value < _STEP or unit == "TB":
            break
        value /= _STEP
    return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"
