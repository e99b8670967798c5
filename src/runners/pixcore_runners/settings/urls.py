"""URLs in the settings: detect credentials, mask passwords, and make relative paths absolute."""

import re
from pathlib import Path
from urllib.parse import unquote

from attrs import frozen

from pixcore.errors import InvalidRequest

_SCHEME = re.compile(r"[a-z][a-z0-9+.-]*:(?=.)", re.IGNORECASE)

_USER = re.compile(r"://[^/?#@]*@")
# a password that was not escaped may itself hold "/" and "@"
_PASSWORD = re.compile(r"://[^/?#@]*:.*@", re.DOTALL)
_SECRET_OPTION = re.compile(
    r"(?:^|[?&;'\"])(?:sig|[\w-]*(?:signature|secret|passw(?:or)?d|pwd|token|(?:account|access)_?key)[\w-]*)=",
    re.IGNORECASE,
)

_PATH = re.compile(
    r"(?P<form>file:|folder:|urls:(?![a-z][a-z0-9+.-]*://|-$)|sqlite(?:\+\w+)?:///)(?P<path>(?!/|:memory:|file:).+)",
    re.DOTALL,
)
# the characters that end or change a path in a URL; the others stay readable
_ESCAPES = str.maketrans({"%": "%25", "?": "%3F", "#": "%23"})


def is_url(text: str) -> bool:
    """Return whether the text begins with a scheme and has more after it."""
    return _SCHEME.match(text) is not None


def holds_user(url: str) -> bool:
    """Return whether the URL has a user name before the host."""
    return _USER.search(url) is not None


def holds_secret(text: str) -> bool:
    """Return whether the text looks as if it held a password, a signature or an account key."""
    return _PASSWORD.search(text) is not None or _SECRET_OPTION.search(unquote(text)) is not None


def anchored(url: str, base: Path | None) -> str:
    """Prefix the relative path of a ``file:``, ``folder:``, ``urls:`` or SQLite URL with ``base``, and expand ``~``.

    Other URLs are returned unchanged, and so are relative paths if ``base`` is None.

    Raises:
        InvalidRequest: ``~name`` names a user without a home folder.
    """
    match = _PATH.fullmatch(url)
    if match is None:
        return url
    form, written = match["form"], match["path"]
    first, _, rest = written.partition("/")
    path = expanded(Path(first))
    if not path.is_absolute():
        if base is None:
            return url
        path, rest = base, written
    # `folder:` and `urls:` take a path, the others a URL
    start = str(path) if form in ("folder:", "urls:") else str(path).translate(_ESCAPES)
    return f"{'file://' if form == 'file:' else form}{Path(start, rest.lstrip('/'))}"


def expanded(path: Path) -> Path:
    """Return the path with a leading ``~`` or ``~name`` expanded.

    Raises:
        InvalidRequest: The user has no home folder.
    """
    try:
        return path.expanduser()
    except RuntimeError as exc:
        raise InvalidRequest(f"{path} cannot be expanded to a home folder; write the full path") from exc


def masked(url: str) -> str:
    """Return the URL without its password and options, or only ``***`` if it cannot be split safely."""
    scheme, _, rest = url.partition("://")
    before, question, options = rest.partition("?")
    if not rest or not is_url(url) or "@" in options:
        return "***"
    login, at, host = before.rpartition("@")
    user, colon, _ = login.partition(":")
    shown = f"{user if colon else ''}{colon}***{at}" if at else ""
    return f"{scheme}://{shown}{host}{question and '?***'}"


@frozen(repr=False)
class SecretUrl:
    """A URL that may hold a password. Only ``reveal`` returns it; ``str`` and ``repr`` return a masked form."""

    _text: str

    def __attrs_post_init__(self) -> None:
        if not re.match(r"[a-z][a-z0-9+.-]*://", self._text, re.IGNORECASE):
            raise ValueError  # without a message, which might quote the password

    def reveal(self) -> str:
        """Return the URL with its password."""
        return self._text

    def __str__(self) -> str:
        return masked(self._text)

    def __repr__(self) -> str:
        return f"SecretUrl({str(self)!r})"
