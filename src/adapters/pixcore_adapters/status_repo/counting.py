"""The triggers that count chunks: in the table of counts, in the transaction that changes a chunk.

Chunks that are processing are not counted there, because their phase and images change often and they are at most as
many as workers: readers count them by themselves. So a renewal of a lease changes no count, and concurrent workers wait
for each other's counts only when an attempt begins or ends.
"""

# ruff: noqa: S608 - the statements are made of this module's constants

from collections.abc import Mapping, Sequence

from sqlalchemy import DDL, MetaData, event

_KEY = "dataset, status, phase, error_kind"
_VALUES = ("chunks", "accepted", "attempts")
_HELD = "'processing'"


def attach(metadata: MetaData) -> None:
    """Create the triggers together with the tables."""
    for dialect, statements in TRIGGERS.items():
        for statement in statements:
            create = DDL(statement).execute_if(dialect=dialect)  # type: ignore[no-untyped-call]
            event.listen(metadata, "after_create", create)


def _added(rows: str) -> str:
    """Build the statement that adds rows to the counts."""
    sums = ", ".join(f"{name} = pixcore_counts.{name} + excluded.{name}" for name in _VALUES)
    return f"INSERT INTO pixcore_counts ({_KEY}, {', '.join(_VALUES)}) {rows} ON CONFLICT ({_KEY}) DO UPDATE SET {sums}"


def _sqlite() -> list[str]:
    # a trigger for each row: SQLite has no others, and changes a row in its place
    watched = f"{_KEY}, accepted, attempt"
    new = ", ".join(f"NEW.{column}" for column in _KEY.split(", "))
    add = _added(f"VALUES ({new}, 1, NEW.accepted, NEW.attempt)")
    of_old = " AND ".join(f"{column} = OLD.{column}" for column in _KEY.split(", "))
    subtract = (
        "UPDATE pixcore_counts SET chunks = chunks - 1, accepted = accepted - OLD.accepted,"
        f" attempts = attempts - OLD.attempt WHERE {of_old}"
    )
    return [
        f"CREATE TRIGGER pixcore_count_{name} AFTER {change} ON pixcore_chunks"
        f" WHEN {row}.status <> {_HELD} BEGIN {statement}; END"
        for name, change, row, statement in (
            ("insert", "INSERT", "NEW", add),
            ("delete", "DELETE", "OLD", subtract),
            ("from", f"UPDATE OF {watched}", "OLD", subtract),
            ("to", f"UPDATE OF {watched}", "NEW", add),
        )
    ]


def _postgres() -> list[str]:
    # a trigger for each statement: within one transaction, a row that is changed n times costs the square of n.
    # Sorted, so that concurrent transactions lock the counts in one order.
    def counted(*sides: tuple[str, str]) -> str:
        changed = " UNION ALL ".join(
            f"SELECT {_KEY}, {sign}1 AS n, {sign}accepted AS a, {sign}attempt AS t FROM {side} WHERE status <> {_HELD}"
            for side, sign in sides
        )
        return _added(
            f"SELECT {_KEY}, sum(n), sum(a), sum(t) FROM ({changed}) AS changed GROUP BY {_KEY}"
            f" HAVING sum(n) <> 0 OR sum(a) <> 0 OR sum(t) <> 0 ORDER BY {_KEY}"
        )

    events = {
        "INSERT": ("NEW TABLE AS after", counted(("after", ""))),
        "UPDATE": ("OLD TABLE AS before NEW TABLE AS after", counted(("before", "-"), ("after", ""))),
        "DELETE": ("OLD TABLE AS before", counted(("before", "-"))),
    }
    statements = []
    for event_, (tables, statement) in events.items():
        name = f"pixcore_count_{event_.lower()}"
        body = f"BEGIN {statement}; RETURN NULL; END"
        # PROCEDURE: PostgreSQL 10 does not know FUNCTION here
        when = f"AFTER {event_} ON pixcore_chunks REFERENCING {tables} FOR EACH STATEMENT EXECUTE PROCEDURE {name}()"
        statements += [
            f"CREATE OR REPLACE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql AS $$ {body} $$",
            f"CREATE TRIGGER {name} {when}",
        ]
    return statements


TRIGGERS: Mapping[str, Sequence[str]] = {"sqlite": _sqlite(), "postgresql": _postgres()}
"""The statements that create the triggers, by SQLAlchemy's name of the dialect."""
