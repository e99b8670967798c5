"""The sources that a user may name, such as ``folder:./photos``: how they are written and what they are called."""

import re
from pathlib import Path
from urllib.parse import unquote

from pixcore import InvalidRequest

_FORMS = {"folder": "folder:DIR", "urls": "urls:LIST"}


def parse(source: str) -> tuple[str, str]:
    """The source's name, and what it is asked for.

    Raises:
        InvalidRequest: There is no such source, or nothing is asked for.
    """
    name, _, argument = source.partition(":")
    if name not in _FORMS:
        raise InvalidRequest(f"unknown source {source!r}; use {' or '.join(_FORMS.values())}")
    if not argument:
        raise InvalidRequest(f"source {source!r} names nothing; write {_FORMS[name]}")
    return name, argument


def title(source: str) -> str:
    """What its images show, as far as the source's own name tells: the folder's name, the list's without its ending.

    Raises:
        InvalidRequest: As for ``parse``.
    """
    name, argument = parse(source)
    if name == "folder":
        return Path(argument).expanduser().resolve().name
    return Path(unquote(re.split("[?#]", argument)[0])).name.partition(".")[0]
