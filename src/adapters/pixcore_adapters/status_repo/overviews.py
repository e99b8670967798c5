"""The errors of many chunks, so that a person can read them: alike ones together, the most frequent first."""

import re
from collections import Counter
from collections.abc import Mapping

_MOST = 20
_QUOTED = re.compile(r"(?<!\w)(['\"]).*?\1(?!\w)", re.DOTALL)  # an apostrophe within a word is no quote
_NUMBER = re.compile(r"\d+")


def grouped(errors: Mapping[str, int]) -> Mapping[str, int]:
    """How often each masked error occurs, given how often each error does; ties by their text."""
    counts: Counter[str] = Counter()
    for error, count in errors.items():
        counts[masked(error)] += count
    return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:_MOST])


def masked(error: str) -> str:
    """The error without what differs from chunk to chunk: names in quotes, and numbers."""
    return _NUMBER.sub("N", _QUOTED.sub("'…'", error))
