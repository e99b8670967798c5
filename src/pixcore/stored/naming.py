"""Recognise the candidates that a person names: by sha256, URL or path."""

import os
import re
from collections.abc import Callable, Iterable, Mapping

from pixcore.redaction import redacted

_SHA256 = re.compile(r"[0-9a-f]{8,64}")


def is_checksum(name: str) -> bool:
    """Return whether a name is a sha256, or its beginning of at least 8 digits."""
    return bool(_SHA256.fullmatch(name))


def recognise(names: Iterable[str]) -> Callable[[Mapping[str, object]], set[str]]:
    """Return a function that returns which of the names mean the candidate of a line of outcomes.

    A name is a sha256, of which the first 8 digits suffice, a URL, also the final one after redirects, or a path:
    relative to the dataset's folder, absolute or relative to the current folder. The cost of a call does not depend on
    the number of names.
    """
    checksums, others = set[str](), dict[str, list[str]]()
    for name in names:
        if is_checksum(name):
            checksums.add(name)
        else:
            text = redacted(name)  # outcomes hold no credentials
            paths = () if "://" in text else (os.path.abspath(text),)  # noqa: PTH100 - lexically: it may be gone
            for key in {text, *paths}:
                others.setdefault(key, []).append(name)
    lengths = {len(name) for name in checksums}

    def recognised(line: Mapping[str, object]) -> set[str]:
        sums = (str(line.get(key, "")) for key in ("sha256", "stored_sha256"))
        found = {sha256[:length] for sha256 in sums for length in lengths} & checksums
        if others:
            url = str(line.get("url", ""))
            keys = [url, str(line.get("final_url", ""))]
            if line["source"] == "folder":
                keys.append(os.path.join(str(line.get("query", "")), url))  # noqa: PTH118 - lexically, as above
            found.update(name for key in keys for name in others.get(key, ()))
        return found

    return recognised
