"""The exceptions of pixcore: whether a retry may help, and who is at fault.

::

    PixcoreError
    ├── TransientError                 a retry may help
    │   ├── SourceUnavailable          (also a ConnectionError)
    │   ├── StoreUnavailable           connection, timeout, 429, 5xx
    │   ├── StatusUnavailable
    │   ├── MachineUnfit               the machine lacks a working decoder or disk
    │   │   └── LibraryMissing         the machine lacks a library that the chunk needs
    │   └── PlanOutdated               chunks were planned or candidates taken meanwhile
    ├── PermanentError                 a retry cannot help
    │   ├── InvalidRequest             (also a ValueError) bad chunk, URL or configuration
    │   │   ├── ChunkUnknown           the status database has no such chunk
    │   │   └── WorkspaceUnusable      the work directory is missing, read-only or of another user
    │   ├── NoValidImages              (also a ValueError)
    │   ├── SourceChanged              the page arrived, but holds no readable result
    │   ├── StoreDenied                wrong key, forbidden
    │   │   ├── StoreFull              the store has no room
    │   │   └── BlobRefused            the store refuses this blob: its key, its size or a lock on it
    │   ├── StoreNotFound
    │   ├── StoreConflict
    │   ├── WorkspaceFull              the work directory's disk or quota is used up
    │   └── Cancelled                  a cancel was requested
    └── ClaimLost                      another worker took over the claim

Each class has a ``fault``: the chunk, its source, this machine, or a service that all workers share. A fault of a
machine or of a service costs a chunk nothing: see ``pixcore.chunk.attempt``.

Adapters translate foreign exceptions into these with ``raise … from exc``. A message is one line. It says what
happened, to what, and what to do, and never holds a credential.
"""

import errno
from enum import StrEnum
from typing import ClassVar

from pixcore.redaction import redacted

_LONGEST = 2000  # characters of a message


class Fault(StrEnum):
    """Who is at fault for an error."""

    CHUNK = "chunk"
    SOURCE = "source"
    MACHINE = "machine"
    SERVICE = "service"


class PixcoreError(Exception):
    """The root of the tree: the base class of everything that pixcore raises on purpose."""

    fault: ClassVar[Fault] = Fault.CHUNK


class TransientError(PixcoreError):
    """A later retry may help."""


class SourceUnavailable(TransientError, ConnectionError):
    """A source of candidates could not be reached."""

    fault = Fault.SOURCE


class StoreUnavailable(TransientError):
    """A blob store could not be reached or was overloaded, or its response was lost."""

    fault = Fault.SERVICE


class StatusUnavailable(TransientError):
    """The status database could not be reached or stayed locked."""

    fault = Fault.SERVICE


class MachineUnfit(TransientError):
    """This machine cannot run chunks now: its decoder, its work directory or a library does not work."""

    fault = Fault.MACHINE


class LibraryMissing(MachineUnfit):
    """A chunk needs a library, such as that of a filter, which this machine lacks. Other machines may have it."""


class PlanOutdated(TransientError):
    """Chunks were planned, or candidates taken, since the plan was made. Plan again."""


class PermanentError(PixcoreError):
    """A retry of the same request cannot help."""


class InvalidRequest(PermanentError, ValueError):
    """The request is malformed, or contradicts what exists."""


class ChunkUnknown(InvalidRequest):
    """The status database has no such chunk. Its dataset may have been deleted or renamed."""


class WorkspaceUnusable(InvalidRequest):
    """The work directory cannot be used: it is read-only, of another user, or no directory."""

    fault = Fault.MACHINE


class NoValidImages(PermanentError, ValueError):
    """No image could be collected."""


class SourceChanged(PermanentError):
    """A source responded, but no result could be read from the response."""

    fault = Fault.SOURCE


class StoreDenied(PermanentError):
    """A blob store refused the credentials or the operation."""

    fault = Fault.SERVICE


class StoreFull(StoreDenied):
    """A blob store has no room for the blob."""


class BlobRefused(StoreDenied):
    """A blob store refuses this one blob: its key, its size, or because something holds the existing blob."""

    fault = Fault.CHUNK


class StoreNotFound(PermanentError):
    """The blob, or the container that should hold it, does not exist."""

    fault = Fault.SERVICE


class StoreConflict(PermanentError):
    """Another blob has that key, or the version to be replaced is gone."""


class WorkspaceFull(PermanentError):
    """The disk or the quota of the work directory is used up."""

    fault = Fault.MACHINE


class Cancelled(PermanentError):
    """A cancel of the chunk was requested."""


class ClaimLost(PixcoreError):
    """Another worker took over the claim. This worker must not change the chunk any more."""


# What the operating system says when the machine, and not a chunk, has run out of something.
_EXHAUSTED = frozenset(
    {errno.ENOSPC, errno.EDQUOT, errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EIO, errno.EROFS, errno.EAGAIN}
)


def fault_of(error: BaseException) -> Fault:
    """Return who is at fault for an error. Of foreign errors, only a machine that has run out of something is known."""
    if isinstance(error, PixcoreError):
        return error.fault
    return Fault.MACHINE if isinstance(error, OSError) and error.errno in _EXHAUSTED else Fault.CHUNK


def is_shared(error: BaseException) -> bool:
    """Return whether the machine or a service is at fault, which other chunks use too."""
    return fault_of(error) in (Fault.MACHINE, Fault.SERVICE)


def one_line(error: BaseException) -> str:
    """Return an error's message as one line without credentials, for a log, a status row or a terminal.

    Foreign errors get the name of their type. The line is ``shortened``.
    """
    text = shortened(redacted(" ".join(str(error).split())))
    if isinstance(error, PixcoreError):
        return text or type(error).__name__
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def shortened(text: str) -> str:
    """Cut the middle out of a text of more than 2,000 characters, such as a message that quotes a value of 70 kB.

    The beginning says what happened to what, and the end what to do.
    """
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST // 2]} […] {text[-_LONGEST // 2 :]}"
