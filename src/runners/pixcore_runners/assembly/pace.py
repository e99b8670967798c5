"""The pace that fetchers share: that of this machine, and that of all machines if a Redis is configured."""

import logging

from pixcore import InvalidRequest
from pixcore_adapters.downloader.pacing.interface import Pacing
from pixcore_adapters.downloader.pacing.machine import MachinePacing, runtime_folder
from pixcore_runners.registry.table import needing
from pixcore_runners.settings import SecretUrl, Settings

_SCHEMES = ("redis://", "rediss://", "unix://")

_logger = logging.getLogger("pixcore")


def pacing(settings: Settings) -> Pacing:
    """Return the pace of the fetchers. A Redis is connected to on first use, and is not needed.

    Raises:
        InvalidRequest: ``pace_redis`` is no Redis, or the package for it is not installed.
    """
    machine = MachinePacing(runtime_folder())
    if url := settings.pace_redis:
        if not _is_redis(url):
            raise InvalidRequest(f"pace_redis is {url}, which is no Redis; write it like redis://host:6379/0")
        with needing("redis"):
            return _fleet(url, machine)
    if url := next((url for url in (settings.broker, settings.result_backend) if url and _is_redis(url)), None):
        try:
            return _fleet(url, machine)
        except ModuleNotFoundError as error:
            _logger.warning(
                "%s is not installed, so the limits per host hold for each machine by itself; to share them with other"
                " machines: pip install 'pixcore[redis]'",
                error.name,
            )
    return machine


def _is_redis(url: SecretUrl) -> bool:
    text = url.reveal().lower()
    return text.startswith(_SCHEMES) and ";" not in text


def _fleet(url: SecretUrl, machine: Pacing) -> Pacing:
    from pixcore_adapters.downloader.pacing.fleet import FleetPacing  # noqa: PLC0415 - an extra, and slow to import

    return FleetPacing(url.reveal(), str(url), machine)
