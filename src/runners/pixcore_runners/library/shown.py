"""Show the progress of a call from Python: in the output of a notebook's cell, or on standard error."""

import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Generator
from contextlib import contextmanager
from contextvars import copy_context
from html import escape
from typing import Any

from attrs import define, field

from pixcore.chunk.events import (
    ChunkClaimed,
    ChunkCompleted,
    ChunkEnded,
    Event,
    ImageAccepted,
    ImageRejected,
    ImageReplaced,
    ImageWithdrawn,
    Observer,
    StepRetried,
    silent,
)
from pixcore_runners.observing.logs import escaped
from pixcore_runners.observing.progress import ending, progress, retrying

_PAUSE = 0.2  # seconds between two updates of a cell's output


def in_notebook() -> bool:
    """Return whether this is code of a Jupyter kernel."""
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    return hasattr(shell, "kernel")


def say(text: str) -> None:
    """Print a line for the user: on standard error, or as output of a notebook's cell, where that would look red."""
    print(escaped(text), file=sys.stdout if in_notebook() else sys.stderr, flush=True)


@contextmanager
def shown(chunks: int, wanted: int, *, quiet: bool) -> Generator[Observer]:
    """Give the block an observer that shows the progress of ``chunks`` chunks with ``wanted`` images in all."""
    if quiet:
        yield silent
    elif in_notebook():
        cell, ended = _Cell(wanted), threading.Event()
        # in the context of the cell, so that the kernel knows to which cell the output belongs
        updating = threading.Thread(target=copy_context().run, args=(cell.update_until, ended), name="pixcore-cell")
        updating.start()
        try:
            yield cell
        finally:
            ended.set()
            updating.join()
    else:
        with progress(chunks) as observer:
            yield observer


@define(eq=False)
class _Cell:
    """A bar in a cell's output, and below it a line for each chunk that was tried again, failed or was given back.

    Threads of chunks call it. It needs no widgets: it replaces its output, five times a second.
    """

    wanted: int
    clock: Callable[[], float] = time.monotonic
    _begun: float = field(init=False)
    _accepted: Counter[int] = field(init=False, factory=Counter[int])  # by chunk
    _whole: set[int] = field(init=False, factory=set[int])  # chunks that want all that folders and lists hold
    _rejected: int = field(init=False, default=0)
    _lines: list[str] = field(init=False, factory=list[str])
    _lock: threading.Lock = field(init=False, factory=threading.Lock)
    _output: Any = field(init=False)  # a DisplayHandle of IPython

    def __attrs_post_init__(self) -> None:
        from IPython.display import display  # noqa: PLC0415 - only in a notebook

        self._begun = self.clock()
        self._output = display(self, display_id=True)

    def __call__(self, event: Event) -> None:
        with self._lock:
            self._count(event)

    def update_until(self, ended: threading.Event) -> None:
        """Replace the output by the present state, again and again until ``ended`` is set, and once more."""
        while not ended.wait(_PAUSE):
            self._output.update(self)
        self._output.update(self)

    def _count(self, event: Event) -> None:
        chunk = event.chunk.id
        match event:
            case ChunkClaimed(request=request):
                self._accepted[chunk] = 0
                if request.whole:
                    self._whole.add(chunk)
            case ImageAccepted():
                self._accepted[chunk] += 1
            case ImageWithdrawn():
                self._accepted[chunk] -= 1
                self._rejected += 1
            case ImageRejected() | ImageReplaced():
                self._rejected += 1
            case StepRetried():
                self._lines.append(f"chunk {chunk}: {retrying(event)}")
            case ChunkCompleted(result=result):
                self._accepted[chunk] = result.progress.accepted
                if chunk in self._whole:
                    self.wanted -= result.shortfall
            case ChunkEnded():
                self._accepted[chunk] = 0
                self._lines.append(f"chunk {chunk}: {ending(event)}")

    def __repr__(self) -> str:
        with self._lock:
            return f"{sum(self._accepted.values())} of {self.wanted} images, {self._rejected} rejected"

    def _repr_html_(self) -> str:
        with self._lock:
            accepted, seconds = sum(self._accepted.values()), self.clock() - self._begun
            lines = "".join(f"<br>{escape(escaped(line))}" for line in self._lines)
        return (
            f'<progress value="{accepted}" max="{max(self.wanted, 1)}" style="width:20em;vertical-align:middle">'
            f"</progress> {accepted} of {self.wanted} images, {self._rejected} rejected, {seconds:.0f} s{lines}"
        )
