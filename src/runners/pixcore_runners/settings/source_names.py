"""The sources that a user may name: how they are written and what they are called.

Some are lists of their own, such as ``folder:./photos``; the others are searched by keyword, such as ``openverse``.
Those that plugins bring are searched.
"""

import re
from collections.abc import Iterable
from pathlib import Path
from urllib.parse import unquote

from pixcore import InvalidRequest
from pixcore_runners.plugins import SOURCES, offered

LISTED = {"folder": "folder:DIR", "urls": "urls:LIST"}
OPEN = ("openverse", "commons")  # image APIs that invite their use and tell licences
ENGINES = ("bing", "google", "baidu")
CONTACTABLE = frozenset({"commons"})  # answer only a user agent that holds an address to write to
LICENSES = ("cc0", "pdm", "by", "by-sa", "by-nd", "by-nc", "by-nc-sa", "by-nc-nd")  # as Creative Commons writes them
FORMS = (*OPEN, *LISTED.values(), *ENGINES)


def parse(source: str) -> tuple[str, str]:
    """The source's name, and what it is asked for; ``""`` for one that is searched by keyword.

    Raises:
        InvalidRequest: There is no such source, or it is written in another form.
    """
    name, colon, argument = source.partition(":")
    if name in LISTED:
        if not argument:
            raise InvalidRequest(f"source {source!r} names nothing; write {LISTED[name]}")
    elif name not in (*OPEN, *ENGINES) and name not in (others := offered(SOURCES)):
        raise InvalidRequest(f"unknown source {source!r}; use one of: {', '.join((*FORMS, *others))}")
    elif colon:
        raise InvalidRequest(f"source {source!r} is searched by the keyword; write {name}")
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


def caution(sources: Iterable[str]) -> str:
    """What whoever names search engines is told; empty when none is among the sources."""
    engines = [source for source in dict.fromkeys(sources) if source in ENGINES]
    if not engines:
        return ""
    return (
        f"{', '.join(engines)}: search engines do not allow automated collection in general and tell no licences,"
        " so you answer for what you take; openverse and commons are made for it"
    )
