"""Values: the request for a page of a source, and its answer."""

from collections.abc import Callable, Mapping
from types import MappingProxyType

from attrs import field, frozen

from pixcore.redaction import redacted

_NONE: Mapping[str, str] = MappingProxyType({})


@frozen
class Grant:
    """OAuth 2.0 client credentials, which are exchanged for a token (RFC 6749, section 4.4).

    Attributes:
        url: Where the token is requested.
        client_id: The name of the client.
        client_secret: Its secret.
    """

    url: str
    client_id: str = field(repr=False)
    client_secret: str = field(repr=False)


@frozen
class PageRequest:
    """A request for a page. ``repr`` shows neither headers nor form, which may hold credentials.

    Attributes:
        url: The URL.
        headers: Further headers. A redirect to another origin does not get them.
        form: Fields that are sent by POST as a form; None for a GET request. Redirects do not get them.
        grant: The request is sent with a bearer token of this grant; None sends none.
        per_minute: How many requests a minute the host allows; 0 if that is not known. ``paged`` sets it.
        fetch: Called in a thread instead of sending the request, for a library that sends its requests itself; raises
            FetchFailed. The URL then only names the host and the page.
    """

    url: str = field(repr=redacted)
    headers: Mapping[str, str] = field(default=_NONE, repr=False)
    form: Mapping[str, str] | None = field(default=None, repr=False)
    grant: Grant | None = None
    per_minute: int = 0
    fetch: "Callable[[], PageAnswer] | None" = field(default=None, repr=False)


@frozen
class PageAnswer:
    """What a server answered.

    Attributes:
        body: The decoded body.
        headers: The last value of each header, by its name in lower case.
        query: What was searched for.
        number: The number of the page, from 0.
    """

    body: bytes
    headers: Mapping[str, str] = _NONE
    query: str = ""
    number: int = 0
