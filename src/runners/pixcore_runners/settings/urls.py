"""What a URL in the settings may hold and show: never a credential, and paths that mean the same from everywhere."""

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
    r"(?P<form>file:|folder:|urls:(?!https?://)|sqlite(?:\+\w+)?:///)(?P<path>(?!/|:memory:|file:).+)", re.DOTALL
)
# all that ends or changes a path in a URL; the rest is left readable
_ESCAPES = str.maketrans({"%": "%25", "?": "%3F", "#": "%23"})


def is_url(text: str) -> bool:
    """Whether the text begins with a scheme and goes on after it."""
    return _SCHEME.match(text) is not None


def holds_user(url: str) -> bool:
    """Whether a user name stands before the host."""
    return _USER.search(url) is not None


def holds_secret(text: str) -> bool:
    """Whether a password, a signature or an account key stands in it, as far as its form tells."""
    return _PASSWORD.search(text) is not None or _SECRET_OPTION.search(unquote(text)) is not None


def anchored(url: str, base: Path | None) -> str:
    """Put ``base`` before the relative path of a ``file:``, ``folder:``, ``urls:`` or SQLite URL; expand ``~``.

    Every other URL, and without ``base`` every relative path, is given back as it is.

    Raises:
        InvalidRequest: ``~name`` of a user who has no home folder.
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
    """The path with a leading ``~`` or ``~name`` expanded.

    Raises:
        InvalidRequest: That user has no home folder.
    """
    try:
        return path.expanduser()
    except RuntimeError as exc:
        raise InvalidRequest(f"{path} names no home folder; write the path in full") from exc


def masked(url: str) -> str:
    """The URL without its password and its options, and without more than that where it cannot be told apart."""
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
    """A URL that may hold a password: ``reveal`` alone shows it, everything else a masked form."""

    _text: str

    def __attrs_post_init__(self) -> None:
        if not re.match(r"[a-z][a-z0-9+.-]*://", self._text, re.IGNORECASE):
            raise ValueError  # without a word of it

    def reveal(self) -> str:
        """The URL as it was given."""
        return self._text

    def __str__(self) -> str:
        return masked(self._text)

    def __repr__(self) -> str:
        return f"SecretUrl({str(self)!r})"
