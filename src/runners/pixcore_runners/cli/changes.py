"""What ``pixcore apply`` changes, as a table, as sentences and as JSON."""

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any

from rich.table import Table

from pixcore import ChunkRecord
from pixcore.stored.revisions import ChunkChanges
from pixcore_runners.cli.document import VERSION
from pixcore_runners.cli.tables import add, plain_table, reasons


def changes_table(found: Iterable[ChunkChanges]) -> Table:
    """Return a table with one row for each chunk that is rebuilt."""
    table = plain_table("chunk", "removed", "brought back", "relabelled", "unchanged", "")
    for each in found:
        if each.is_touched:
            note = "an earlier rebuilding was interrupted" if each.is_unfinished else ""
            removed = reasons(_by_reason(each)) or 0
            add(table, each.record.chunk.id, removed, each.returned, each.relabelled, each.unchanged, note)
    return table


def sentences(found: Sequence[ChunkChanges], rules: Collection[str], waiting: int, *, keeps: bool) -> Iterator[str]:
    """Yield the totals of all chunks, and what the user should know before they are rebuilt.

    ``rules`` are the changed rules, ``waiting`` is how many chunks are not completed. ``keeps`` says whether the bytes
    of all removed images are kept.
    """
    touched = [each for each in found if each.is_touched]
    if rules:
        yield f"rules: {', '.join(rules)}"
    if touched:
        removed = Counter[str]()
        for each in touched:
            for (reason, decided), count in each.removed.items():
                removed[f"{reason} {decided}".rstrip()] += count
        yield ", ".join(
            (
                f"removed: {removed.total()}{f' ({reasons(removed)})' if removed else ''}",
                f"brought back: {sum(each.returned for each in touched)}",
                f"relabelled: {sum(each.relabelled for each in touched)}",
                f"unchanged: {sum(each.unchanged for each in found)}",
                f"chunks to rebuild: {len(touched)} of {len(found)}",
            )
        )
        if removed and not keeps:
            yield "the removed images are deleted; to keep their bytes, add --keep-rejected"
    if spare := sum(each.spare for each in found):
        yield f"rejected images that are acceptable now, but not needed, because their chunks are full: {spare}"
    if lost := sum(each.lost for each in found):
        yield (
            f"rejected images that are acceptable now, but whose bytes were not kept: {lost}; --fill fetches those of"
            " lists again"
        )
    if waiting:
        yield f"chunks that are not completed: {waiting}; they follow the rules and decisions when they run"


def changes_document(
    dataset: str,
    found: Iterable[ChunkChanges],
    *,
    rules: Iterable[str],
    waiting: Iterable[ChunkRecord],
    problems: Mapping[int, str],
    rebuilt: Collection[int],
) -> dict[str, Any]:
    """Return the document of ``--json``. ``rebuilt`` are the ids of the chunks that were rebuilt."""
    return {
        "version": VERSION,
        "dataset": dataset,
        "rules": [*rules],
        "chunks": [
            {
                "id": each.record.chunk.id,
                "removed": dict(sorted(_by_reason(each).items())),
                "brought_back": each.returned,
                "relabelled": each.relabelled,
                "unchanged": each.unchanged,
                "not_needed": each.spare,
                "not_kept": each.lost,
                "rebuilt": each.record.chunk.id in rebuilt,
            }
            for each in found
        ],
        "waiting": [record.chunk.id for record in waiting],
        "problems": {str(chunk): problem for chunk, problem in problems.items()},
    }


def _by_reason(changes: ChunkChanges) -> Counter[str]:
    counts = Counter[str]()
    for (reason, _), count in changes.removed.items():
        counts[reason] += count
    return counts
