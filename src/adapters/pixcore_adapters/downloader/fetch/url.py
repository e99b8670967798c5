"""From text to a URL that may be asked for. Path and query go out as they were written: signatures depend on them."""

import re
from urllib.parse import quote, urlsplit

from yarl import URL

from pixcore.model.images import MissReason
from pixcore_adapters.downloader.fetch.failures import FetchFailed

_LONGEST = 8000
_HOST = re.compile(r"[a-z0-9_.-]+|[0-9a-f:.]+(%.+)?")
_KEPT = "!#$%&'()*+,/:;=?@[]~"


def web_url(text: str) -> URL:
    """Read a URL: absolute, http or https, without a user name; the fragment is dropped.

    Raises:
        FetchFailed: It is no such URL.
    """
    try:
        url, parts = URL(text), urlsplit(text.strip())
        path, query = _quoted(parts.path) or "/", _quoted(parts.query)
        host = url.raw_host or ""
    except ValueError as exc:
        raise FetchFailed(MissReason.NOT_A_URL, "cannot be read") from exc
    if url.scheme not in {"http", "https"}:
        raise FetchFailed(MissReason.NOT_A_URL, "only http and https are fetched")
    if url.raw_user is not None or url.raw_password is not None:
        raise FetchFailed(MissReason.NOT_A_URL, "a user name or password in it")
    if len(text) > _LONGEST or not _HOST.fullmatch(host) or not url.port:
        raise FetchFailed(MissReason.NOT_A_URL, "host, port or length")
    authority = url.host_port_subcomponent or ""
    return URL.build(scheme=url.scheme, authority=authority, path=path, query_string=query, encoded=True)


def _quoted(text: str) -> str:
    # surrogates stand for the bytes of a Location header that is not UTF-8
    return quote(text, safe=_KEPT, errors="surrogateescape")
