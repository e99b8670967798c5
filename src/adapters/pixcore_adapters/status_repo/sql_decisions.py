"""The decisions about the images of each dataset, in the status database; all workers of the dataset share them."""

from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

from attrs import field, frozen
from sqlalchemy import ColumnElement, Connection, Engine, Executable, Row, and_, bindparam, delete, or_, select

from pixcore.model.decisions import Decision
from pixcore_adapters.status_repo import database, statements
from pixcore_adapters.status_repo.schema import decisions as table

_KEY = (table.c.dataset, table.c.sha256, table.c.about_label)
_VALUES = [column for column in table.c if column not in _KEY]


@frozen(eq=False)
class SqlDecisions:
    """The whole port, in a table beside the chunks.

    Attributes:
        engine: The database of the status repository, or its URL; connects on first use.
        clock: The database's time in seconds, as an SQL expression; tests inject their own.
    """

    engine: Engine = field(converter=database.engine_at)
    clock: ColumnElement[float] = field()

    @clock.default
    def _(self) -> ColumnElement[float]:
        return database.dialect_of(self.engine).now

    def now(self) -> datetime:
        """See the port."""
        with database.autocommit(self.engine) as connection:
            return datetime.fromtimestamp(int(connection.execute(select(self.clock)).scalar_one()), UTC)

    def record(self, decisions: Iterable[Decision]) -> int:
        """See the port. One transaction; a thousand decisions block other writers for about 20 ms."""
        insert = database.dialect_of(self.engine).insert(table)
        stored, new = table.c.decided_at, insert.excluded.decided_at
        differs = or_(*(column != insert.excluded[column.name] for column in _VALUES))
        newer = or_(stored < new, and_(stored == new, differs))
        values = {column.name: insert.excluded[column.name] for column in _VALUES}
        return self._change(insert.on_conflict_do_update(index_elements=_KEY, set_=values, where=newer), decisions)

    def take_back(self, decisions: Iterable[Decision]) -> int:
        """See the port. One transaction."""
        unchanged = and_(*(column == bindparam(f"the_{column.name}") for column in table.c))
        return self._change(delete(table).where(unchanged), decisions, "the_")

    def read(self, dataset: str) -> Iterator[Decision]:
        """See the port. Reads one page at a time, each in its own transaction, and keeps none open in between."""
        query = select(table).where(table.c.dataset == dataset)
        return map(_decision, statements.paged(self.engine, query, *_KEY))

    def _change(self, statement: Executable, decisions: Iterable[Decision], prefix: str = "") -> int:
        """Execute a statement for each decision; return how many rows it changed."""
        # always in the same order, so that two transactions cannot deadlock; those about the same stay in order
        ordered = sorted(decisions, key=lambda decision: decision.key)
        if not ordered:
            return 0
        with database.transaction(self.engine) as connection:
            pages = statements.in_pages(ordered, statements.PAGE)
            return sum(_executed(connection, statement, page, prefix) for page in pages)


def _executed(connection: Connection, statement: Executable, page: Sequence[Decision], prefix: str) -> int:
    rows = [{f"{prefix}{name}": value for name, value in _columns(each).items()} for each in page]
    return connection.execute(statement.execution_options(preserve_rowcount=True), rows).rowcount


def _columns(decision: Decision) -> dict[str, object]:
    return {
        "dataset": decision.dataset,
        "sha256": decision.sha256,
        "about_label": decision.about_label,
        "kind": decision.kind.value,
        "label": decision.label,
        "near": decision.near,
        "phash": decision.phash,
        "dhash": decision.dhash,
        "decided_by": decision.by,
        "reason": decision.reason,
        "decided_at": int(decision.at.timestamp()),
    }


def _decision(row: Row[Any]) -> Decision:
    return Decision(
        row.dataset,
        row.kind,
        row.sha256,
        label=row.label,
        near=row.near,
        phash=row.phash,
        dhash=row.dhash,
        by=row.decided_by,
        reason=row.reason,
        at=datetime.fromtimestamp(row.decided_at, UTC),
    )
