"""What a user reads about chunks that failed or are short: why, and what to do."""

from collections import Counter
from collections.abc import Iterable, Sequence

from pixcore import ChunkRecord, StatusRepo
from pixcore.chunk.unfilled import allocations_of, is_exhausted, is_unfilled, may_gain, mendable


def advice(records: Sequence[ChunkRecord], status: StatusRepo, retry: str) -> str:
    """Return the advice for a dataset of which some chunk failed or is short: retry only where that can help.

    ``retry`` is what the user has to type for that, such as ``pixcore retry red-panda``.
    """
    allocations = allocations_of(status)
    unfilled = [record for record in records if is_unfilled(record) and not is_exhausted(record, allocations(record))]
    if any(may_gain(record, allocations(record)) for record in unfilled):
        return f"some chunks failed or are short; to retry them: {retry}"
    if reasons := sum((Counter(mendable(record)) for record in unfilled), Counter[str]()):
        listed = ", ".join(f"{reason}: {count}" for reason, count in reasons.most_common())
        return (
            "some chunks are short; a retry can help only once you have changed the settings or the folder for which"
            f" candidates were missed ({listed}); then: {retry}"
        )
    return (
        "some chunks are short and a retry cannot fill them: all their candidates were tried, and their lists have no"
        " others; add to the lists and repeat the command, or name more sources and ask for a larger --count"
    )


def held(records: Iterable[ChunkRecord]) -> str:
    """Say how many of the chunks another run holds, and for how long; ``""`` if it holds none."""
    left = [record.lease_left for record in records if record.lease_left > 0]
    return (
        f"chunks that another run holds: {len(left)}; if it died, their leases expire in {max(left):.0f} s"
        if left
        else ""
    )


def left_out(records: Iterable[ChunkRecord]) -> Counter[str]:
    """Count the candidates of all chunks that were rejected or missed, by reason."""
    counts = Counter[str]()
    for record in records:
        progress = record.result.progress if record.result else record.progress
        counts.update(progress.rejected)
        counts.update(progress.missed)
    return counts
