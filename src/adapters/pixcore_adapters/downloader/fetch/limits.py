"""Read rate limits from headers: ``X-RateLimit-Limit-NAME: 20/min`` and ``X-RateLimit-Available-NAME: 0``.

This is Openverse's format (``api/utils/throttle.py`` in WordPress/openverse). Other formats are ignored: no
specification describes other servers' X-RateLimit, and the IETF's RateLimit is a draft whose format has changed several
times.
"""

import re

from attrs import frozen

from pixcore_adapters.downloader.fetch.response import Response

_LIMIT = "x-ratelimit-limit-"
_AVAILABLE = "x-ratelimit-available-"
_RATE = re.compile(r"[0-9]{1,9}/(?P<unit>s|m|h|d)(ec|econd|in|inute|our|ay)?", re.IGNORECASE)
_SECONDS = {"s": 1.0, "m": 60.0, "h": 3_600.0, "d": 86_400.0}


@frozen
class Limit:
    """A rate limit with a sliding window of ``seconds``. ``text`` is the limit as the server sent it: ``20/min``."""

    text: str
    seconds: float


def exhausted_limit(response: Response) -> Limit | None:
    """Return the exhausted limit with the longest window; None if no limit is exhausted.

    The headers do not tell when the window began, so only the whole window is certain to be long enough a wait.
    """
    if not response.has_prefix(_LIMIT):
        return None
    headers = response.headers
    exhausted = (
        Limit(rate[0], _SECONDS[rate["unit"].lower()])
        for name, values in headers.items()
        if name.startswith(_LIMIT) and (rate := _RATE.fullmatch(values[-1]))
        if headers.get(_AVAILABLE + name.removeprefix(_LIMIT), [""])[-1] == "0"
    )
    return max(exhausted, key=lambda limit: limit.seconds, default=None)
