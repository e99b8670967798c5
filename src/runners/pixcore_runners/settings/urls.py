"""URLs in the settings: detect credentials, mask passwords, and make relative paths absolute."""

import re
from pathlib import Path
from urllib.parse import unquote, urlsplit

from attrs import frozen

from pixcore.errors import InvalidRequest
from pixcore.redaction import CREDENTIAL_NAME, MASK

_SCHEME = re.compile(r"[a-z][a-z0-9+.-]*:(?=.)", re.IGNORECASE)

_USER = re.compile(r"://[^/?#@]*@")
# the second form is a password in the place of a port
_PASSWORD = re.compile(r"://[^/?#@]*:.*@|://[^/?#@\[\]:]*:(?!\d{0,5}(?:[/?#,&;\s'\"]|$))", re.DOTALL)
_OPTION = re.compile(rf"(?:^|[?&;'\"\s]){CREDENTIAL_NAME}=", re.IGNORECASE)

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
    """Return whether the text looks as if it held a password, a signature, a token or a key."""
    return any(_PASSWORD.search(form) or _OPTION.search(form) for form in (text, unquote(text)))


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
    """Return a URL, or several that ``;`` separates, without passwords and options."""
    return ";".join(map(_masked, url.split(";")))


def _masked(url: str) -> str:
    scheme, separator, rest = url.partition("://")
    before, question, _ = rest.partition("?")
    login, at, host = before.rpartition("@")
    user, colon, _ = login.partition(":")
    shown = f"{user if colon else ''}{colon}{MASK}{at}" if at else ""
    return f"{scheme}{separator}{shown}{host}{question and f'?{MASK}'}"


@frozen(repr=False)
class SecretUrl:
    """A URL, or several that ``;`` separates, that may hold passwords.

    Only ``reveal`` returns it; ``str`` and ``repr`` return a masked form.

    Raises:
        InvalidRequest: Its parts cannot be told apart, as after a password that is not escaped; or it is the URL of a
            Redis whose database is no number.
        ValueError: It is not a URL.
    """

    _text: str

    def __attrs_post_init__(self) -> None:
        for url in self._text.split(";"):
            _check(url)

    def reveal(self) -> str:
        """Return the URL with its password."""
        return self._text

    @property
    def place(self) -> str:
        """The server and its database, without user, password and options: equal for all who use it by that name."""
        return ";".join(map(_place, self._text.split(";")))

    def __str__(self) -> str:
        return masked(self._text)

    def __repr__(self) -> str:
        return f"SecretUrl({str(self)!r})"


@frozen
class Address:
    """A host and a port to listen at, such as ``0.0.0.0:8080``. An empty host means all addresses of this machine.

    Raises:
        ValueError: It is none.
    """

    _text: str

    def __attrs_post_init__(self) -> None:
        if not re.fullmatch(r"(?:[\w.-]*|\[[\da-fA-F:.]+\]):\d{1,5}", self._text):
            raise ValueError

    @property
    def parts(self) -> tuple[str, int]:
        """The host, without brackets, and the port."""
        host, _, port = self._text.rpartition(":")
        return host.strip("[]"), int(port)

    def __str__(self) -> str:
        return self._text


def _check(url: str) -> None:
    """Raise what ``SecretUrl`` raises. No message quotes the URL, and no error has one of urllib as its cause."""
    if not re.match(r"[a-z][a-z0-9+.-]*://", url, re.IGNORECASE):
        raise ValueError
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        parts = None
    if parts is None or parts.fragment or "@" in f"{parts.path}{parts.query}" or parts.netloc.count("@") > 1:
        raise InvalidRequest(
            "the URL cannot be split; in its user name and password write '#' as %23, '/' as %2F, ':' as %3A, ';' as"
            " %3B, '?' as %3F, '@' as %40"
        )
    if parts.scheme in ("redis", "rediss"):
        if not re.fullmatch(r"/?\d*", parts.path):
            raise InvalidRequest("the database of a Redis is a number, as in redis://host:6379/0")
        if holds_secret(f"?{parts.query}"):
            raise InvalidRequest("write the password before the host, as in redis://:password@host:6379/0")


def _place(url: str) -> str:
    parts = urlsplit(url)
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname or ""
    if parts.scheme in ("redis", "rediss"):
        return f"redis://{host}:{parts.port or 6379}/{parts.path.strip('/') or 0}"
    return f"{parts.scheme}://{host}{f':{parts.port}' if parts.port else ''}{parts.path}"
