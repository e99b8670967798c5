"""Grouping of the errors of many chunks for an overview: similar errors count as one, the most frequent come first."""

import re
from collections import Counter
from collections.abc import Mapping

_MOST = 20
_LONGEST = 500  # characters; an index holds them with the name of a dataset, whatever they are
_QUOTED = re.compile(r"(?<!\w)(['\"]).*?\1(?!\w)", re.DOTALL)  # an apostrophe within a word is not a quote
_NUMBER = re.compile(r"\d+")


def grouped(errors: Mapping[str, int]) -> Mapping[str, int]:
    """Sum the counts of errors that are equal once masked. Order by count, then by text; keep the first 20."""
    counts: Counter[str] = Counter()
    for error, count in errors.items():
        counts[masked(error)] += count
    return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:_MOST])


def masked(error: str) -> str:
    """Replace the parts of an error that differ between chunks: quoted text by ``'…'``, numbers by ``N``.

    Only the first 500 characters are returned. Idempotent.
    """
    return _NUMBER.sub("N", _QUOTED.sub("'…'", error))[:_LONGEST]
