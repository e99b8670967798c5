"""The progress of a run on standard error: bars on a terminal, plain lines elsewhere."""

from collections import Counter
from collections.abc import Generator
from contextlib import contextmanager
from threading import Lock

from attrs import define, field
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from pixcore import ChunkKey
from pixcore.chunk.events import (
    ChunkClaimed,
    ChunkCompleted,
    ChunkEnded,
    ChunkFailed,
    ChunkGivenBack,
    ChunkLost,
    Event,
    ImageAccepted,
    ImageRejected,
    ImageReplaced,
    ImageWithdrawn,
    Observer,
    PhaseEntered,
    StepRetried,
    silent,
)
from pixcore.model.chunks import Status
from pixcore_runners.observing.chunk_lines import LogObserver
from pixcore_runners.observing.logs import escaped

# A plain line is printed after this many accepted images.
_STEP = 100


@contextmanager
def progress(chunks: int, *, verbose: bool = False, quiet: bool = False) -> Generator[Observer]:
    """Give the block an observer that shows the progress of ``chunks`` chunks: as log lines if ``verbose``."""
    console = Console(stderr=True)
    if verbose:
        yield LogObserver()
    elif quiet:
        yield silent
    elif console.is_terminal:
        columns = (
            TextColumn("[bold]{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[note]}"),
            TimeElapsedColumn(),
        )
        with Progress(*columns, console=console, transient=True) as bars:
            yield _Bars(bars, chunks)
    else:
        yield _Lines(console)


@define
class _Bars:
    """A bar for the chunks, and a bar for the images of each running chunk, with its rejected images and rate."""

    bars: Progress
    chunks: int
    _all: TaskID = field(init=False)
    _tasks: dict[ChunkKey, TaskID] = field(init=False, factory=dict)
    _rejected: dict[ChunkKey, int] = field(init=False, factory=dict)
    _lock: Lock = field(init=False, factory=Lock)

    def __attrs_post_init__(self) -> None:
        self._all = self.bars.add_task("chunks", total=self.chunks, note="")

    def __call__(self, event: Event) -> None:
        with self._lock:
            if isinstance(event, ChunkClaimed):
                self._rejected[event.chunk] = 0
                self._tasks[event.chunk] = self.bars.add_task(
                    f"chunk {event.chunk.id}", total=event.request.target, note=""
                )
            elif isinstance(event, StepRetried):
                _print(self.bars.console, event, retrying(event))
            elif isinstance(event, ChunkEnded):
                self._end(event)
            elif task := self._tasks.get(event.chunk):
                self._note(event, task)

    def _note(self, event: Event, task: TaskID) -> None:
        if isinstance(event, ImageRejected | ImageReplaced | ImageWithdrawn):
            self._rejected[event.chunk] += 1
        elif isinstance(event, ImageAccepted):
            self.bars.advance(task)
        if isinstance(event, ImageWithdrawn):
            self.bars.advance(task, -1)
        bar = next(bar for bar in self.bars.tasks if bar.id == task)
        rate = f"{bar.speed:.0f}/s" if bar.speed else ""
        phase = f"[dim]{event.phase}[/]" if isinstance(event, PhaseEntered) else ""
        if phase or isinstance(event, ImageAccepted | ImageRejected | ImageReplaced | ImageWithdrawn):
            self.bars.update(task, note=f"{rate} rejected {self._rejected[event.chunk]} {phase}".strip())

    def _end(self, event: ChunkEnded) -> None:
        if task := self._tasks.pop(event.chunk, None):
            self.bars.remove_task(task)
        if _settled(event):
            self.bars.advance(self._all)
        _print(self.bars.console, event, ending(event))


@define
class _Lines:
    """A line when a chunk starts, is retried and ends, and one for every 100 images."""

    console: Console
    _accepted: Counter[ChunkKey] = field(init=False, factory=Counter[ChunkKey])

    def __call__(self, event: Event) -> None:
        match event:
            case ChunkClaimed(request=request):
                _print(self.console, event, f"started, {request.target} images of {request.keyword!r:.100} wanted")
            case ImageAccepted(chunk=chunk):
                self._accepted[chunk] += 1
                if self._accepted[chunk] % _STEP == 0:
                    _print(self.console, event, f"{self._accepted[chunk]} images accepted")
            case ImageWithdrawn(chunk=chunk):
                self._accepted[chunk] -= 1
            case StepRetried():
                _print(self.console, event, retrying(event))
            case ChunkEnded(chunk=chunk):
                self._accepted.pop(chunk, None)
                _print(self.console, event, ending(event))


def _settled(event: ChunkEnded) -> bool:
    return isinstance(event, ChunkCompleted) or (isinstance(event, ChunkFailed) and event.status is Status.FAILED)


def _print(console: Console, event: Event, text: str) -> None:
    line = escaped(f"chunk {event.chunk.id}: {text}")
    console.print(line, markup=False, highlight=False, soft_wrap=True)


def retrying(event: StepRetried) -> str:
    """Say which step of a chunk failed, and when it is tried again."""
    return f"{event.phase} failed and is retried in {event.wait:.1f} s: {event.error}"


def ending(event: ChunkEnded) -> str:
    """Say how a chunk ended."""
    match event:
        case ChunkCompleted(result=result):
            short = f", {result.shortfall} short" if result.shortfall else ""
            return f"completed with {result.progress.accepted} of {result.target} images{short}"
        case ChunkFailed(error=error, status=Status.PENDING):
            return f"failed and will be retried: {error}"
        case ChunkFailed(error=error, status=None):
            return f"failed and the failure could not be recorded: {error}"
        case ChunkFailed(error=error) | ChunkGivenBack(error=error):
            return f"{'given back' if isinstance(event, ChunkGivenBack) else 'failed'}: {error}"
        case ChunkLost(error=error):
            return f"another worker took over: {error}"
        case _:
            return "interrupted and given back"
