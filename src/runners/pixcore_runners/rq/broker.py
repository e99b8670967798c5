"""The Redis broker of RQ: connect to it, and translate its errors."""

from collections.abc import Generator, Mapping
from contextlib import contextmanager

from redis import Redis
from redis.backoff import ExponentialBackoff
from redis.exceptions import RedisError
from redis.retry import Retry

from pixcore import InvalidRequest, Priority
from pixcore_runners.queueing.redis_version import require_redis
from pixcore_runners.queueing.runner import unavailable
from pixcore_runners.settings import Settings

_SCHEMES = ("redis://", "rediss://", "unix://")
_LEAST = (6, 0)  # redis-py opens each connection with HELLO
_REMEDY = "set PIXCORE_BROKER, such as redis://host:6379/0"


def connected(settings: Settings, *, tries: int) -> Redis:
    """Return a client of the broker that the settings name. It connects on first use.

    Each command is tried up to ``tries`` times, at most 2 s apart.

    Raises:
        InvalidRequest: No broker is set, or it is no Redis.
    """
    if settings.broker is None:
        raise InvalidRequest(f"RQ needs a Redis, and no broker is set; {_REMEDY}")
    url = settings.broker.reveal()
    if not url.lower().startswith(_SCHEMES):
        raise InvalidRequest(f"RQ needs a Redis, and the broker {settings.broker} is no Redis; {_REMEDY}")
    try:
        return Redis.from_url(
            url,
            socket_connect_timeout=5,
            socket_timeout=10,
            socket_keepalive=True,
            retry=Retry(ExponentialBackoff(cap=2, base=0.1), tries - 1),
        )
    except ValueError:  # its text may quote the URL with its password
        raise InvalidRequest(f"the URL of the broker, {settings.broker}, cannot be read; {_REMEDY}") from None


def queue_names(settings: Settings) -> Mapping[Priority, str]:
    """Return the names of RQ's queues, in the order in which workers look into them.

    The setting ``queue`` is the queue of normal priority. A setting holds no colon, so no other queue has these names.
    """
    return {
        Priority.HIGH: f"{settings.queue}:high",
        Priority.NORMAL: settings.queue,
        Priority.LOW: f"{settings.queue}:low",
    }


@contextmanager
def broker_errors(settings: Settings) -> Generator[None]:
    """Translate the errors that Redis raises inside the block.

    Raises:
        QueueUnavailable: The broker cannot be reached, or refuses a command.
        InvalidRequest: The broker is too old.
    """
    try:
        yield
    except RedisError as exc:
        require_redis(settings.broker, _LEAST, "RQ")
        raise unavailable(settings.broker, exc) from exc
