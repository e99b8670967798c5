"""Read rate limits from headers: ``X-RateLimit-Limit-NAME: 20/min`` and ``X-RateLimit-Available-NAME: 0``.

This is Openverse's format (``api/utils/throttle.py`` in WordPress/openverse). Other formats are ignored: no
specification describes other servers' X-RateLimit, and the IETF's RateLimit is a draft whose format has changed several
times.
"""

import re
from collections.abc import Mapping, Sequence

from attrs import frozen

RATE_LIMIT = "x-ratelimit-limit-"
_AVAILABLE = "x-ratelimit-available-"
_RATE = re.compile(r"[0-9]{1,9}/(?P<unit>s|m|h|d)(ec|econd|in|inute|our|ay)?", re.IGNORECASE)
_SECONDS = {"s": 1.0, "m": 60.0, "h": 3_600.0, "d": 86_400.0}


@frozen
class Limit:
    """A rate limit with a sliding window of ``seconds``. ``text`` is the limit as the server sent it: ``20/min``."""

    text: str
    seconds: float


def exhausted_limit(headers: Mapping[str, Sequence[str]]) -> Limit | None:
    """Return the exhausted limit with the longest window; None if no limit is exhausted.

    ``headers`` has the values of each header by its name in lower case. They do not tell when the window began, so only
    the whole window is certain to be long enough a wait.
    """
    exhausted = (
        Limit(rate[0], _SECONDS[rate["unit"].lower()])
        for name, values in headers.items()
        if name.startswith(RATE_LIMIT) and (rate := _RATE.fullmatch(values[-1]))
        if headers.get(_AVAILABLE + name.removeprefix(RATE_LIMIT), ("",))[-1] == "0"
    )
    return max(exhausted, key=lambda limit: limit.seconds, default=None)
