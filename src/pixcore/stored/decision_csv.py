"""Decisions as CSV for version control: a line for each, in a fixed order, without the name of the dataset."""

import csv
from collections.abc import Generator, Iterable
from datetime import UTC, datetime
from typing import IO

from pixcore.errors import InvalidRequest, one_line
from pixcore.model.decisions import Decision

COLUMNS: tuple[str, ...] = ("kind", "sha256", "label", "near", "phash", "dhash", "by", "reason", "at")

_YES = "yes"  # of `near`; else ""
_TIME = "%Y-%m-%dT%H:%M:%SZ"


def values(decision: Decision) -> dict[str, str]:
    """Return a decision as the values of ``COLUMNS``, in their order."""
    return {
        "kind": decision.kind.value,
        "sha256": decision.sha256,
        "label": decision.label,
        "near": _YES if decision.near else "",
        "phash": decision.phash,
        "dhash": decision.dhash,
        "by": decision.by,
        "reason": decision.reason,
        "at": f"{decision.at.replace(tzinfo=None).isoformat()}Z",  # strftime writes years before 1000 with fewer digits
    }


def write(decisions: Iterable[Decision], target: IO[str]) -> None:
    """Write a header and a line for each decision. The same decisions give the same text."""
    rows = csv.DictWriter(target, COLUMNS, lineterminator="\n")
    rows.writeheader()
    rows.writerows(values(each) for each in decisions)


def read(lines: Iterable[str], dataset: str, name: str) -> Generator[Decision]:
    """Yield the decisions that ``write`` wrote, for a dataset of any name. The columns may be in any order.

    ``lines`` is a text file that was opened with ``newline=""``; ``name`` is what errors call it.

    Raises:
        InvalidRequest: The file has other columns, is not CSV in UTF-8, or a line is no decision; the line is named.
    """
    rows = csv.reader(lines, strict=True)
    try:
        header: list[str] = next(rows, list[str]())
        if sorted(header) == sorted(COLUMNS):
            for row in rows:
                yield _decision(header, row, dataset)
            return
    except (csv.Error, UnicodeDecodeError, InvalidRequest) as exc:
        raise InvalidRequest(f"{name}, line {max(rows.line_num, 1)}: {one_line(exc)}") from exc
    raise InvalidRequest(
        f"{name} has the columns {', '.join(header) or 'none'}; a file of decisions has {', '.join(COLUMNS)}, as"
        " `pixcore decisions DATASET --format csv` writes it"
    )


def _decision(header: list[str], given: list[str], dataset: str) -> Decision:
    if len(given) != len(header):
        raise InvalidRequest(f"{len(given)} values for {len(header)} columns")
    row = dict(zip(header, given, strict=True))
    if row["near"] not in ("", _YES):
        raise InvalidRequest(f"near is {row['near']!r}; write {_YES} or nothing")
    try:
        at = datetime.strptime(row["at"], _TIME).replace(tzinfo=UTC)
    except ValueError:
        raise InvalidRequest(f"the time {row['at']!r} is not written like 2026-05-04T12:00:00Z") from None
    return Decision(
        dataset,
        row["kind"],
        row["sha256"],
        label=row["label"],
        near=row["near"] == _YES,
        phash=row["phash"],
        dhash=row["dhash"],
        by=row["by"],
        reason=row["reason"],
        at=at,
    )
