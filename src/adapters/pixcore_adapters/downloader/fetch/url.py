"""Parse text into a URL to fetch. Path and query are sent as written, because signatures depend on them."""

import re
from collections.abc import Set as AbstractSet
from functools import cached_property
from urllib.parse import quote, urlsplit

from attrs import field, frozen
from yarl import URL

from pixcore.model.images import MissReason
from pixcore_adapters.downloader.fetch.failures import FetchFailed

_MAX_LENGTH = 8000
_MAX_PORT = 65535
_DEFAULT_PORTS = {"http": 80, "https": 443}
_HOST = re.compile(r"[a-z0-9_.-]+|[0-9a-f:.]+(%.+)?")
_UNQUOTED = "!#$%&'()*+,/:;=?@[]~"
# most URLs: parsing these with yarl would take a tenth of a fetch
_PLAIN = re.compile(
    r"(?P<scheme>https?)://(?P<host>[a-z0-9-]+(\.[a-z0-9-]+)*)(:(?P<port>[0-9]{1,5}))?"
    r"(?P<target>/[A-Za-z0-9!$&'()*+,/:;=@._~%-]*(\?[A-Za-z0-9!$&'()*+,/:;=?@._~%-]*)?)"
)
_DOT_SEGMENT = re.compile(r"/\.|%")


@frozen
class WebUrl:
    """An http or https URL, encoded as it is sent.

    Attributes:
        scheme: ``http`` or ``https``.
        host: A name in lower case and ASCII, or an address; one of IPv6 without brackets.
        port: The port, also if it is the default one.
        target: The path and the query.
    """

    scheme: str
    host: str
    port: int
    target: str = field(repr=False)

    @cached_property
    def netloc(self) -> str:
        """The host as URLs spell it, with the brackets of IPv6 and without the port."""
        return f"[{self.host}]" if ":" in self.host else self.host

    @cached_property
    def origin(self) -> str:
        """The scheme, host and port; without a default port."""
        port = "" if self.port == _DEFAULT_PORTS[self.scheme] else f":{self.port}"
        return f"{self.scheme}://{self.netloc}{port}"

    @cached_property
    def site(self) -> str:
        """The host, and the port unless it is a default one: HTTP and HTTPS of a host are one site."""
        return self.origin.partition("://")[2]

    @cached_property
    def text(self) -> str:
        """The whole URL."""
        return self.origin + self.target

    def __str__(self) -> str:
        return self.text

    def is_one_of(self, hosts: AbstractSet[str]) -> bool:
        """Return whether the host is among these, which are written as ``host`` or ``host:port``."""
        return bool(hosts) and (self.netloc in hosts or f"{self.netloc}:{self.port}" in hosts)

    def normalized(self) -> str:
        """Return the URL without dot segments, and with one spelling of each character."""
        return str(URL(self.text)) if _DOT_SEGMENT.search(self.target) else self.text


def web_url(text: str) -> WebUrl:
    """Parse an absolute http or https URL without a user name. The fragment is dropped.

    Raises:
        FetchFailed: The text is not such a URL.
    """
    if len(text) <= _MAX_LENGTH and (plain := _PLAIN.fullmatch(text)):
        scheme, host, port, target = plain.group("scheme", "host", "port", "target")
        number = int(port) if port else _DEFAULT_PORTS[scheme]
        if 0 < number <= _MAX_PORT:
            return WebUrl(scheme, host, number, target)
    return _parsed(text)


def _parsed(text: str) -> WebUrl:
    try:
        url, parts = URL(text), urlsplit(text.strip())
        path, query = _quoted(parts.path) or "/", _quoted(parts.query)
        host = url.raw_host or ""
    except ValueError as exc:
        raise FetchFailed(MissReason.NOT_A_URL, "it cannot be parsed") from exc
    if url.scheme not in _DEFAULT_PORTS:
        raise FetchFailed(MissReason.NOT_A_URL, "its scheme is neither http nor https")
    if url.raw_user is not None or url.raw_password is not None:
        raise FetchFailed(MissReason.NOT_A_URL, "it contains a user name or a password")
    if len(text) > _MAX_LENGTH or not _HOST.fullmatch(host) or not url.port:
        raise FetchFailed(MissReason.NOT_A_URL, "its host, port or length is invalid")
    return WebUrl(url.scheme, host, url.port, f"{path}?{query}" if query else path)


def _quoted(text: str) -> str:
    # surrogates represent bytes of a Location header that are not UTF-8
    return quote(text, safe=_UNQUOTED, errors="surrogateescape")
