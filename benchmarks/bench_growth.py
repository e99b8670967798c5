"""Growth: what each operation costs among few and many chunks, and the exponents, on SQLite and PostgreSQL.

    .venv/bin/python benchmarks/bench_growth.py --full      # up to a million chunks: minutes, and 20 GB of disk

The chunks are synthetic rows. Every operation runs in a process of its own, forked after all imports. CPU is that of
this process and of its connection to PostgreSQL. A figure is the median of some calls, without the first one, which
compiles the statements; of several turns through the sizes, the least one counts. Memory is the peak of the process. An
exponent is the slope of a straight line through the logarithms: 1 means twice the cost for twice the chunks.
``growth_operations.py`` names the operations.
"""

import gc
import math
import multiprocessing
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from attrs import astuple, fields, frozen
from figures import arguments
from from_tests import postgres, started
from growth_operations import OPERATIONS, Endless, Growth, Operation, Place, prepare
from psycopg import Connection as Session
from sqlalchemy import Engine, event

from pixcore_runners.assembly.assembly import Assembly, assemble
from pixcore_runners.settings import Settings

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

MEMORY = 0.05  # the largest exponent of the peak memory
CALLS = {Growth.CHUNK: 10, Growth.DATASET: 1}
TURNS = {Growth.CHUNK: 3, Growth.DATASET: 1}
ENOUGH = 3.0  # seconds of CPU after which an operation is not called again, if it was called twice
WARM = 20  # chunks of the database on which everything is imported and tried once


@frozen
class Cost:
    """What a call of an operation costs: seconds of CPU, statements, and the peak memory of its process in MB."""

    cpu: float
    statements: float
    memory: float


def main() -> None:
    """Measure and print."""
    args = arguments(__doc__, most=(4_000, 1_000_000))
    sizes = [size for size in (1_000, 10_000, 100_000, 1_000_000) if size <= args.most]
    sizes = sizes if len(sizes) > 1 else [1_000, 4_000]  # a page is full in both
    missed: list[str] = []
    for name, database in {"SQLite": sqlite, "PostgreSQL": server}.items():
        with ExitStack() as open_:
            folder = Path(open_.enter_context(tempfile.TemporaryDirectory(prefix="pixcore-bench-")))
            url = open_.enter_context(database(folder))
            warm, *places = (
                open_.enter_context(placed(url(number), size, folder)) for number, size in enumerate((WARM, *sizes))
            )
            for operation in OPERATIONS:
                operation.run(warm, 0)
            found = {operation.name: measured_in_turns(operation, places) for operation in OPERATIONS}
        missed += print_table(name, sizes, found)
    print("\nMISSED: " + ", ".join(missed) if missed else "\nAll goals are met.")


@contextmanager
def sqlite(folder: Path) -> Iterator[Callable[[int], str]]:
    """Give the URLs of new files."""
    yield lambda number: f"sqlite:///{folder}/{number}.db"


@contextmanager
def server(folder: Path) -> Iterator[Callable[[int], str]]:
    """Give the URLs of new databases of a server."""
    del folder
    with started(postgres.prepare) as running:
        address = running.address
        os.environ["PGPASSWORD"] = address.password

        def created(number: int) -> str:
            with Session[tuple[object]].connect(address.url(driver="postgresql"), autocommit=True) as session:
                session.execute(f"CREATE DATABASE growth_{number}")
            return f"postgresql+psycopg://{address.user}@127.0.0.1:{address.port}/growth_{number}"

        yield created


@contextmanager
def placed(url: str, size: int, folder: Path) -> Iterator[Place]:
    """Create and fill a database, and an empty store."""
    store = folder / f"{size}-{url.partition(':')[0]}"
    settings = Settings(status=url, store=store.as_uri(), work=folder / "work")
    assembly = assemble(settings, create=True)
    place = Place(Endless(*(getattr(assembly, part.name) for part in fields(Assembly))), size, folder)
    prepare(place)
    assembly.status.engine.dispose()  # the forks must not share a connection
    yield place
    assembly.status.engine.dispose()


def measured_in_turns(operation: Operation, places: Sequence[Place]) -> list[Cost]:
    """Measure an operation in each place, several times in turn; return the least cost in each."""
    turns = 1 if operation.once else TURNS[operation.growth]
    measurable = [place for place in places if place.size <= operation.most]
    costs = [[measured(operation, place, turn) for place in measurable] for turn in range(turns)]
    return [min(of_place, key=lambda cost: cost.cpu) for of_place in zip(*costs, strict=True)]


def measured(operation: Operation, place: Place, turn: int) -> Cost:
    """Measure an operation in a fork of this process."""
    context = multiprocessing.get_context("fork")
    ours, theirs = context.Pipe(duplex=False)
    child = context.Process(target=send_cost, args=(theirs, operation, place, turn))
    child.start()
    theirs.close()
    try:
        found: Cost = ours.recv()
    except EOFError as error:
        raise SystemExit(f"{operation.name} failed with {place.size:,} chunks") from error
    finally:
        child.join()
    return found


def send_cost(to: "Connection[Cost, Cost]", operation: Operation, place: Place, turn: int) -> None:
    """Measure in this process."""
    engine = place.assembly.status.engine
    sessions, statements = watched(engine)
    gc.set_threshold(10_000)  # as the command does
    Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
    cpu: list[float] = []
    calls = 1 if operation.once else CALLS[operation.growth] + 1
    for number in range(calls):
        if len(cpu) > 1 and sum(cpu) > ENOUGH:
            break
        before = cpu_seconds(sessions)
        statements.clear()
        operation.run(place, turn * calls + number)
        cpu.append(cpu_seconds(sessions) - before)
    to.send(Cost(statistics.median(cpu[1:] or cpu), len(statements), peak()))


def watched(engine: Engine) -> tuple[list[int], list[str]]:
    """Collect the processes of the server that work for an engine, and its statements."""
    sessions: list[int] = []
    statements: list[str] = []

    @event.listens_for(engine, "connect")
    def _(session: object, _1: object) -> None:
        if isinstance(session, Session):
            session.execute("SET max_parallel_workers_per_gather = 0")  # else other processes would work, too
            sessions.append(session.info.backend_pid)

    @event.listens_for(engine, "before_cursor_execute")
    def _(_1: object, _2: object, statement: str, *_3: object) -> None:
        statements.append(statement)

    return sessions, statements


def cpu_seconds(sessions: Sequence[int]) -> float:
    """Return the CPU seconds of this process and of the server's."""
    spent = (Path(f"/proc/{session}/schedstat").read_text().split()[0] for session in sessions)
    return time.process_time() + sum(map(int, spent)) / 1e9


def peak() -> float:
    """Return the peak memory of this process in MB."""
    text = Path(f"/proc/{os.getpid()}/status").read_text()
    return int(text.partition("VmHWM:")[2].split()[0]) / 1024


def exponent(sizes: Sequence[int], costs: Sequence[float]) -> float:
    """Return the slope of the least squares through the logarithms."""
    return statistics.linear_regression(list(map(math.log, sizes)), list(map(math.log, costs))).slope


def print_table(name: str, sizes: Sequence[int], found: dict[str, list[Cost]]) -> list[str]:
    """Print the costs of one database; return what misses its goal."""
    missed = []
    print(f"\n{name}, {os.cpu_count()} cores: ms of CPU by chunks; statements and MB with the most; exponents")
    head = "".join(f"{size:>11,}" for size in sizes)
    print(f"{'':38}{head}{'statements':>12}{'MB':>7}{'time':>8}{'memory':>8}")
    for operation in OPERATIONS:
        cpu, statements, memory = zip(*map(astuple, found[operation.name]), strict=True)
        measurable = sizes[: len(cpu)]
        grown, held = exponent(measurable, cpu), exponent(measurable, memory)
        marks = ("*" if grown > operation.growth.value else " ", "*" if held > MEMORY else " ")
        cells = "".join(f"{1000 * seconds:11.2f}" for seconds in cpu) + f"{'':11}" * (len(sizes) - len(cpu))
        print(
            f"{operation.name:38}{cells}{statements[-1]:12,.0f}{memory[-1]:7.0f}{grown:7.2f}{marks[0]}{held:7.2f}{marks[1]}",
            flush=True,
        )
        missed += [f"{operation.name} on {name}"] * (marks != (" ", " "))
    goals = ", ".join(f"{growth.value} for a {growth.name.lower()}" for growth in Growth)
    print(f"goals (* misses its goal): at most {goals} in time, {MEMORY} in memory")
    return missed


if __name__ == "__main__":
    main()
