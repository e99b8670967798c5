"""Random sequences of calls: the repositories in memory and in databases must behave like a simple model."""

import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from functools import cache
from itertools import pairwise, takewhile
from pathlib import Path

import databases
from attrs import define, evolve, field
from contract.status_repo import MAX_FAILURES, WRITES, Clock, result
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from servers.addresses import Postgres
from sqlalchemy import Engine, Float, bindparam

from pixcore.errors import ClaimLost, InvalidRequest, PixcoreError
from pixcore.model.chunks import Chunk, ChunkKey, ChunkRecord, ChunkResult, Claim, Phase, Progress, Status
from pixcore.model.claims import Busy, Claimed, Done, Exhausted, NotDue
from pixcore.model.overview import Overview
from pixcore.model.planned import Planned
from pixcore.model.requests import ChunkRequest, Slice
from pixcore.ports import StatusRepo
from pixcore_adapters.status_repo.database import engine_at
from pixcore_adapters.status_repo.memory import MemoryStatusRepo
from pixcore_adapters.status_repo.sql import SqlStatusRepo

Place = tuple[str, int]  # dataset and index; unlike ids, they are the same in every repository

PLACES: list[Place] = [("d", 0), ("d", 7), ("other", 0), ("", 1)]
QUEUES = ["", "celery", "rq"]
GONE = "the lease expired: the worker stopped renewing it"


@define
class Row:
    """The model's state of a chunk; times are of the test's clock."""

    request: ChunkRequest
    taken: list[int] = field(factory=list)
    status: Status = Status.PENDING
    phase: Phase = Phase.INIT
    attempt: int = 0
    failures: int = 0
    owner: str = ""
    until: float = 0
    claimed: float = 0
    due: float = 0
    cancel: bool = False
    progress: Progress = field(factory=Progress)
    result: ChunkResult | None = None
    error: str = ""
    queue: str = ""

    def end(self, status: Status, error: str, due: float = 0) -> None:
        """End the attempt."""
        self.status, self.error, self.due, self.owner = status, error, due, ""

    def expired_at(self, now: float) -> bool:
        """Return whether the lease has expired at this time."""
        return self.status is Status.PROCESSING and now >= self.until

    def due_at(self, now: float) -> bool:
        """Return whether the chunk is pending and due at this time."""
        return self.status is Status.PENDING and now >= self.due

    def vanish(self) -> None:
        """Count a failure for a lease that expired."""
        self.failures += 1
        if self.cancel:
            self.end(Status.FAILED, "cancelled")
        elif self.failures == MAX_FAILURES:
            self.end(Status.FAILED, f"gave up after {MAX_FAILURES} failures; the last one: {GONE}")
        else:
            self.end(Status.PENDING, GONE)

    def claim(self, key: ChunkKey, age: int = 0) -> Claim:
        """Return the last claim, or the one ``back`` attempts before."""
        return Claim(key, "whoever", self.attempt - age)

    def seen_at(self, now: float, id_: int) -> ChunkRecord:
        """Build the record that a repository returns if the chunk has this id there."""
        return ChunkRecord(
            chunk=Chunk(id_, self.request, slices_of(self.taken)),
            status=self.status,
            phase=self.phase,
            attempt=self.attempt,
            failures=self.failures,
            owner=self.owner,
            lease_left=self.until - now if self.status is Status.PROCESSING else 0,
            running=now - self.claimed if self.status is Status.PROCESSING else 0,
            due_in=max(0, self.due - now) if self.status is Status.PENDING else 0,
            cancel_requested=self.cancel,
            progress=self.progress,
            result=self.result,
            error=self.error,
            queue=self.queue,
        )


LIST = Slice("urls", "list", 0, 60, "lists/a")  # every dataset has a list of its own under this name


def slices_of(positions: list[int]) -> tuple[Slice, ...]:
    """Build the slices of positions in the list. Only positions that follow each other are joined."""
    begins = [n for before, n in pairwise([-2, *positions]) if before + 1 != n]
    ends = [n + 1 for n, after in pairwise([*positions, -2]) if n + 1 != after]
    return tuple(evolve(LIST, start=begin, stop=end) for begin, end in zip(begins, ends, strict=True))


def chunk_request(place: Place, keyword: str = "cat") -> ChunkRequest:
    """Build the request of a chunk."""
    dataset, index = place
    return ChunkRequest(index, keyword, 500, (Slice("bing", "cat", index, index + 1),), dataset, lists=[LIST])


@cache
def empty_database() -> bytes:
    """Create the schema once; each example starts with a copy."""
    with tempfile.TemporaryDirectory() as folder:
        with databases.sqlite(Path(folder)):
            pass
        return Path(folder, "status.db").read_bytes()


@contextmanager
def copied_file() -> Iterator[Engine]:
    """Return an empty database in a file."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "status.db")
        file.write_bytes(empty_database())
        with databases.closing_connections(engine_at(f"sqlite:///{file}")) as engine:
            yield engine


def among(*wanted: Status) -> st.SearchStrategy[Place]:
    """Draw a chunk in one of these statuses, or any chunk if there is none."""
    return st.runner().flatmap(lambda machine: st.sampled_from(machine.having(*wanted) or sorted(machine.rows)))


some_run = precondition(lambda machine: machine.having(Status.PROCESSING))
running = among(Status.PROCESSING)
finished = among(Status.COMPLETED, Status.FAILED)
anything = among(*Status)

OWNERS = st.sampled_from(["ann", "bob", "cy"])
TTLS = st.sampled_from([10, 60])
SOME_PROGRESS = st.builds(
    Progress,
    st.integers(0, 9),
    st.dictionaries(st.sampled_from(["seen", "damaged"]), st.just(1)),
    lost=st.dictionaries(st.just("gone"), st.sampled_from(["3", "0-7,9"])),
)


class StatusMachine(RuleBasedStateMachine):
    """Call both repositories and the model in the same way, and compare all answers and records."""

    def __init__(self, database: Callable[[], AbstractContextManager[Engine]]) -> None:
        super().__init__()
        self.clock = Clock()
        self.rows: dict[Place, Row] = {}
        self.open = ExitStack()
        engine = self.open.enter_context(database())
        now = bindparam("now", callable_=self.clock, type_=Float)
        self.repos: list[tuple[StatusRepo, dict[Place, int]]] = [
            (MemoryStatusRepo(self.clock, MAX_FAILURES), {}),
            (SqlStatusRepo(engine, MAX_FAILURES, now), {}),
        ]

    def teardown(self) -> None:
        """Close the database."""
        self.open.close()

    def check(self, place: Place, call: Callable[[StatusRepo, ChunkKey], object], expected: object) -> None:
        """Call each repository and compare the answer, or the class of the exception."""
        for repo, ids in self.repos:
            answer: object
            try:
                answer = call(repo, ChunkKey(place[0], ids[place]))
            except PixcoreError as error:
                answer = type(error)
            if isinstance(answer, Claimed):
                assert answer.claim.chunk.id == answer.chunk.id == ids[place]
                answer = (answer.claim.attempt, answer.claim.owner, answer.chunk.request, answer.failures)
            assert answer == expected, f"{type(repo).__name__}: {answer}, where the model says {expected}"

    @initialize()
    def start(self) -> None:
        """Create some chunks."""
        self.ensure(PLACES[:1], None)

    @rule(places=st.lists(st.sampled_from(PLACES), max_size=4), clash=st.none() | anything)
    def ensure(self, places: list[Place], clash: Place | None) -> None:
        """Create chunks, or none if one exists with another request."""
        requests = [chunk_request(place) for place in places]
        if clash:
            for repo, _ in self.repos:
                try:
                    repo.ensure([*requests, chunk_request(clash, "dog")])
                except InvalidRequest:
                    continue
                raise AssertionError(f"{type(repo).__name__} took another request for {clash}")
            return
        for repo, ids in self.repos:
            chunks = repo.ensure(requests)
            assert [chunk.request for chunk in chunks] == requests
            for place, chunk in zip(places, chunks, strict=True):
                assert ids.setdefault(place, chunk.id) == chunk.id
            allocated = [id_ for (dataset, _), id_ in ids.items() if dataset]
            assert len(set(allocated)) == len(allocated)
            assert all(id_ == index for (dataset, index), id_ in ids.items() if not dataset)
        for place in places:
            self.rows.setdefault(place, Row(chunk_request(place)))

    @rule(seconds=st.sampled_from([1, 5, 10, 30, 100]))
    def time_passes(self, seconds: int) -> None:
        """Advance the clock, so that leases expire and waits end."""
        self.clock.advance(seconds)

    @rule(place=anything | among(Status.PENDING), owner=OWNERS, ttl=TTLS)
    def claim(self, place: Place, owner: str, ttl: int) -> None:
        """Claim a chunk."""
        row, now = self.rows[place], self.clock.now
        before = evolve(row)
        if row.expired_at(now):
            row.vanish()
        if row.due_at(now):
            row.status, row.phase, row.error = Status.PROCESSING, Phase.INIT, ""
            row.progress = Progress(lost=row.progress.lost)
            row.attempt, row.owner, row.until = row.attempt + 1, owner, now + ttl
            row.claimed = now
        expected: object = (row.attempt, owner, row.request, row.failures)
        if row.attempt == before.attempt:
            expected = {
                Status.PENDING: NotDue(row.due - now),
                Status.PROCESSING: Busy(row.until - now),
                Status.FAILED: Exhausted(row.error),
                Status.COMPLETED: row.result and Done(row.result),
            }[row.status]
        self.check(place, lambda repo, key: repo.claim(key, owner, ttl), expected)

    @some_run
    @rule(place=running, wanted=st.integers(1, 20), known=st.booleans())
    def take(self, place: Place, wanted: int, known: bool) -> None:
        """Take the first free candidates of the list; none for a worker that does not know what its chunk has."""
        row = self.rows[place]
        owned = 1 + len(row.taken) - (not known and bool(row.taken))
        if owned == 1 + len(row.taken):
            claimed = {n for (of, _), other in self.rows.items() if of == place[0] for n in other.taken}
            first = next((n for n in range(len(LIST)) if n not in claimed), len(LIST))
            row.taken += takewhile(lambda n: n not in claimed, range(first, min(first + wanted, len(LIST))))
        expected = (row.request, slices_of(row.taken))

        def answer(repo: StatusRepo, key: ChunkKey) -> object:
            chunk = repo.take(row.claim(key), wanted, owned=owned)
            assert chunk == repo.get(key).chunk
            return chunk.request, chunk.taken

        self.check(place, answer, expected)

    @some_run
    @rule(place=running, keep=st.integers(0, 20))
    def give_back(self, place: Place, keep: int) -> None:
        """Give taken candidates back; the one of the request stays."""
        row = self.rows[place]
        row.taken = row.taken[: max(keep - 1, 0)]
        self.check(
            place,
            lambda repo, key: repo.give_back(row.claim(key), keep).slices,
            (*row.request.slices, *slices_of(row.taken)),
        )

    @some_run
    @rule(place=running, ttl=TTLS, progress=SOME_PROGRESS)
    def renew(self, place: Place, ttl: int, progress: Progress) -> None:
        """Renew a claim, even one whose lease has expired if no other worker claimed the chunk."""
        row = self.rows[place]
        row.until, row.progress = self.clock.now + ttl, progress
        self.check(place, lambda repo, key: repo.renew(row.claim(key), ttl, progress), row.cancel)

    @some_run
    @rule(place=running, phase=st.sampled_from(Phase), progress=SOME_PROGRESS)
    def advance(self, place: Place, phase: Phase, progress: Progress) -> None:
        """Advance the phase."""
        row = self.rows[place]
        row.phase, row.progress = phase, progress
        self.check(place, lambda repo, key: repo.advance(row.claim(key), phase, progress), None)

    @some_run
    @rule(place=running, accepted=st.integers(1, 9))
    def complete(self, place: Place, accepted: int) -> None:
        """Complete the chunk."""
        row = self.rows[place]
        done = result(row.attempt, accepted)
        row.end(Status.COMPLETED, row.error)
        row.phase, row.progress, row.result = Phase.COMPLETE, done.progress, done
        self.check(place, lambda repo, key: repo.complete(row.claim(key), done), None)

    @some_run
    @rule(place=running, retry_in=st.sampled_from([0, 5, 50, None]))
    def fail(self, place: Place, retry_in: int | None) -> None:
        """Fail the attempt, with or without a retry."""
        row = self.rows[place]
        row.failures += 1
        if retry_in is None or row.failures == MAX_FAILURES:
            row.end(Status.FAILED, "oh")
        elif row.cancel:
            row.end(Status.FAILED, "cancelled")
        else:
            row.end(Status.PENDING, "oh", self.clock.now + retry_in)
        self.check(place, lambda repo, key: repo.fail(row.claim(key), "oh", retry_in=retry_in), row.status)

    @some_run
    @rule(place=running)
    def release(self, place: Place) -> None:
        """Release the claim."""
        row = self.rows[place]
        row.end(*((Status.FAILED, "cancelled") if row.cancel else (Status.PENDING, row.error)))
        self.check(place, lambda repo, key: repo.release(row.claim(key)), None)

    @rule(place=anything | running)
    def free(self, place: Place) -> None:
        """Free a claim whose lease has expired."""
        row = self.rows[place]
        if row.expired_at(self.clock.now):
            row.vanish()
        self.check(place, lambda repo, key: repo.free(key), row.status)

    @rule(places=st.sets(st.sampled_from(PLACES)), queue=st.sampled_from(QUEUES))
    def assign(self, places: set[Place], queue: str) -> None:
        """Assign some chunks to a queue, or none if one is unknown."""
        known = places <= self.rows.keys()
        for repo, ids in self.repos:
            try:
                repo.assign([ChunkKey(place[0], ids.get(place, 99)) for place in places], queue)
                assert known, f"{type(repo).__name__} assigned an unknown chunk"
            except InvalidRequest:
                assert not known, f"{type(repo).__name__} does not know its chunks"
        for place in places if known else ():
            self.rows[place].queue = queue

    @rule(place=anything, age=st.integers(-1, 2), name=st.sampled_from(sorted(WRITES)))
    def come_too_late(self, place: Place, age: int, name: str) -> None:
        """Write with a claim that is not held: an older one, a made-up one, or one that has ended."""
        row = self.rows[place]
        if age or row.status is not Status.PROCESSING:
            again = name == "complete" and row.status is Status.COMPLETED and not age
            self.check(place, lambda repo, key: WRITES[name](repo, row.claim(key, age)), None if again else ClaimLost)

    @rule(place=anything | finished)
    def reopen(self, place: Place) -> None:
        """Reopen a finished chunk."""
        row = self.rows[place]
        finished = row.status in (Status.FAILED, Status.COMPLETED)
        if finished:
            row.status, row.failures, row.cancel, row.due = Status.PENDING, 0, False, 0
        self.check(place, lambda repo, key: repo.reopen(key), finished)

    @rule(dataset=st.sampled_from(["d", "other", ""]))
    def cancel(self, dataset: str) -> None:
        """Cancel a dataset."""
        cancelled = 0
        for (of, _), row in self.rows.items():
            if of == dataset and row.status in (Status.PENDING, Status.PROCESSING):
                cancelled += 1
                row.cancel = True
                if row.status is Status.PENDING:
                    row.end(Status.FAILED, "cancelled")
        assert [repo.cancel(dataset) for repo, _ in self.repos] == [cancelled] * len(self.repos)

    @rule(queue=st.sampled_from(QUEUES))
    def find_overdue(self, queue: str) -> None:
        """List exactly the chunks that a claim would take, in order."""
        now = self.clock.now
        of_queue = [(place, row) for place, row in sorted(self.rows.items()) if row.queue == queue]
        expired = [place for place, row in of_queue if row.expired_at(now)]
        due = [place for place, row in of_queue if row.due_at(now)]
        for repo, _ in self.repos:
            requests = [record.chunk.request for record in repo.overdue(queue)]
            assert [(r.dataset, r.index) for r in requests] == [*expired, *due], type(repo).__name__

    @rule(dataset=st.sampled_from(["d", "other", "", None]))
    def look_over(self, dataset: str | None) -> None:
        """Compare the overview with the records."""
        now = self.clock.now
        rows = [row for (of, _), row in self.rows.items() if dataset in (None, of)]
        live = [row for row in rows if row.status is Status.PROCESSING and now < row.until]
        errors = [row.error.replace("3", "N") for row in rows if row.status in (Status.PENDING, Status.FAILED)]
        expected = Overview(
            phases={
                status: Counter(row.phase for row in rows if row.status is status)
                for status in {row.status for row in rows}
            },
            accepted=sum(row.progress.accepted for row in rows),
            workers=len({row.owner for row in live}),
            expired=sum(row.expired_at(now) for row in rows),
            oldest=max((now - row.claimed for row in live), default=0),
            errors=Counter(error for error in errors if error),
            attempts=sum(row.attempt for row in rows),
        )
        assert [repo.overview(dataset) for repo, _ in self.repos] == [expected] * len(self.repos)

    @rule(dataset=st.sampled_from(["d", "other", ""]), known=st.integers(0, 8))
    def plan_on(self, dataset: str, known: int) -> None:
        """Compare what the next plan and the next card need with the records."""
        requests = [row.request for (of, _), row in sorted(self.rows.items()) if of == dataset]
        for repo, ids in self.repos:
            assert repo.planned(dataset, "cat") == Planned().with_chunks(requests)
            newer = sorted(id_ for (of, _), id_ in ids.items() if of == dataset and id_ > known)
            assert [record.chunk.id for record in repo.newer(dataset, known)] == newer
            for index in (0, 1, 7):
                record = repo.numbered(dataset, index)
                assert (record and record.chunk.id) == ids.get((dataset, index))

    def having(self, *wanted: Status) -> list[Place]:
        """Return the chunks in these statuses."""
        return sorted(place for place, row in self.rows.items() if row.status in wanted)

    @invariant()
    def records_are_as_the_model_says(self) -> None:
        """Every record is right after every call, so a rejected call has changed nothing."""
        for repo, ids in self.repos:
            for dataset in ("d", "other", ""):
                expected = [
                    row.seen_at(self.clock.now, ids[place])
                    for place, row in sorted(self.rows.items())
                    if place[0] == dataset
                ]
                assert list(repo.find(dataset)) == expected, type(repo).__name__

    @invariant()
    def no_two_chunks_of_a_dataset_share_a_position(self) -> None:
        """Every position of a list belongs to at most one chunk, whatever was claimed, lost or taken.

        The records are compared with these rows after every call, so the rows stand for them.
        """
        for dataset in ("d", "other", ""):
            taken = [slice_ for (of, _), row in self.rows.items() if of == dataset for slice_ in slices_of(row.taken)]
            positions = [position for slice_ in taken for position in range(slice_.start, slice_.stop)]
            assert len(positions) == len(set(positions))

    @invariant()
    def budgets_hold(self) -> None:
        """No chunk has more failures than allowed, and none with a spent budget is retried."""
        for row in self.rows.values():
            assert row.failures <= MAX_FAILURES
            assert row.failures < MAX_FAILURES or row.status in (Status.FAILED, Status.COMPLETED)


def test_sqlite_behaves_like_the_model() -> None:
    """SQLite in a file and the repository in memory must both give the model's answers."""
    options = settings(max_examples=80, stateful_step_count=50, deadline=None)
    run_state_machine_as_test(lambda: StatusMachine(copied_file), settings=options)


def test_postgres_behaves_like_the_model(postgres: Postgres) -> None:
    """PostgreSQL must give the model's answers; fewer examples, because every call is a round trip."""
    options = settings(max_examples=25, stateful_step_count=50, deadline=None)
    run_state_machine_as_test(lambda: StatusMachine(lambda: databases.postgres(postgres)), settings=options)
