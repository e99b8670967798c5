"""Tables for people."""

from collections.abc import Iterable, Iterator, Mapping

from rich.table import Table
from rich.text import Text

from pixcore import ChunkRecord, Overview, Status
from pixcore.model.chunks import Phase
from pixcore.stored.near_groups import NearGroup
from pixcore_runners.observing.logs import escaped

_PAGE = 1000  # rows of a table that is one of many: as much as is laid out before anything is printed


def plain_table(*columns: str) -> Table:
    """A table without frames, whose cells are never folded by force nor read as markup."""
    table = Table(box=None, pad_edge=False)
    for column in columns:
        table.add_column(column, overflow="fold")
    return table


def add(table: Table, *cells: object, style: str = "") -> None:
    """A row of plain texts: what strangers wrote is shown, not interpreted."""
    table.add_row(*(Text(escaped(str(cell))) for cell in cells), style=style)


def chunk_table(records: Iterable[ChunkRecord]) -> Table:
    """One row a chunk: how it stands, what it holds, what was left out and why."""
    table = plain_table("chunk", "status", "phase", "accepted", "left out", "attempt", "lease", "archive or error")
    for record in records:
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
            record.error or (record.result.url if record.result else ""),
        )
    return table


def phase_table(overview: Overview) -> Table:
    """One row a status: how many chunks are in it, and in which phases, in the order in which chunks pass them."""
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
    """One line an error, cut where a terminal ends: how many chunks have it, in the order given."""
    table = Table(box=None, pad_edge=False)
    table.add_column("chunks", justify="right")
    table.add_column("error", no_wrap=True, overflow="ellipsis")
    for error, count in errors.items():
        add(table, count, error)
    return table


def near_tables(groups: Iterable[NearGroup]) -> Iterator[Table]:
    """One row a near pair, the groups numbered from 1; a table ends after so many rows, and the next one goes on."""
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


def _lease(record: ChunkRecord) -> str:
    if record.status is not Status.PROCESSING:
        return ""
    return f"{record.lease_left:.0f} s" if record.lease_left > 0 else "expired"


def reasons(counts: Mapping[str, int]) -> str:
    """The counts by reason, the most frequent first."""
    return ", ".join(f"{n} {reason}" for reason, n in sorted(counts.items(), key=lambda one: (-one[1], one[0])))
