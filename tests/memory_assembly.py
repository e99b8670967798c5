"""A chunk and all its ports in memory, with a clock that tests set and faults that they plan."""

from collections.abc import Callable, Generator, Iterator, Mapping
from pathlib import Path
from typing import Any

from attrs import define, field

from pixcore import ChunkKey, ChunkPipeline, ChunkRequest, LeaseTerms, Slice
from pixcore.chunk.events import Event
from pixcore_adapters.archiver.memory import MemoryArchiver
from pixcore_adapters.blob_store.memory import MemoryBlobStore
from pixcore_adapters.decisions.memory import MemoryDecisions
from pixcore_adapters.downloader.memory import MemoryDownloader
from pixcore_adapters.seen_images.memory import MemorySeenImages
from pixcore_adapters.status_repo.memory import MemoryStatusRepo
from pixcore_adapters.twins.memory import MemoryTwinFinder
from pixcore_adapters.validator.memory import MemoryValidator, encode

TERMS = LeaseTerms(ttl=60.0, deadline=600.0)


def picture(number: int) -> bytes:
    """Return a picture whose hashes are far from those of other numbers."""
    spread = (number * 0x9E3779B97F4A7C15) & (2**64 - 1)
    return encode(f"picture {number}", phash=spread, dhash=~spread & (2**64 - 1))


def copy(number: int, name: str = "copy", side: int = 100) -> bytes:
    """Make another picture with nearly the hashes of ``picture(number)``; a larger side makes it the better one."""
    spread = (number * 0x9E3779B97F4A7C15) & (2**64 - 1)
    hashes = {"phash": spread ^ 0b11, "dhash": ~spread & (2**64 - 1)}
    return encode(f"{name} of {number}", width=side, height=side, **hashes)


@define
class Faults:
    """Counts every call of a port and every return, and raises at the planned ones."""

    plan: Mapping[int, BaseException] = field(factory=dict)
    count: int = 0
    calls: list[str] = field(factory=list)

    def pass_through(self) -> None:
        """Count; raise if a fault is planned for this count."""
        self.count += 1
        if fault := self.plan.get(self.count):
            raise fault


class Faulty:
    """A port with planned faults: one before a call prevents it, one after the call loses its result."""

    def __init__(self, port: object, faults: Faults) -> None:
        self._port = port
        self._faults = faults

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - any attribute of the port
        value = getattr(self._port, name)
        if not callable(value):
            return value

        def call(*args: object, **kwargs: object) -> object:
            self._faults.pass_through()
            self._faults.calls.append(name)
            answer = value(*args, **kwargs)
            if isinstance(answer, Generator):
                return self._items(answer)
            self._faults.pass_through()
            return answer

        return call

    def _items(self, items: Generator[object]) -> Iterator[object]:
        try:
            for item in items:
                yield item
                self._faults.pass_through()
        finally:
            items.close()


@define
class MemoryAssembly:
    """The adapters in memory of one pipeline."""

    work: Path
    pictures: list[bytes | None]
    faults: Faults = field(factory=Faults)
    now: float = 1_000.0
    events: list[Event] = field(factory=list)
    naps: list[float] = field(factory=list)
    store: MemoryBlobStore = field(factory=MemoryBlobStore)
    archiver: MemoryArchiver = field(factory=MemoryArchiver)
    status: MemoryStatusRepo = field(init=False)
    seen: MemorySeenImages = field(init=False)
    decisions: MemoryDecisions = field(init=False)

    def __attrs_post_init__(self) -> None:
        self.status = MemoryStatusRepo(clock=lambda: self.now)
        self.seen = MemorySeenImages(self.status)
        self.decisions = MemoryDecisions(lambda: self.now)

    def chunk(self, target: int, *, index: int = 0, start: int = 0, stop: int | None = None) -> ChunkKey:
        """Plan a chunk of the dataset ``d`` over the pictures [start, stop)."""
        part = Slice("memory", "q", start, len(self.pictures) if stop is None else stop)
        (chunk,) = self.status.ensure([ChunkRequest(index, "cat", target, (part,), dataset="d")])
        return chunk.key

    def pipeline(
        self,
        observer: Callable[[Event], None] | None = None,
        **changes: Any,  # noqa: ANN401 - any attribute of the pipeline
    ) -> ChunkPipeline:
        """Return a pipeline whose ports have the planned faults; waits take no time and are recorded in ``naps``."""
        ports: dict[str, Any] = {
            "downloader": MemoryDownloader({"q": self.pictures}),
            "validator": MemoryValidator(),
            "archiver": self.archiver,
            "store": self.store,
            "status": self.status,
            "seen": self.seen,
            "decisions": self.decisions,
            "twins": MemoryTwinFinder(),
            **{name: changes.pop(name) for name in list(changes) if name in _PORTS},
        }
        return ChunkPipeline(
            **{name: Faulty(port, self.faults) for name, port in ports.items()},
            **{"work": self.work, "terms": TERMS, "sleep": self.naps.append, **changes},
            observer=observer or self.events.append,
        )

    def later(self) -> None:
        """Advance the clock beyond every lease and every due time."""
        self.now += 10_000.0

    def left(self) -> list[Path]:
        """Return the work directories that still exist."""
        return list(self.work.glob("chunk-*")) if self.work.exists() else []


_PORTS = frozenset({"downloader", "validator", "archiver", "store", "status", "seen", "twins", "converter"})
