"""Collect a dataset from Python: plan it, run its chunks here, and open it."""

import asyncio
import signal
import threading
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from typing import Any

from attrs import frozen

from pixcore import ChunkRecord, Conversion, NoValidImages
from pixcore.chunk.unfilled import allocations_of, is_unfilled, is_worth_a_retry
from pixcore.model.chunks import Status
from pixcore.ports import Validator
from pixcore_runners.assembly.assembly import Assembly, assemble
from pixcore_runners.assembly.imaging import validating
from pixcore_runners.direct.reopened import run_with_reopened
from pixcore_runners.direct.stopping import stopping
from pixcore_runners.direct.threads import run_chunks
from pixcore_runners.library import shown
from pixcore_runners.library.dataset import Dataset, opened
from pixcore_runners.library.in_python import in_python
from pixcore_runners.observing import card_refresh
from pixcore_runners.planning.advice import Ending, held
from pixcore_runners.planning.arguments import spec_of
from pixcore_runners.planning.saving import plan_and_save
from pixcore_runners.planning.spec import DatasetSpec
from pixcore_runners.settings import Loaded, load_here


def collect(
    keyword: str = "",
    *,
    source: str | Sequence[str] = (),
    count: int | None = None,
    dataset: str = "",
    store_as: Conversion | None = None,
    retry: bool = False,
    progress: bool = True,
    **settings: object,
) -> Dataset:
    """Collect a dataset on this machine, and return it. Call it again to resume; nothing is done twice.

    It does what ``pixcore run`` does, in threads of this process. Ctrl-C, or the stop button of a notebook, gives the
    running chunks back; the same call goes on with them. Several calls may collect one dataset at the same time.

    Args:
        keyword: What to search for, or the path of a DATASET.toml.
        source: Where images come from, such as ``"openverse"``, ``"folder:./photos"`` or ``"urls:list.parquet"``; by
            default Openverse and, if ``user_agent`` holds your contact address, Wikimedia Commons.
        count: The number of images; for folders and lists, by default all that they hold.
        dataset: Its name; by default the keyword, or the name of the folder or list.
        store_as: Store images converted like this instead of the original bytes.
        retry: Try chunks again that failed or are short, if that may fill them.
        progress: Show the progress.
        settings: Any setting of docs/configuration.md by its name, such as ``license="cc0,by"``,
            ``store="s3://bucket/prefix"`` or ``workers=2``. Others are read as for the command: from the environment,
            ``.env`` and ``pixcore.toml``.

    Raises:
        InvalidRequest: An argument or a setting is invalid, or the sources do not offer so many images.
        NoValidImages: No image was collected; the message has the reasons.
        SourceUnavailable, SourceChanged: A list cannot be read.
        StoreDenied, StoreNotFound, StoreUnavailable, StatusUnavailable, MachineUnfit, WorkspaceFull: As their names
            say, for longer than the setting ``patience``.
        KeyboardInterrupt: The call was interrupted.
    """
    with in_python():
        job = _job(keyword, source, count, dataset, store_as, settings, retry=retry, quiet=not progress)
        stopped = partial(job.say, "stopping: running chunks are given back; the same call resumes")
        return job.run(stopping(stopped, [signal.SIGINT], afterwards=signal.default_int_handler))


async def collect_async(
    keyword: str = "",
    *,
    source: str | Sequence[str] = (),
    count: int | None = None,
    dataset: str = "",
    store_as: Conversion | None = None,
    retry: bool = False,
    progress: bool = True,
    **settings: object,
) -> Dataset:
    """Collect a dataset in a thread while the event loop goes on; see ``collect``.

    If the task is cancelled, running chunks are given back before ``CancelledError`` is raised.

    Raises:
        PixcoreError: As for ``collect``.
    """
    with in_python():
        job = _job(keyword, source, count, dataset, store_as, settings, retry=retry, quiet=not progress)
        stop = threading.Event()
        running = asyncio.ensure_future(asyncio.to_thread(job.run_unless_stopped, stop))
        try:
            found = await asyncio.shield(running)
        except asyncio.CancelledError:
            stop.set()
            await asyncio.wait([running])
            running.exception()  # else asyncio would log that nothing retrieved it
            raise
    if found is None:
        raise asyncio.CancelledError
    return found


def open(name: str, **settings: object) -> Dataset:  # noqa: A001 - as in `px.open`
    """Open a dataset that was collected before, or is being collected. Changes nothing.

    Args:
        name: Its name.
        settings: As for ``collect``, such as ``store`` and ``status``.

    Raises:
        InvalidRequest: There is no such dataset; the message names those that exist. Or a setting is invalid.
        StatusUnavailable: The status database cannot be reached.
    """
    with in_python():
        assembly = assemble(_loaded(settings).settings)
        found = opened(name, assembly)
        assembly.require_dataset(name)
        return found


def _job(  # noqa: PLR0917 - the arguments of `collect`
    keyword: str,
    source: str | Sequence[str],
    count: int | None,
    dataset: str,
    store_as: Conversion | None,
    settings: dict[str, object],
    *,
    retry: bool,
    quiet: bool,
) -> "_Job":
    named = {"source": (source,) if isinstance(source, str) else tuple(source)} if source else {}
    loaded = _loaded({**settings, **named})
    say: Callable[[str], None] = (lambda _: None) if quiet else shown.say
    spec = spec_of(loaded, keyword, count, dataset, store_as, others={"store_as": store_as}, say=say)
    return _Job(loaded, spec, say, retry, quiet)


def _loaded(settings: dict[str, Any]) -> Loaded:
    return load_here(flags=settings)


@frozen
class _Job:
    """One call of ``collect``."""

    loaded: Loaded
    spec: DatasetSpec
    say: Callable[[str], None]
    retry: bool
    quiet: bool

    def run(self, stopping: AbstractContextManager[threading.Event]) -> Dataset:
        """Plan, run the unfinished chunks, and open the dataset.

        ``stopping`` gives an event for the time in which chunks run. Once it is set, running chunks are given back.
        An interrupt while the dataset is planned leaves nothing behind, and passes through.

        Raises:
            PixcoreError: As for ``collect``.
            KeyboardInterrupt: The event was set.
        """
        settings, name = self.loaded.settings, self.spec.dataset
        with validating(settings, at_once=True) as validator:  # its decoder starts while the dataset is planned
            assembly, _, _ = plan_and_save(settings, self.spec, self.say)
            if self.retry:
                self._reopen(assembly)
            unfinished = list(assembly.status.find(name, Status.PENDING))
            unfinished += assembly.status.find(name, Status.PROCESSING)
            if unfinished:
                if line := held(unfinished):
                    self.say(line)
                with stopping as stop:
                    run_with_reopened(name, unfinished, assembly.status, partial(self._run, assembly, validator, stop))
                card_refresh.refresh(name, assembly.status, assembly.store)
        found = opened(name, assembly)
        self._advise(assembly)
        return found

    def run_unless_stopped(self, stop: threading.Event) -> Dataset | None:
        """Do what ``run`` does; return None if ``stop`` was set. A KeyboardInterrupt would end the event loop."""
        try:
            return self.run(nullcontext(stop))
        except KeyboardInterrupt:
            return None

    def _run(
        self, assembly: Assembly, validator: Validator, stop: threading.Event, records: Sequence[ChunkRecord]
    ) -> None:
        settings = self.loaded.settings
        wanted = sum(record.chunk.request.target for record in records)
        with (
            shown.shown(len(records), wanted, quiet=self.quiet) as observer,
            assembly.pipeline(observer, stop.is_set, validator=validator) as pipeline,
        ):
            keys = [record.chunk.key for record in records]
            run_chunks(pipeline, keys, workers=settings.workers, stop=stop, patience=settings.patience)

    def _reopen(self, assembly: Assembly) -> None:
        allocations = allocations_of(assembly.status)
        for record in list(assembly.status.find(self.spec.dataset)):
            if is_unfilled(record) and is_worth_a_retry(record, allocations(record)):
                assembly.status.reopen(record.chunk.key)

    def _advise(self, assembly: Assembly) -> None:
        """Say why chunks lack images, and what to do.

        Raises:
            NoValidImages: No chunk has an image.
        """
        name, ending = self.spec.dataset, Ending(allocations_of(assembly.status))
        records = ending.counted(assembly.status.find(name))
        errors = dict.fromkeys(record.error for record in records if record.error)
        again = "add retry=True to the call"
        if not ending.archives:
            reasons = ", ".join(f"{count} {reason}" for reason, count in ending.left_out.most_common())
            why = "; ".join([*errors, *([f"left out: {reasons}"] if reasons else [])])
            raise NoValidImages(f"dataset {name}: no image was collected ({why}); to try again, {again}")
        if ending.lacking:
            self.say(ending.advice(again))
