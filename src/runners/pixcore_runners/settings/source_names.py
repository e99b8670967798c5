"""The sources that a user may name, and how users write them.

Listed sources name a folder or a list, such as ``folder:./photos``. The others are searched: by the keyword, such as
``openverse`` and plug-ins, or by a query of their own, such as ``commons-category:Red pandas``.
"""

import re
from collections.abc import Iterable
from pathlib import Path
from urllib.parse import unquote

from pixcore import InvalidRequest
from pixcore_runners.registry.tables import SEARCHES

LISTED = {"folder": "folder:DIR", "urls": "urls:LIST"}
OPEN = ("openverse", "commons")  # the default: image APIs that invite use and give the licence of each image
ENGINES = ("bing", "google", "baidu", "ddgs")
QUERIED = {name: source.form for name, source in SEARCHES.builtin.items() if source.form}
# these answer only if the user agent holds a contact address
CONTACTABLE = frozenset({"commons", "commons-category", "commons-depicts"})
LICENSES = ("cc0", "pdm", "by", "by-sa", "by-nd", "by-nc", "by-nc-sa", "by-nc-nd")  # as Creative Commons writes them
FORMS = (*(QUERIED.get(name, name) for name in SEARCHES.builtin if name not in ENGINES), *LISTED.values(), *ENGINES)

_ITEM = re.compile("Q[1-9][0-9]*")  # of Wikidata


def parse(source: str) -> tuple[str, str]:
    """Split a source into its name and its argument, which is ``""`` for a source that is searched by the keyword.

    Raises:
        InvalidRequest: There is no such source, or it is written in another form.
    """
    name, colon, argument = source.partition(":")
    if form := LISTED.get(name) or QUERIED.get(name):
        if not argument.strip():
            raise InvalidRequest(f"source {source!r} is incomplete; write {form}")
        if name == "commons-depicts" and not _ITEM.fullmatch(argument):
            raise InvalidRequest(f"source {source!r} names no item of Wikidata; write {form}, with its number")
    elif name not in SEARCHES:
        forms = dict.fromkeys((*FORMS, *(name for name in SEARCHES if name not in QUERIED)))
        raise InvalidRequest(f"unknown source {source!r}; use one of: {', '.join(forms)}")
    elif colon:
        raise InvalidRequest(f"source {source!r} is searched by the keyword and takes no argument; write {name}")
    return name, argument


def title(source: str) -> str:
    """Return a keyword for a source with an argument.

    It is the folder's name, the list's name without its extension, or the query. For a glob, it is the last part of the
    path that has no wildcard.

    Raises:
        InvalidRequest: As for ``parse``.
    """
    name, argument = parse(source)
    if name == "folder":
        return Path(argument).expanduser().resolve().name
    if name in QUERIED:
        return argument
    if argument == "-":
        return "list"
    path = Path(unquote(re.split("[?#]", argument)[0]))
    names = (part.name for part in (path, *path.parents) if not set("*[]").intersection(part.name))
    return next((name.partition(".")[0] for name in names), "") or "list"


def caution(sources: Iterable[str]) -> str:
    """Return a warning if search engines are among the sources, else ``""``."""
    engines = [source for source in dict.fromkeys(sources) if source in ENGINES]
    if not engines:
        return ""
    return (
        f"{', '.join(engines)}: search engines generally forbid automated collection and give no licences, so you are"
        " responsible for the images that you collect; openverse and commons permit it"
    )
