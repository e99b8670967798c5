"""What ``bench_growth.py`` measures: operations on whole datasets and on single chunks, by name.

To add one, write a function of a place and the number of the call, and name it in ``OPERATIONS``.
"""

import os
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from contextlib import redirect_stdout, suppress
from enum import Enum
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from attrs import frozen
from growth_rows import CHUNK, KEYWORD, claimed, complete, fill, request, result, see_alike

from pixcore import ChunkKey, ChunkRecord, Phase, Progress
from pixcore.stored.completed import CompletedChunks
from pixcore.stored.samples import classes, columns, placed_together
from pixcore_adapters.status_repo.sql_datasets import SqlDatasets
from pixcore_runners.assembly.assembly import Assembly
from pixcore_runners.observing import card_refresh
from pixcore_runners.planning.caller_chunks import caller_chunk
from pixcore_runners.planning.dataset_plan import plan_missing
from pixcore_runners.planning.spec import DatasetSpec, KeywordSpec
from pixcore_runners.queueing.dispatch import reap, submit

if TYPE_CHECKING:
    from click import Command

DONE = "done"  # completed chunks
CALLED = "called"  # completed chunks that callers numbered
ALIKE = "alike"  # completed chunks with one image each, all of which have the same hashes
WAITING = "waiting"  # pending chunks, whose deliveries wait in the queue
QUEUE = "celery:bench"
MOST_ALIKE = 100_000
EVERYTHING = 10**12  # results of a search, so that it holds the candidates of any number of chunks


class Growth(Enum):
    """What an operation is about, and with that the largest exponent that it may have in time."""

    DATASET = 1.05
    CHUNK = 0.05


@frozen
class Endless(Assembly):
    """An assembly whose sources hold any number of results."""

    def capacity(self, source: str, licenses: Sequence[str]) -> int:
        """Return a large number."""
        del source, licenses
        return EVERYTHING


@frozen
class Queued:
    """A queue that takes every delivery and keeps none."""

    depth: int = 0

    def send(self, records: Iterable[ChunkRecord], *, ahead: bool = False) -> int:
        """Read the records."""
        del ahead
        return sum(1 for _ in records)

    def discard(self, dataset: str) -> int:
        """Remove nothing."""
        del dataset
        return 0

    def waiting(self) -> int:
        """Return the depth."""
        return self.depth


@frozen
class Place:
    """A database with datasets of ``size`` chunks, and a store.

    Attributes:
        assembly: The ports on both.
        size: The chunks of each dataset.
        folder: An empty folder for the files of an operation.
    """

    assembly: Assembly
    size: int
    folder: Path


def prepare(place: Place) -> None:
    """Fill the database."""
    for dataset in (DONE, CALLED):
        fill(place.assembly.status, dataset, place.size, completed=True)
    fill(place.assembly.status, WAITING, place.size, QUEUE)
    fill(place.assembly.status, ALIKE, min(place.size, MOST_ALIKE), completed=True)
    see_alike(place.assembly.status.engine, ALIKE)


def _run(place: Place, number: int) -> None:
    status = place.assembly.status
    claim = claimed(status, _key(place, WAITING, number))
    for phase in (Phase.DOWNLOAD, Phase.VALIDATE, Phase.COMPRESS, Phase.UPLOAD):
        status.advance(claim, phase, Progress(number))
    status.renew(claim, 60.0, Progress(CHUNK))
    status.complete(claim, result(claim.attempt, WAITING))


def _deliver_again(place: Place, number: int) -> None:
    place.assembly.status.claim(_key(place, DONE, number), "bench", 60.0)


def _describe_again(place: Place, number: int) -> None:
    index = place.size - 1 - number % place.size  # of the last ones
    caller_chunk(index, {"keyword": KEYWORD, "dataset": CALLED, "count": CHUNK}, place.assembly, _no_wait)


def _describe_new(place: Place, number: int) -> None:
    metadata = {"keyword": KEYWORD, "dataset": CALLED, "count": CHUNK, "sources": ["openverse"]}
    record = caller_chunk(place.size + number, metadata, place.assembly, _no_wait)
    complete(place.assembly.status, record.chunk.key)
    card_refresh.refresh(CALLED, place.assembly.status, place.assembly.store)


def _look(place: Place, _: int) -> None:
    place.assembly.status.overview(WAITING)


def _look_at_all(place: Place, _: int) -> None:
    place.assembly.status.overview()
    place.assembly.status.summary()


def _reap(place: Place, _: int) -> None:
    reap(place.assembly.status, Queued(place.size), QUEUE)


def _find(place: Place, _: int) -> None:
    deque(place.assembly.status.find(DONE), maxlen=0)


def _list(place: Place, _: int) -> None:
    deque(SqlDatasets(place.assembly.status.engine).summaries(), maxlen=0)


def _card(place: Place, _: int) -> None:
    place.assembly.status.keep_counts(DONE, "")  # as if it were the first card
    card_refresh.refresh(DONE, place.assembly.status, place.assembly.store)


def _submit(place: Place, number: int) -> None:
    submit(WAITING, place.assembly.status, Queued(), f"{QUEUE}-{number}")


def _plan(place: Place, number: int) -> None:
    spec = DatasetSpec([KeywordSpec(("openverse",), KEYWORD, place.size * CHUNK)], CHUNK, f"planned-{number}")
    with plan_missing(spec, place.assembly.status, place.assembly) as plan:
        deque(plan.save(place.assembly.status, place.assembly.store), maxlen=0)


def _plan_again(place: Place, _: int) -> None:
    _plan(place, 0)


def _cancel(place: Place, _: int) -> None:
    place.assembly.status.cancel(WAITING)


def _status(place: Place, _: int) -> None:
    _command(place, "status", DONE, "--json")


def _run_again(place: Place, _: int) -> None:
    _command(place, "run", KEYWORD, "--dataset", DONE, "--count", place.size * CHUNK, "--source", "openverse", "--json")


def _verify(place: Place, _: int) -> None:
    _command(place, "verify", DONE, "--json")


def _report(place: Place, number: int) -> None:
    _command(place, "report", DONE, "--out", place.folder / f"{place.size}-{number}.html")


def _export(place: Place, _: int) -> None:
    records = CompletedChunks(DONE, place.assembly.status)
    placed_together(DONE, records, place.assembly.seen)
    classes(records, place.assembly.archives, "label")
    columns(records, place.assembly.archives)


def _duplicates(place: Place, _: int) -> None:
    _command(place, "status", ALIKE, "--duplicates", "--json")


def _command(place: Place, name: str, *words: object) -> None:
    """Call a command of pixcore in this process, and ignore what it prints."""
    settings = place.assembly.settings
    where = ("--status", settings.status, "--store", settings.store, "--quiet")
    command: Command = import_module(f"pixcore_runners.cli.{name}").command
    with Path(os.devnull).open("w") as ignored, redirect_stdout(ignored), suppress(SystemExit):
        command.main([*map(str, words), *where], standalone_mode=False)


def _key(place: Place, dataset: str, number: int) -> ChunkKey:
    (chunk,) = place.assembly.status.ensure([request(dataset, number % place.size)])
    return chunk.key


def _no_wait(_: float) -> None:
    pass


@frozen
class Operation:
    """An operation to measure.

    Attributes:
        name: In the table.
        growth: What it is about.
        run: Takes the number of the call, from 0 on.
        once: Whether it is called once, because a second call has nothing left to do or a call takes minutes.
        most: The largest number of chunks that it is measured with.
    """

    name: str
    growth: Growth
    run: Callable[[Place, int], None]
    once: bool = False
    most: int = 1_000_000


OPERATIONS = (
    Operation("a chunk, from claim to completion", Growth.CHUNK, _run),
    Operation("a delivery of a completed chunk", Growth.CHUNK, _deliver_again),
    Operation("a caller's chunk that exists", Growth.CHUNK, _describe_again),
    Operation("a caller's new chunk, up to the card", Growth.CHUNK, _describe_new),
    Operation("overview of a dataset", Growth.CHUNK, _look),
    Operation("overview of all datasets", Growth.CHUNK, _look_at_all),
    Operation("a round of the reaper", Growth.CHUNK, _reap),
    Operation("read all records", Growth.DATASET, _find),
    Operation("status --json", Growth.DATASET, _status),
    Operation("run again, with nothing to do", Growth.DATASET, _run_again),
    Operation("verify, of missing archives", Growth.DATASET, _verify, once=True, most=10_000),
    Operation("report, of missing archives", Growth.DATASET, _report, once=True, most=10_000),
    Operation("export, up to the first image", Growth.DATASET, _export),
    Operation("status --duplicates of look-alikes", Growth.DATASET, _duplicates),
    Operation("list all datasets", Growth.DATASET, _list),
    Operation("write the card", Growth.DATASET, _card),
    Operation("submit", Growth.DATASET, _submit),
    Operation("plan", Growth.DATASET, _plan),
    Operation("plan again", Growth.DATASET, _plan_again),
    Operation("cancel", Growth.DATASET, _cancel, once=True),
)
