"""The direct runner: runs the chunks that it is sent in this process, and in processes that it forks."""

import gc
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager

from attrs import define, field

from pixcore import ChunkKey, ChunkPipeline, ChunkRecord
from pixcore.chunk.events import Observer, silent
from pixcore.model.quality import TwinRule
from pixcore.ports import Validator
from pixcore_runners.assembly.assembly import Assembly, assemble_for_worker, private_settings
from pixcore_runners.assembly.imaging import validating
from pixcore_runners.direct.processes import forked_workers, run_shared
from pixcore_runners.direct.threads import run_chunks


@define(eq=False)
class DirectRunner:
    """A ``pixcore_runners.queueing.runner.Runner`` whose queue is in the memory of this process.

    Attributes:
        assembly: The adapters of this process.
        stop: Once it is set, running chunks are given back and no other begins.
        observing: Takes the number of chunks and gives the observer of their events until its block ends.
        validator: The validator of this process; a new one if None.
        quiet: Forked processes send no events to this one.
    """

    assembly: Assembly
    stop: threading.Event
    observing: Callable[[int], AbstractContextManager[Observer]]
    validator: Validator | None = None
    quiet: bool = False
    _keys: deque[ChunkKey] = field(init=False, factory=deque[ChunkKey])
    _sources: set[str] = field(init=False, factory=set[str])  # of all chunks that were sent, as are _rules
    _rules: set[TwinRule] = field(init=False, factory=set[TwinRule])

    def send(self, records: Iterable[ChunkRecord], *, ahead: bool = False) -> int:
        """See ``Runner``."""
        keys = []
        for record in records:
            keys.append(record.chunk.key)
            self._sources.update(slice_.source for slice_ in record.chunk.request.slices)
            self._rules.add(record.chunk.request.quality.twins)
        waiting = set(self._keys)
        new = [key for key in dict.fromkeys(keys) if key not in waiting]
        if ahead:
            self._keys.extendleft(reversed(new))
        else:
            self._keys.extend(new)
        return len(new)

    def discard(self, dataset: str) -> int:
        """See ``Runner``."""
        kept = deque(key for key in self._keys if key.dataset != dataset)
        discarded, self._keys = len(self._keys) - len(kept), kept
        return discarded

    def waiting(self) -> int:
        """See ``Runner``."""
        return len(self._keys)

    def workers(self) -> tuple[int, int]:
        """See ``Runner``. Its workers exist only while ``work`` runs."""
        return 0, 0

    def work(self, concurrency: int) -> int:
        """Run every chunk that was sent until it is completed or failed; return 0.

        Raises:
            InvalidRequest: The settings are wrong.
            StatusUnavailable: The status database cannot be reached.
            MachineUnfit: The machine or a service did not work for the ``patience`` of the settings.
            KeyboardInterrupt: ``stop`` was set; running chunks were given back.
        """
        if not self._keys:
            return 0
        workers = min(concurrency, len(self._keys))
        # only threads share what is in memory
        forks = 0 if private_settings(self.assembly.settings) else workers - 1
        if forks:
            self.assembly.preload(self._sources, self._rules)
        patience = self.assembly.settings.patience
        with (
            _frozen_objects(),
            forked_workers(forks, self._pipeline_in_fork, patience) as others,
            self.observing(len(self._keys)) as observer,
            self.assembly.pipeline(observer, self.stop.is_set, validator=self.validator) as pipeline,
        ):
            if others:
                run_shared(others, pipeline, self._drawn(), observer=observer, stop=self.stop, patience=patience)
            else:
                run_chunks(pipeline, self._drawn(), workers=workers, stop=self.stop, patience=patience)
        return 0

    def _drawn(self) -> Iterator[ChunkKey]:
        while self._keys:
            yield self._keys.popleft()

    @contextmanager
    def _pipeline_in_fork(self, observer: Observer, stop: Callable[[], bool]) -> Generator[ChunkPipeline]:
        settings = self.assembly.settings
        with (
            validating(settings, at_once=True) as validator,
            assemble_for_worker(settings).pipeline(
                silent if self.quiet else observer, stop, validator=validator
            ) as pipeline,
        ):
            yield pipeline


@contextmanager
def _frozen_objects() -> Generator[None]:
    """Keep the garbage collector off all present objects within the block, so that forks share their memory."""
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()  # the caller's process may live on, as a notebook does
