"""What an answer says of its server's limits: ``X-RateLimit-Limit-NAME: 20/min`` and ``X-RateLimit-Available-NAME: 0``.

This is Openverse's form (``api/utils/throttle.py`` in WordPress/openverse). What other servers call X-RateLimit is
described by no specification, and the IETF's RateLimit is a draft that changed its form several times: neither is read.
"""

import re
from collections.abc import Mapping

from attrs import frozen

_LIMIT = "x-ratelimit-limit-"
_AVAILABLE = "x-ratelimit-available-"
_RATE = re.compile(r"[0-9]{1,9}/(?P<unit>s|m|h|d)(ec|econd|in|inute|our|ay)?", re.IGNORECASE)
_SECONDS = {"s": 1.0, "m": 60.0, "h": 3_600.0, "d": 86_400.0}


@frozen
class Limit:
    """So many requests within a sliding window of ``seconds``; ``text`` is the server's word, such as ``20/min``."""

    text: str
    seconds: float


def used_up(headers: Mapping[str, str]) -> Limit | None:
    """Give the longest of the limits of which nothing is left; None while something is left of all.

    When the window began is not told, so that its whole length is the wait that cannot be too short.
    """
    said = {name.lower(): value.strip() for name, value in headers.items()}
    spent = (
        Limit(rate[0], _SECONDS[rate["unit"].lower()])
        for name, value in said.items()
        if name.startswith(_LIMIT) and (rate := _RATE.fullmatch(value))
        if said.get(_AVAILABLE + name.removeprefix(_LIMIT)) == "0"
    )
    return max(spent, key=lambda limit: limit.seconds, default=None)
