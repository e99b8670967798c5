"""What the status of a response means: a body, a redirect, or a failure that a later attempt may avoid."""

import re
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus

from pixcore_adapters.downloader.fetch.failures import FetchFailed
from pixcore_adapters.downloader.fetch.response import Response

_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_COMPLETE = frozenset({HTTPStatus.OK, HTTPStatus.NON_AUTHORITATIVE_INFORMATION})
_TRANSIENT = frozenset({408, 425, 429})  # besides all from 500 on
_RANGE = re.compile(r"bytes +0-(?P<last>[0-9]{1,18})/(?P<size>[0-9]{1,18})", re.IGNORECASE)


def location(response: Response) -> str | None:
    """Return where a redirect leads; None if the response is none."""
    return response.get("location") if response.status in _REDIRECTS else None


def check_status(response: Response) -> None:
    """Check that the response has the whole body. A part that is the whole is one: some servers send 206 for it.

    Raises:
        FetchFailed: It has not.
    """
    status = response.status
    if status in _COMPLETE or (status == HTTPStatus.PARTIAL_CONTENT and _is_whole(response)):
        return
    transient = status in _TRANSIENT or status >= HTTPStatus.INTERNAL_SERVER_ERROR
    wait = _seconds(response.get("retry-after") or "")
    raise FetchFailed(f"http_{status}", permanent=not transient, retry_after=wait)


def check_robots_status(response: Response) -> None:
    """Check that the response has a robots.txt: every status from 200 to 299 but that of a part, as RFC 9309 says.

    Raises:
        FetchFailed: It has none.
    """
    if response.status == HTTPStatus.PARTIAL_CONTENT or not 200 <= response.status < 300:  # noqa: PLR2004 - success
        check_status(response)


def _is_whole(response: Response) -> bool:
    part = _RANGE.fullmatch(response.get("content-range") or "")
    return part is not None and int(part["last"]) + 1 == int(part["size"])


def _seconds(retry_after: str) -> float | None:
    if retry_after.strip().isdecimal():
        return float(retry_after)
    try:
        due = parsedate_to_datetime(retry_after)
    except (ValueError, OverflowError):
        return None
    return max(0.0, (due.replace(tzinfo=due.tzinfo or UTC) - datetime.now(UTC)).total_seconds())
