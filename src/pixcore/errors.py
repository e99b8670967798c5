"""What can go wrong, as a tree whose two great branches decide about retries.

::

    PixcoreError
    ├── TransientError                 trying again may help
    │   ├── SourceUnavailable          (also a ConnectionError)
    │   ├── StoreUnavailable           connection, time-out, 429, 5xx
    │   └── StatusUnavailable
    ├── PermanentError                 trying again cannot help
    │   ├── InvalidRequest             (also a ValueError) bad chunk, URL or configuration
    │   ├── NoValidImages              (also a ValueError)
    │   ├── SourceChanged              a page came, but no result could be read from it
    │   ├── StoreDenied                wrong key, forbidden
    │   ├── StoreNotFound
    │   ├── StoreConflict
    │   ├── WorkspaceFull              the work directory's disk or quota is used up
    │   └── Cancelled                  somebody asked for the chunk to stop
    └── ClaimLost                      this worker's claim was taken over

Adapters translate foreign exceptions into these, ``raise … from exc``. A message names the thing and the remedy, in
one line, and never holds a credential.
"""


class PixcoreError(Exception):
    """The root: catch it to catch everything that pixcore raises on purpose."""


class TransientError(PixcoreError):
    """Trying again later may help."""


class SourceUnavailable(TransientError, ConnectionError):
    """A source of candidates could not be reached."""


class StoreUnavailable(TransientError):
    """A blob store could not be reached, was overloaded, or its answer was lost."""


class StatusUnavailable(TransientError):
    """The status database could not be reached or stayed locked."""


class PermanentError(PixcoreError):
    """Trying again, unchanged, cannot help."""


class InvalidRequest(PermanentError, ValueError):
    """What was asked for is malformed or contradicts what is there."""


class NoValidImages(PermanentError, ValueError):
    """Not one image could be collected."""


class SourceChanged(PermanentError):
    """A source answered, but in a form that holds no readable result."""


class StoreDenied(PermanentError):
    """A blob store refused the credentials or the operation."""


class StoreNotFound(PermanentError):
    """The blob, or the container that should hold it, does not exist."""


class StoreConflict(PermanentError):
    """A different blob stands under that key, or the version to be replaced is gone."""


class WorkspaceFull(PermanentError):
    """The disk or the quota of the work directory is used up."""


class Cancelled(PermanentError):
    """Somebody asked for the chunk to stop."""


class ClaimLost(PixcoreError):
    """This worker's claim was taken over: it must change nothing any more."""


def one_line(error: BaseException) -> str:
    """What went wrong, on one line, fit for a log or a status row; foreign errors with the name of their type."""
    text = " ".join(str(error).split())
    if isinstance(error, PixcoreError):
        return text or type(error).__name__
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
