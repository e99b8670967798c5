"""Refuse a Redis that is older than the commands of its client, whose own errors do not say so."""

import re
from contextlib import closing
from typing import Any

from pixcore import InvalidRequest
from pixcore_runners.settings import SecretUrl

_REDIS = re.compile(r"rediss?://|unix://", re.IGNORECASE)
_VERSION = re.compile(r"(\d+)\.(\d+)")
_TIMEOUT = 5  # seconds

_accepted: set[tuple[SecretUrl, tuple[int, int]]] = set()  # a process reads the version of a server once


def require_redis(url: SecretUrl | None, least: tuple[int, int], user: str) -> None:
    """Refuse a Redis that is older than ``least``, which ``user`` needs.

    Does nothing if the URL is that of another server, or if the server cannot be reached or does not tell its version:
    whoever uses it next reports that.

    Raises:
        InvalidRequest: It is older; the message names both versions.
    """
    if url is None or not _REDIS.match(url.reveal()) or (url, least) in _accepted:
        return
    from redis import Redis, RedisError  # noqa: PLC0415 - an extra

    try:
        # servers before 6.0 do not know the command HELLO, with which the client opens other protocols
        client = Redis.from_url(url.reveal(), protocol=2, socket_connect_timeout=_TIMEOUT, socket_timeout=_TIMEOUT)
        with closing(client):
            answer: Any = client.info("server")  # redis types its answers as unions
    except (RedisError, ValueError):
        return
    version = str(answer.get("redis_version"))
    found = _VERSION.match(version)
    if found and (int(found[1]), int(found[2])) < least:
        needed = ".".join(map(str, least))
        raise InvalidRequest(
            f"{url} is Redis {version}, and {user} needs Redis {needed} or newer; upgrade it, or use another server"
        )
    _accepted.add((url, least))
