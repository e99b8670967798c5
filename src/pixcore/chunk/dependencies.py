"""The ports, policies and callbacks of a chunk pipeline, as one value that is handed to each attempt."""

import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from uuid import uuid4

from attrs import field, frozen

from pixcore.chunk.events import Observer, silent
from pixcore.chunk.lease import LeaseTerms
from pixcore.chunk.retry import Policies
from pixcore.errors import LibraryMissing, PixcoreError
from pixcore.filters.rule import Filter, PictureFilter
from pixcore.model.images import Candidate
from pixcore.model.requests import Slice
from pixcore.ports import Archiver, BlobStore, Converter, Downloader, StatusRepo, Validator
from pixcore.ports.decisions import Decisions
from pixcore.ports.previewer import Previewer
from pixcore.ports.seen_images import SeenImages
from pixcore.ports.twin_finder import TwinFinder


def not_listed(_slices: Sequence[Slice]) -> Iterator[Candidate]:
    """Yield nothing: the outcomes of candidates that were not tried then lack URLs."""
    return iter(())


def no_filter(name: str) -> Filter:
    """Refuse a filter that nothing provides.

    Raises:
        LibraryMissing: Always.
    """
    raise LibraryMissing(f"there is no filter {name!r}; install the package that brings it on every worker")


def no_probe(work: int, store: int) -> None:
    """Find no fault, so that every failure counts against its chunk."""
    del work, store


@frozen
class Dependencies:
    """What a pipeline works with.

    Attributes:
        downloader, validator, archiver, store, status: Five of the ten ports that a pipeline uses.
        work: Each attempt creates its private work directory below this folder.
        seen: The sixth port. None: duplicates across the chunks of a dataset are not found.
        twins: The seventh port. None: images that show the same picture are not found.
        converter: The eighth port. None: chunks that store converted images cannot be processed.
        previewer: The ninth port. None: rejected images have no previews, and no filter may see pictures.
        decisions: The tenth port. None: no image is excluded, included or relabelled by hand. It is read once for
            each attempt.
        archivers: Further archivers, for chunks whose archives are of another kind than ``archiver`` makes.
        listed: Yields the candidates of slices of lists, in order, without fetching anything. Raises Store errors.
        filters: Returns the filter of a name that a dataset's ``Quality`` lists; raises ``LibraryMissing`` if there is
            none.
        observer: Is called with every event, in the thread that runs the chunk.
        policies: How often each step is tried.
        terms: How long a claim lives.
        stop: Is called between images and phases. Once it returns true, the chunk is given back as after Ctrl-C.
        interrupts: Exceptions that the runner may raise at any point, such as its time limits.
        probe: Tries the machine and the services; returns what does not work, or None. Takes the bytes of room that
            are wanted in the work directory and in the store. It is called when an attempt fails in a way that may not
            be the chunk's fault. If it finds a fault, the chunk is given back.
        sleep: Waits that many seconds between tries.
        store_identity: Which store ``store`` is. Chunks of other stores are not claimed. None: claim all.
        owner: The name that claims carry: a UUID for each start of a worker, never a host name.
    """

    downloader: Downloader
    validator: Validator
    archiver: Archiver
    store: BlobStore
    status: StatusRepo
    work: Path
    seen: SeenImages | None = None
    twins: TwinFinder | None = None
    converter: Converter | None = None
    previewer: Previewer | None = None
    decisions: Decisions | None = None
    archivers: Sequence[Archiver] = ()
    listed: Callable[[Sequence[Slice]], Iterator[Candidate]] = not_listed
    filters: Callable[[str], Filter | PictureFilter] = no_filter
    observer: Observer = silent
    policies: Policies = Policies()
    terms: LeaseTerms = LeaseTerms()
    stop: Callable[[], bool] = lambda: False
    interrupts: tuple[type[BaseException], ...] = ()
    probe: Callable[[int, int], PixcoreError | None] = no_probe
    sleep: Callable[[float], None] = time.sleep
    store_identity: str | None = None
    owner: str = field(factory=lambda: uuid4().hex)
