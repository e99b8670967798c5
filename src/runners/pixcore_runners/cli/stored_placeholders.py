"""Say which chunks hold an image that turned out to be a placeholder after it was stored."""

import shlex

from pixcore_runners.assembly.assembly import Assembly

_NAMED = 5  # chunks in one message


def stored_placeholders(assembly: Assembly, dataset: str) -> str:
    """Return a line that names the chunks and the remedy; ``""`` if no completed chunk holds a placeholder.

    Raises:
        StatusUnavailable: The database cannot be reached.
    """
    known = {each.sha256 for each in assembly.decisions.read(dataset) if each.is_placeholder} if dataset else set()
    if not known:
        return ""
    holders = assembly.seen.holders(dataset, known)
    ids = sorted({holder.id for holder in holders.values()})
    if not ids:
        return ""
    more = f" and {len(ids) - _NAMED} more" if len(ids) > _NAMED else ""
    named = f"chunk{'s' if len(ids) > 1 else ''} {', '.join(map(str, ids[:_NAMED]))}{more}"
    count = f"{len(holders)} placeholders are" if len(holders) > 1 else "a placeholder is"
    return f"dataset {dataset}: {count} stored in {named}; to remove: pixcore apply {shlex.quote(dataset)}"
