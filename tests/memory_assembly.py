"""A chunk and all its ports in memory, with a clock that tests turn and faults that they plant."""

from collections.abc import Callable, Generator, Iterator, Mapping
from pathlib import Path
from typing import Any

from attrs import define, field

from pixcore import ChunkKey, ChunkPipeline, ChunkRequest, LeaseTerms, Slice
from pixcore.chunk.events import Event
from pixcore_adapters.archiver.memory import MemoryArchiver
from pixcore_adapters.blob_store.memory import MemoryBlobStore
from pixcore_adapters.downloader.memory import MemoryDownloader
from pixcore_adapters.seen_images.memory import MemorySeenImages
from pixcore_adapters.status_repo.memory import MemoryStatusRepo
from pixcore_adapters.twins.memory import MemoryTwinFinder
from pixcore_adapters.validator.memory import MemoryValidator, encode

TERMS = LeaseTerms(ttl=60.0, deadline=600.0)


def picture(number: int) -> bytes:
    """A picture unlike any other: its hashes are far from those of its neighbours."""
    spread = (number * 0x9E3779B97F4A7C15) & (2**64 - 1)
    return encode(f"picture {number}", phash=spread, dhash=~spread & (2**64 - 1))


def copy(number: int, name: str = "copy", side: int = 100) -> bytes:
    """Make another picture with nearly the hashes of ``picture(number)``; a larger side makes it the better one."""
    spread = (number * 0x9E3779B97F4A7C15) & (2**64 - 1)
    hashes = {"phash": spread ^ 0b11, "dhash": ~spread & (2**64 - 1)}
    return encode(f"{name} of {number}", width=side, height=side, **hashes)


@define
class Faults:
    """Counts every crossing of a port's border, in and out, and raises at the planned ones."""

    plan: Mapping[int, BaseException] = field(factory=dict)
    crossings: int = 0
    calls: list[str] = field(factory=list)

    def cross(self) -> None:
        """Raise if this crossing is a planned one."""
        self.crossings += 1
        if fault := self.plan.get(self.crossings):
            raise fault


class Faulty:
    """A port behind a border: a fault on the way in keeps the call from happening, on the way out loses its answer."""

    def __init__(self, port: object, faults: Faults) -> None:
        self._port = port
        self._faults = faults

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - whatever the port has
        value = getattr(self._port, name)
        if not callable(value):
            return value

        def call(*args: object, **kwargs: object) -> object:
            self._faults.cross()
            self._faults.calls.append(name)
            answer = value(*args, **kwargs)
            if isinstance(answer, Generator):
                return self._items(answer)
            self._faults.cross()
            return answer

        return call

    def _items(self, items: Generator[object]) -> Iterator[object]:
        try:
            for item in items:
                yield item
                self._faults.cross()
        finally:
            items.close()


@define
class MemoryAssembly:
    """Everything around one pipeline."""

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

    def __attrs_post_init__(self) -> None:
        self.status = MemoryStatusRepo(clock=lambda: self.now)
        self.seen = MemorySeenImages(self.status)

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
        """A pipeline whose every port is behind the faults; waits cost nothing and are noted."""
        ports: dict[str, Any] = {
            "downloader": MemoryDownloader({"q": self.pictures}),
            "validator": MemoryValidator(),
            "archiver": self.archiver,
            "store": self.store,
            "status": self.status,
            "seen": self.seen,
            "twins": MemoryTwinFinder(),
            **{name: changes.pop(name) for name in list(changes) if name in _PORTS},
        }
        return ChunkPipeline(
            **{name: Faulty(port, self.faults) for name, port in ports.items()},
            **{"work": self.work, "terms": TERMS, "sleep": self.naps.append, **changes},
            observer=observer or self.events.append,
        )

    def later(self) -> None:
        """Turn the clock beyond every lease and every due time."""
        self.now += 10_000.0

    def left(self) -> list[Path]:
        """Work directories that are still there."""
        return list(self.work.glob("chunk-*")) if self.work.exists() else []


_PORTS = frozenset({"downloader", "validator", "archiver", "store", "status", "seen", "twins"})
