"""The exceptions of pixcore. Two branches of their tree decide about retries: TransientError and PermanentError.

::

    PixcoreError
    ├── TransientError                 a retry may help
    │   ├── SourceUnavailable          (also a ConnectionError)
    │   ├── StoreUnavailable           connection, timeout, 429, 5xx
    │   ├── StatusUnavailable
    │   └── PlanOutdated               chunks were planned or candidates taken meanwhile
    ├── PermanentError                 a retry cannot help
    │   ├── InvalidRequest             (also a ValueError) bad chunk, URL or configuration
    │   ├── NoValidImages              (also a ValueError)
    │   ├── SourceChanged              the page arrived, but holds no readable result
    │   ├── StoreDenied                wrong key, forbidden
    │   ├── StoreNotFound
    │   ├── StoreConflict
    │   ├── WorkspaceFull              the work directory's disk or quota is used up
    │   └── Cancelled                  a cancel was requested
    └── ClaimLost                      another worker took over the claim

Adapters translate foreign exceptions into these with ``raise … from exc``. A message is one line. It says what
happened, to what, and what to do, and never holds a credential.
"""


class PixcoreError(Exception):
    """The root of the tree: the base class of everything that pixcore raises on purpose."""


class TransientError(PixcoreError):
    """A later retry may help."""


class SourceUnavailable(TransientError, ConnectionError):
    """A source of candidates could not be reached."""


class StoreUnavailable(TransientError):
    """A blob store could not be reached or was overloaded, or its response was lost."""


class StatusUnavailable(TransientError):
    """The status database could not be reached or stayed locked."""


class PlanOutdated(TransientError):
    """Chunks were planned, or candidates taken, since the plan was made. Plan again."""


class PermanentError(PixcoreError):
    """A retry of the same request cannot help."""


class InvalidRequest(PermanentError, ValueError):
    """The request is malformed, or contradicts what exists."""


class NoValidImages(PermanentError, ValueError):
    """No image could be collected."""


class SourceChanged(PermanentError):
    """A source responded, but no result could be read from the response."""


class StoreDenied(PermanentError):
    """A blob store refused the credentials or the operation."""


class StoreNotFound(PermanentError):
    """The blob, or the container that should hold it, does not exist."""


class StoreConflict(PermanentError):
    """Another blob has that key, or the version to be replaced is gone."""


class WorkspaceFull(PermanentError):
    """The disk or the quota of the work directory is used up."""


class Cancelled(PermanentError):
    """A cancel of the chunk was requested."""


class ClaimLost(PixcoreError):
    """Another worker took over the claim. This worker must not change the chunk any more."""


def one_line(error: BaseException) -> str:
    """Return an error's message as one line, for a log or a status row. Foreign errors get the name of their type."""
    text = " ".join(str(error).split())
    if isinstance(error, PixcoreError):
        return text or type(error).__name__
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
