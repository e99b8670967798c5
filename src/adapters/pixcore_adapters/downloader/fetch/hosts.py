"""Hosts as settings name them, and headers for some of them. Light to import."""

import re
from collections.abc import Iterable
from typing import Self

from attrs import field, frozen

from pixcore.errors import InvalidRequest
from pixcore.redaction import MASK

_HEADER = re.compile(
    r"(?P<host>\S+)\s+(?P<name>[A-Za-z0-9!#$%&'*+.^_`|~-]+)\s*:\s*(?P<value>[\x21-\x7e]([\x20-\x7e]*[\x21-\x7e])?)\s*"
)
_RESERVED = frozenset(
    {"host", "user-agent", "accept-encoding", "connection", "content-length", "transfer-encoding", "te"}
)


def as_sent(host: str) -> str:
    """Return a host, or ``host:port``, as URLs are sent: in lower case, and in ASCII if it has other letters.

    Raises:
        InvalidRequest: It is not the name of a host.
    """
    if host.isascii():
        return host.lower()
    from yarl import URL  # noqa: PLC0415 - slow to import, and few hosts need it

    name, colon, port = host.partition(":")
    try:
        sent = URL.build(scheme="http", host=name).raw_host
    except ValueError as exc:
        raise InvalidRequest(f"{host!r} is not a host; write it as in a URL, such as b\u00fccher.example:8080") from exc
    return f"{sent}{colon}{port}"


def hosts_as_sent(hosts: Iterable[str]) -> frozenset[str]:
    """Return the hosts as ``as_sent`` returns each."""
    return frozenset(map(as_sent, hosts))


@frozen(repr=False)
class HostHeader:
    """A header that is sent to one host, or ``host:port``, and to no other. ``str`` and ``repr`` mask the value.

    Attributes:
        host: The host as it is sent.
        name: The name of the header.
        value: Its value, which may be secret.
    """

    host: str = field(converter=as_sent)
    name: str
    value: str

    @classmethod
    def parse(cls, text: str) -> Self:
        """Parse ``HOST NAME: VALUE``, such as ``images.example.org Referer: https://example.org/``.

        Raises:
            InvalidRequest: The text is no such line, or names a header that pixcore itself sends. The message does not
                quote the text, which may hold a secret.
        """
        parsed = _HEADER.fullmatch(text)
        if not parsed:
            raise InvalidRequest(
                "a request header cannot be read; write HOST NAME: VALUE in printable ASCII, such as"
                " 'images.example.org Referer: https://example.org/'"
            )
        if parsed["name"].lower() in _RESERVED:
            raise InvalidRequest(f"pixcore itself sends the header {parsed['name']}; leave it out of request_headers")
        return cls(parsed["host"], parsed["name"], parsed["value"])

    def __str__(self) -> str:
        return f"{self.host} {self.name}: {MASK}"

    def __repr__(self) -> str:
        return f"HostHeader({str(self)!r})"
