"""Distinct names for the columns of a list."""

from collections.abc import Sequence


def unique(header: Sequence[str]) -> tuple[str, ...]:
    """Return distinct names for the columns of a header; unnamed and repeated ones get the number of their place."""
    names: list[str] = []
    for place, column in enumerate(header, 1):
        name = column.strip() or f"column_{place}"
        names.append(f"{name}_{place}" if name in names else name)
    return tuple(names)
