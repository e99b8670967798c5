"""The pace that fetchers share: that of this machine, and that of all machines if a Redis is configured."""

import asyncio
import logging
from typing import TYPE_CHECKING

from pixcore import InvalidRequest
from pixcore.errors import one_line
from pixcore_adapters.downloader.pacing.interface import Pacing
from pixcore_adapters.downloader.pacing.machine import MachinePacing, runtime_folder
from pixcore_runners.registry.table import needing
from pixcore_runners.settings import SecretUrl, Settings

if TYPE_CHECKING:
    from pixcore_adapters.downloader.pacing.fleet import FleetPacing

_SCHEMES = ("redis://", "rediss://", "unix://")

_logger = logging.getLogger("pixcore")


def pacing(settings: Settings) -> Pacing:
    """Return the pace of the fetchers. A Redis is connected to on first use, and is not needed.

    Raises:
        InvalidRequest: ``pace_redis`` is no Redis, or the package for it is not installed.
    """
    machine = MachinePacing(runtime_folder())
    if (url := redis_of(settings)) is None:
        return machine
    try:
        return _fleet(url, machine)
    except InvalidRequest as error:
        if settings.pace_redis:
            raise
        _logger.warning("%s, to share the limits per host with other machines", one_line(error))
    return machine


def redis_of(settings: Settings) -> SecretUrl | None:
    """Return the URL of the Redis by which machines share a pace: the one that is named, or that of the queue."""
    queues = (url for url in (settings.broker, settings.result_backend) if url and _is_redis(url))
    return settings.pace_redis or next(queues, None)


def try_redis(url: SecretUrl) -> None:
    """Try the Redis by which machines share a pace.

    Raises:
        TransientError: It does not answer, or refuses what is needed.
        InvalidRequest: As for ``pacing``.
    """
    asyncio.run(_fleet(url, MachinePacing(runtime_folder())).check())


def _fleet(url: SecretUrl, machine: Pacing) -> "FleetPacing":
    if not _is_redis(url):
        raise InvalidRequest(f"pace_redis is {url}, which is no Redis; write it like redis://host:6379/0")
    with needing("redis"):
        from pixcore_adapters.downloader.pacing.fleet import FleetPacing  # noqa: PLC0415 - an extra, and slow to import
    return FleetPacing(url.reveal(), str(url), machine)


def _is_redis(url: SecretUrl) -> bool:
    text = url.reveal().lower()
    return text.startswith(_SCHEMES) and ";" not in text
