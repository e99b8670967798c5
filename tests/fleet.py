"""A fleet for tests: workers and a reaper started as users start them, a site with pictures, and ways to kill.

The product has no code for it. A test holds a chunk at a phase by its surroundings: a picture that the site does not
serve yet (``hold``), or the lock of the local store (``uploads_held``).
"""

import asyncio
import fcntl
import hashlib
import os
import signal
import subprocess
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from attrs import define, field
from command import PROGRAM, at_home, ended, jpeg, pixcore
from hostile import Answer, Client, Site, picture
from tenacity import RetryError, Retrying, retry_if_result, stop_after_delay, wait_fixed

from pixcore import BlobStore, ChunkKey, ChunkRecord, Status, StatusRepo
from pixcore.chunk.workspace import sweep
from pixcore_runners.assembly.assembly import Assembly, assemble
from pixcore_runners.queueing.runner import Runner, open_runner
from pixcore_runners.settings import load_here

TTL = 3.0  # seconds of a lease in these tests
# Pictures of a chunk: as many as are decoded ahead of the first verdict, and two; without these it waits in `validate`.
SIZE = 2 * (os.cpu_count() or 1) + 2
RECOVERY = TTL + 30.0  # seconds within which a chunk of a killed worker must run again
SETTLED = (Status.COMPLETED, Status.FAILED)

# The blobs of a finished dataset and of its store besides its archives.
BESIDE = {"lists", "outcomes", "previews", "rejected"}
CARD = ("README.md", "croissant.json", "pixcore-store.json")

Records = list[ChunkRecord]


@define(eq=False)
class Program:
    """A started command, ``pixcore`` by default, with all the processes that it starts.

    Its output goes to a file. Its processes are found by their TMPDIR, which no other program has, so that a process is
    found even if its parent changes.
    """

    folder: Path
    words: tuple[object, ...]
    command: tuple[str, ...] = PROGRAM
    environ: Mapping[str, str] = field(factory=dict[str, str])
    process: "subprocess.Popen[str]" = field(init=False)

    def __attrs_post_init__(self) -> None:
        self.folder.mkdir(parents=True)
        with self._log.open("w") as log:
            self.process = subprocess.Popen(
                [*self.command, *map(str, self.words)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                text=True,
                env={**os.environ, **self.environ, "TMPDIR": str(self.folder)},
            )

    @property
    def pids(self) -> list[int]:
        """Return all of its running processes."""
        mark = f"TMPDIR={self.folder}".encode()
        return [pid for pid in _alive() if mark in _read(pid, "environ").split(b"\0")]

    @property
    def children(self) -> list[int]:
        """Return those of its processes that work on a chunk: they have a work directory open."""
        return [pid for pid in self.pids if any("/chunk-" in each and each.endswith("/.lock") for each in _files(pid))]

    @property
    def output(self) -> str:
        """All of its output so far."""
        return self._log.read_text(errors="replace")

    @property
    def alive(self) -> bool:
        """Whether the started process is running."""
        return self.process.poll() is None

    def terminate(self) -> None:
        """Send SIGTERM to the started process, as a supervisor does."""
        self.process.terminate()

    def kill(self) -> None:
        """Kill every process of it with SIGKILL, as if the machine had lost power."""
        while pids := self.pids:
            kill(*pids)
            self.process.poll()
        self.process.wait(10)

    def code(self, within: float = 30) -> int:
        """Wait for its end and return its exit code."""
        try:
            return ended(self.process, within).code
        except subprocess.TimeoutExpired:
            raise AssertionError(
                f"{self} has not ended within {within:g} s; its output:\n{self.output[-4000:]}"
            ) from None

    def __str__(self) -> str:
        return f"`{' '.join(map(str, self.words))}` ({self.folder.name})"

    @property
    def _log(self) -> Path:
        return self.folder / "output"


@define(eq=False)
class Fleet:
    """Workers of one runner, with one status database, one store and one site; they end with the block of ``fleet``.

    Each chunk wants ``size`` pictures. The site does not serve the paths in ``held`` yet. A program in ``supervised``
    that ends is started again whenever the test waits.
    """

    runner: str
    folder: Path
    site: Site
    size: int = SIZE
    held: set[str] = field(factory=set)
    programs: list[Program] = field(factory=list)
    supervised: list[Program] = field(factory=list)
    _house: Assembly | None = None

    @property
    def assembly(self) -> Assembly:
        """The status database and the store, as opened by this test."""
        if self._house is None:
            self._house = assemble(load_here().settings, create=True)
        return self._house

    @property
    def status(self) -> StatusRepo:
        """The status repository."""
        return self.assembly.status

    @property
    def store(self) -> BlobStore:
        """The blob store."""
        return self.assembly.store

    @property
    def queue(self) -> Runner:
        """The runner's queue."""
        return open_runner(self.runner, load_here().settings)

    def pictures(self, index: int, dataset: str = "cats") -> list[str]:
        """Return the paths of a chunk's pictures on the site, in order."""
        return [f"/{dataset}/{number}.jpg" for number in range(index * self.size, (index + 1) * self.size)]

    def listed(self, chunks: int, dataset: str = "cats") -> tuple[str, ...]:
        """Write a list of the chunks' pictures, and add missing ones to the site; return the options of the command."""
        paths = [path for index in range(chunks) for path in self.pictures(index, dataset)]
        for number, path in enumerate(paths):
            self.site.routes.setdefault(path, self._picture(number, path))
        file = self.folder / f"{dataset}.txt"
        file.write_text("".join(f"{self.site.url(path)}\n" for path in paths))
        return ("--source", f"urls:{file}", "--chunk-size", str(self.size), "--dataset", dataset)

    def submit(self, chunks: int, dataset: str = "cats") -> int:
        """Plan and enqueue a dataset of ``chunks`` chunks; return how many were enqueued."""
        ran = pixcore("submit", *self.listed(chunks, dataset), "--runner", self.runner, "--json")
        assert ran.code == 0, ran.err
        enqueued: int = ran.document["enqueued"]
        return enqueued

    def start(
        self, *words: object, command: tuple[str, ...] = PROGRAM, environ: Mapping[str, str] | None = None
    ) -> Program:
        """Start a command with these further environment variables."""
        folder = self.folder / "tmp" / f"{len(self.programs)}-{words[0]}"
        program = Program(folder, words, command, environ or {})
        self.programs.append(program)
        return program

    def worker(self, workers: int = 1, **environ: str) -> Program:
        """Start a worker with this number of processes and these further environment variables."""
        return self.start("worker", self.runner, "--workers", workers, environ=environ)

    def reaper(self, every: float = 1) -> Program:
        """Start a reaper."""
        return self.start("reap", "--every", every)

    def supervise(self) -> None:
        """Restart the supervised programs that have ended."""
        for place, program in enumerate(self.supervised):
            if not program.alive:
                self.supervised[place] = self.start(*program.words, command=program.command, environ=program.environ)

    def records(self, dataset: str = "cats") -> Records:
        """Return the chunks in order of their index."""
        return list(self.status.find(dataset))

    def until(self, true: Callable[[Records], object], within: float = 60, dataset: str = "cats") -> Records:
        """Wait until the condition holds for the chunks, and return them."""
        seen: Records = []

        def look() -> bool:
            self.supervise()
            seen[:] = self.records(dataset)
            return bool(true(seen))

        try:
            await_true(look, within)
        except AssertionError:
            summary = "\n".join(state(record) for record in seen)
            raise AssertionError(f"not within {within:g} s; the chunks are\n{summary}") from None
        return seen

    def until_settled(self, within: float = 60, dataset: str = "cats") -> Records:
        """Wait until every chunk is completed or failed."""
        return self.until(lambda chunks: chunks and all(each.status in SETTLED for each in chunks), within, dataset)

    def until_running(
        self, phase: str, index: int = 0, *, attempt: int = 1, within: float = 60, dataset: str = "cats"
    ) -> ChunkRecord:
        """Wait until a chunk is in this phase of this attempt, or of a later one."""

        def in_phase(chunks: Records) -> bool:
            return any(
                (each.status, each.phase) == (Status.PROCESSING, phase) and each.attempt >= attempt
                for each in chunks[index : index + 1]
            )

        return self.until(in_phase, within, dataset)[index]

    def until_renewed(self, dataset: str = "cats") -> None:
        """Wait until the claim of every running chunk has been renewed, so that its worker has seen any request.

        Renewals are a third of ``TTL`` apart.
        """
        before = {each.chunk.key: each.lease_left for each in self.records(dataset) if each.status is Status.PROCESSING}

        def renewed(chunks: Records) -> bool:
            for each in chunks:
                if each.status is not Status.PROCESSING or each.lease_left > before.get(each.chunk.key, TTL):
                    before.pop(each.chunk.key, None)
                else:
                    before[each.chunk.key] = each.lease_left
            return not before

        self.until(renewed, dataset=dataset)

    def hold(self, index: int = 0, place: int = 0, dataset: str = "cats") -> None:
        """Hold a picture. Without the first, its chunk waits in ``download``; without the last, in ``validate``."""
        self.held.add(self.pictures(index, dataset)[place])

    @contextmanager
    def held_back(self, index: int, place: int) -> Iterator[None]:
        """Hold a picture until the block ends."""
        self.hold(index, place)
        yield
        self.hand_out(index, place)

    def hand_out(self, index: int = 0, place: int = 0, dataset: str = "cats") -> None:
        """Serve a held picture."""
        self.held.discard(self.pictures(index, dataset)[place])

    def cancel(self, dataset: str = "cats") -> None:
        """Cancel a dataset, as its user does."""
        ran = pixcore("cancel", dataset)
        assert ran.code == 0, ran.err

    @contextmanager
    def uploads_held(self) -> Iterator[None]:
        """Block writes to the local store until the block ends: packed chunks wait in ``upload``.

        A worker writes to the store before its first chunk. So wait until the first chunk, whose first picture the
        test has held, is downloaded, and then serve that picture.
        """
        self.until_running("download")
        root = Path(urlsplit(load_here().settings.store).path)
        with (root / ".pixcore" / "lock").open("ab") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            self.hand_out()
            yield

    def disconnect(self) -> None:
        """Close the test's own connections."""
        self._house = None

    def end(self) -> None:
        """End all programs; kill those that do not end in time, and fail."""
        for program in self.programs:
            if program.alive:
                program.terminate()
        late = []
        for program in self.programs:
            try:
                program.code()
            except AssertionError as error:
                late.append(str(error))
        orphans = {str(program): left for program in self.programs if (left := _left(program))}
        self.kill()
        assert not late, "\n".join(late)
        assert not orphans, f"processes outlived their program: {orphans}"

    def kill(self) -> None:
        """Kill all programs that still run."""
        for program in self.programs:
            program.kill()

    def _picture(self, number: int, path: str) -> Answer:
        async def answer(client: Client) -> bool:
            while path in self.held:  # noqa: ASYNC110 - an Event could not be set from the other thread
                await asyncio.sleep(0.01)
            return await picture(jpeg(number))(client)

        return answer


@contextmanager
def fleet(runner: str, folder: Path, **settings: object) -> Iterator[Fleet]:
    """Yield a fleet with its own folder and these settings; end all that it starts with the block.

    Status and store are local unless the settings say otherwise. Names in capitals are environment variables, such as
    ``PGPASSWORD``.
    """
    usual = {
        "status": f"sqlite:///{folder}/status.db",
        "store": f"file://{folder}/blobs",
        "lease_ttl": TTL,
        "fetch_seconds": 300,  # a picture that a test holds must not become a miss
    }
    with ExitStack() as stack:
        site = stack.enter_context(Site())
        patched = stack.enter_context(pytest.MonkeyPatch.context())
        at_home(folder, patched)
        for name, value in {**usual, "private_hosts": site.host, **settings}.items():
            patched.setenv(name if name.isupper() else f"PIXCORE_{name.upper()}", str(value))
        made = Fleet(runner, folder, site)
        try:
            yield made
        finally:
            made.kill()
            for program in made.programs:  # pytest shows it with the failure
                print(f"--- output of {program}\n{program.output[-6000:]}")  # noqa: T201 - for pytest to capture


def everything_holds(fleet: Fleet, *, killed: bool = False) -> None:
    """End the fleet, and check that no chunk or file is lost, duplicated, stuck or left behind.

    After SIGKILL, one later start first removes what only a later start can remove.
    """
    fleet.end()
    expected = [key for dataset in fleet.status.summary() for key in intact(fleet, dataset)]
    stored = [
        blob.key
        for blob in fleet.store.list()
        if BESIDE.isdisjoint(blob.key.split("/")) and Path(blob.key).name not in CARD
    ]
    assert sorted(stored) == sorted(expected), f"blobs {sorted(stored)}, recorded {sorted(expected)}"
    work = load_here().settings.work
    if killed:
        sweep(work)
    assert list(work.glob("*")) == []
    assert list((fleet.folder / "blobs" / ".pixcore" / "tmp").glob("*")) == []


def intact(fleet: Fleet, dataset: str) -> list[str]:
    """Check that each chunk failed with a reason or has its blob as recorded; return the keys of the blobs."""
    found = []
    for record in fleet.records(dataset):
        summary = state(record)
        assert record.status in SETTLED, summary
        assert (record.status is Status.FAILED) == bool(record.error), summary
        assert (record.status is Status.COMPLETED) == (record.result is not None), summary
        if record.result:
            found.append(record.chunk.key.blob_key(".zip"))
            with fleet.store.open(found[-1]) as blob:
                assert hashlib.file_digest(blob, "sha256").hexdigest() == record.result.sha256, summary
    return found


def keys(records: Sequence[ChunkRecord]) -> list[ChunkKey]:
    """Return the keys of the chunks."""
    return [record.chunk.key for record in records]


def await_true(true: Callable[[], object], within: float = 30) -> None:
    """Wait until a condition in another process holds."""
    waiting = Retrying(
        retry=retry_if_result(lambda come: not come), wait=wait_fixed(0.05), stop=stop_after_delay(within)
    )
    try:
        waiting(true)
    except RetryError:
        raise AssertionError(f"the condition does not hold within {within:g} s") from None


def kill(*pids: int, number: signal.Signals = signal.SIGKILL) -> None:
    """Send a signal to those of the processes that still run."""
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, number)


def state(record: ChunkRecord) -> str:
    """Describe a chunk in one line."""
    lease = f", lease left {record.lease_left:.1f} s" if record.status is Status.PROCESSING else ""
    due = f", due in {record.due_in:.1f} s" if record.due_in else ""
    tries = f"attempt {record.attempt}, {record.failures} failures"
    return f"{record.chunk.key}: {record.status} in {record.phase}, {tries}{lease}{due}: {record.error}"


def _left(program: Program) -> list[int]:
    """Return the remaining processes of a program that has ended; its decoders end a moment later."""
    with suppress(AssertionError):
        await_true(lambda: not program.pids, 5)
    return program.pids


def _alive() -> Collection[int]:
    return [int(each.name) for each in Path("/proc").iterdir() if each.name.isdigit()]


def _read(pid: int, name: str) -> bytes:
    try:
        return Path(f"/proc/{pid}/{name}").read_bytes()
    except OSError:  # it has ended meanwhile, or belongs to another user
        return b""


def _files(pid: int) -> list[str]:
    found = []
    with suppress(OSError):
        for link in Path(f"/proc/{pid}/fd").iterdir():
            with suppress(OSError):
                found.append(str(link.readlink()))
    return found
