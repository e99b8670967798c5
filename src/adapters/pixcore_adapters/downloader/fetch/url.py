"""Parse text into a URL to fetch. Path and query are sent as written, because signatures depend on them."""

import re
from urllib.parse import quote, urlsplit

from yarl import URL

from pixcore.model.images import MissReason
from pixcore_adapters.downloader.fetch.failures import FetchFailed

_MAX_LENGTH = 8000
_HOST = re.compile(r"[a-z0-9_.-]+|[0-9a-f:.]+(%.+)?")
_UNQUOTED = "!#$%&'()*+,/:;=?@[]~"


def web_url(text: str) -> URL:
    """Parse an absolute http or https URL without a user name. The fragment is dropped.

    Raises:
        FetchFailed: The text is not such a URL.
    """
    try:
        url, parts = URL(text), urlsplit(text.strip())
        path, query = _quoted(parts.path) or "/", _quoted(parts.query)
        host = url.raw_host or ""
    except ValueError as exc:
        raise FetchFailed(MissReason.NOT_A_URL, "it cannot be parsed") from exc
    if url.scheme not in {"http", "https"}:
        raise FetchFailed(MissReason.NOT_A_URL, "its scheme is neither http nor https")
    if url.raw_user is not None or url.raw_password is not None:
        raise FetchFailed(MissReason.NOT_A_URL, "it contains a user name or a password")
    if len(text) > _MAX_LENGTH or not _HOST.fullmatch(host) or not url.port:
        raise FetchFailed(MissReason.NOT_A_URL, "its host, port or length is invalid")
    authority = url.host_port_subcomponent or ""
    return URL.build(scheme=url.scheme, authority=authority, path=path, query_string=query, encoded=True)


def _quoted(text: str) -> str:
    # surrogates represent bytes of a Location header that are not UTF-8
    return quote(text, safe=_UNQUOTED, errors="surrogateescape")
