"""The contract of every status repository: tests of the promises in ``pixcore.ports.status_repo``."""

import sys
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import pairwise
from threading import Barrier
from uuid import UUID

import pytest
from attrs import define, evolve

from pixcore.errors import ClaimLost, Fault, InvalidRequest, PlanOutdated, TransientError
from pixcore.model.chunks import Chunk, ChunkKey, ChunkResult, Claim, Phase, Priority, Progress, Status
from pixcore.model.claims import Busy, Claimed, Done, Elsewhere, Exhausted, NotDue
from pixcore.model.images import RejectReason
from pixcore.model.overview import Overview, RestingWorker
from pixcore.model.planned import Planned
from pixcore.model.positions import Allocation
from pixcore.model.quality import Quality
from pixcore.model.requests import ChunkRequest, Slice
from pixcore.ports import StatusRepo

TTL = 60.0
MAX_FAILURES = 3


@define
class Clock:
    """A clock that the test advances, in whole seconds so that sums are exact."""

    now: float = 1_700_000_000.0

    def __call__(self) -> float:
        """Return the time in seconds."""
        return self.now

    def advance(self, seconds: float) -> None:
        """Advance the clock."""
        self.now += seconds


def request(index: int = 0, dataset: str = "d", keyword: str = "cat") -> ChunkRequest:
    """Build the request of a chunk."""
    return ChunkRequest(index, keyword, 500, (Slice("urls", "list", index * 500, index * 500 + 500),), dataset)


def result(attempt: int, accepted: int = 500) -> ChunkResult:
    """Build the result of a completed chunk."""
    progress = Progress(accepted, {RejectReason.DAMAGED: 2}, {"gone": 1})
    seconds = {Phase.DOWNLOAD: 1.25, Phase.UPLOAD: 0.5}
    return ChunkResult(f"file:///b/{attempt}.zip", "0" * 64, 4096, 500, attempt, progress, seconds)


def create_chunks(repo: StatusRepo, count: int = 1, dataset: str = "d") -> list[ChunkKey]:
    """Create the first chunks of a dataset."""
    return [chunk.key for chunk in repo.ensure([request(index, dataset) for index in range(count)])]


def claim_chunk(repo: StatusRepo, key: ChunkKey, owner: str = "me", ttl: float = TTL) -> Claim:
    """Claim a chunk that can be claimed."""
    answer = repo.claim(key, owner, ttl)
    assert isinstance(answer, Claimed), answer
    return answer.claim


def part(start: int, stop: int) -> Slice:
    """Build a slice of a list."""
    return Slice("urls", "list", start, stop, "lists/a")


MADE = Slice("bing", "cat", 0, 5)  # of a search, which has no listing


def listed(index: int, start: int, end: int, stop: int = 40) -> ChunkRequest:
    """Build the request of a chunk with the positions [start, end) of a list of ``stop`` entries."""
    return ChunkRequest(index, "cat", 5, [part(start, end)], "d", lists=[part(0, stop)])


def claims(repo: StatusRepo, *requests: ChunkRequest) -> list[Claim]:
    """Create chunks and claim them."""
    return [claim_chunk(repo, chunk.key) for chunk in repo.ensure(requests)]


WRITES: dict[str, Callable[[StatusRepo, Claim], object]] = {
    "renew": lambda repo, claim: repo.renew(claim, 1000, Progress(9)),
    "advance": lambda repo, claim: repo.advance(claim, Phase.UPLOAD, Progress(9)),
    "complete": lambda repo, claim: repo.complete(claim, result(claim.attempt)),
    "fail": lambda repo, claim: repo.fail(claim, "late", retry_in=None),
    "retry": lambda repo, claim: repo.fail(claim, "late", retry_in=5),
    "release": lambda repo, claim: repo.release(claim),
    "abandon": lambda repo, claim: repo.abandon(claim, "late"),
    "take": lambda repo, claim: repo.take(claim, 5, owned=500),
    "give_back": lambda repo, claim: repo.give_back(claim, 500),
}
each_write = pytest.mark.parametrize("write", WRITES.values(), ids=list(WRITES))


@contextmanager
def eager_threads(count: int) -> Iterator[Barrier]:
    """Give a barrier for ``count`` threads. Once they have met, they switch often, so that a missing lock shows.

    The interval is short only then: on Python 3.11 coverage cannot trace a thread that starts while another one starts.
    """
    usual = sys.getswitchinterval()
    try:
        yield Barrier(count, lambda: sys.setswitchinterval(1e-6))
    finally:
        sys.setswitchinterval(usual)


class Ensure:
    """Creation of chunks."""

    def test_a_datasets_chunks_get_ids_that_stay(self, repo: StatusRepo) -> None:
        """Planning again returns the same chunks in the requested order, and adds the new ones."""
        first = repo.ensure([request(1), request(0)])
        assert [chunk.request for chunk in first] == [request(1), request(0)]
        again = repo.ensure([request(2), request(0), request(1)])
        assert [chunk.request.index for chunk in again] == [2, 0, 1]
        assert list(again[1:]) == [first[1], first[0]]

    def test_ids_are_unique_among_all_datasets(self, repo: StatusRepo) -> None:
        """A queue that carries only the id can tell chunks of different datasets apart."""
        keys = (
            create_chunks(repo, 3, "a")
            + create_chunks(repo, 3, "b")
            + [c.key for c in repo.ensure([request(7, "a"), request(7, "b")])]
        )
        assert len({key.id for key in keys}) == len(keys)

    def test_without_a_dataset_the_id_is_the_index(self, repo: StatusRepo) -> None:
        """Chunks that callers number are in a separate namespace, which the ids of datasets do not use."""
        (first,) = create_chunks(repo, 1, "a")
        (own,) = repo.ensure([request(first.id, "", "dog")])
        assert own.key == ChunkKey("", first.id)
        assert repo.get(first).chunk.request.keyword == "cat"
        assert repo.get(own.key).chunk.request.keyword == "dog"

    def test_a_request_comes_back_as_it_was(self, repo: StatusRepo) -> None:
        """Storing loses or changes no field, whatever script the text uses."""
        slices = [Slice("folder", "caf\u00e9 \udcff\n'\"", 0, 7), Slice("bing", "猫", 5, 9, "plans/1.json")]
        requested = ChunkRequest(3, "猫 😀", 12, slices, "Дача", "a label")
        (chunk,) = repo.ensure([requested])
        assert chunk == Chunk(chunk.id, requested) == repo.get(chunk.key).chunk

    @pytest.mark.parametrize("dataset", ["d", ""])
    def test_another_request_under_the_same_index_is_refused(self, repo: StatusRepo, dataset: str) -> None:
        """The message names the chunk as ``pixcore status`` does, and the differences. No chunk is created."""
        (chunk,) = repo.ensure([request(5, dataset)])
        with pytest.raises(InvalidRequest, match=rf"^chunk {chunk.id} .*different request \(keyword\); repeat"):
            repo.ensure([request(4, dataset), request(5, dataset, "dog"), request(6, dataset)])
        assert [record.chunk.request for record in repo.find(dataset)] == [request(5, dataset)]

    def test_a_batch_that_contradicts_itself_is_refused(self, repo: StatusRepo) -> None:
        """Two different requests for one chunk are an error even if it does not exist yet; equal ones are one chunk."""
        with pytest.raises(InvalidRequest, match=r"^chunk index 1 of dataset d .*\(keyword\)"):
            repo.ensure([request(0), request(1), request(1, keyword="dog")])
        assert list(repo.find("d")) == []
        one, other = repo.ensure([request(1), request(1)])
        assert one == other

    def test_thousands_at_once(self, repo: StatusRepo) -> None:
        """A batch larger than any limit on a statement's parameters is created whole, around existing chunks."""
        (before,) = repo.ensure([request(1500)])
        chunks = repo.ensure([request(index) for index in range(2500)])
        assert chunks[1500] == before
        assert len({chunk.id for chunk in chunks}) == 2500
        assert [record.chunk for record in repo.find("d")] == chunks

    def test_of_many_plans_at_once_each_chunk_is_made_once(self, repo: StatusRepo) -> None:
        """Concurrent planners of one dataset get the same chunks; those of other datasets get other ids."""

        def plan(planner: int) -> list[ChunkKey]:
            start.wait(30)
            dataset = "shared" if planner % 2 else "abcd"[planner // 2]
            return [key for count in range(1, 21) for key in create_chunks(repo, count, dataset)]

        with eager_threads(8) as start, ThreadPoolExecutor(8) as pool:
            keys = list(pool.map(plan, range(8)))
        assert keys[1] == keys[3] == keys[5] == keys[7]
        made_once = {key for planned in keys for key in planned}
        assert len(made_once) == len({key.id for key in made_once}) == 5 * 20

    def test_nothing_is_made_of_nothing(self, repo: StatusRepo) -> None:
        """An empty batch is a no-op."""
        assert list(repo.ensure([])) == []
        assert list(repo.ensure([], beside=7)) == []

    def test_beside_counts_only_chunks_of_the_same_keyword_and_dataset(self, repo: StatusRepo) -> None:
        """Only chunks of the same keyword and dataset share candidates, so only those count."""
        repo.ensure([request(0), request(1), request(2, keyword="dog"), request(0, "other"), request(0, "")])
        (chunk,) = repo.ensure([request(7)], beside=2)
        assert repo.get(chunk.key).chunk.request == request(7)
        assert repo.ensure([request(8, keyword="猫" * 4000 + "\udce9")], beside=0)

    @pytest.mark.parametrize("beside", [0, 1, 3])
    def test_a_plan_that_others_overtook_makes_nothing(self, repo: StatusRepo, beside: int) -> None:
        """The plan would use candidates that another chunk has; planning again helps, and the message says so."""
        create_chunks(repo, 2)
        with pytest.raises(TransientError, match="other chunks of 'cat' were planned at the same time; plan again"):
            repo.ensure([request(7), request(8, keyword="dog")], beside=beside)
        assert [record.chunk.request.index for record in repo.find("d")] == [0, 1]

    def test_a_repeated_plan_finds_its_own_chunks(self, repo: StatusRepo) -> None:
        """A plan whose answer was lost finds its own chunks, of any keyword, however many others were added since."""
        requested = [request(0), request(1), request(2, keyword="dog")]
        first = repo.ensure(requested, beside=0)
        assert repo.ensure([*requested, request(3)], beside=0)[:3] == first
        assert repo.ensure(requested, beside=0) == first

    def test_a_place_that_was_taken_meanwhile_is_planned_again(self, repo: StatusRepo) -> None:
        """If a chunk of the same keyword took the index, planning again helps; otherwise only another index does."""
        repo.ensure([request(0)])
        other = evolve(request(0), target=9)
        with pytest.raises(TransientError, match="plan again"):
            repo.ensure([other], beside=0)
        for beside, requested in ((1, other), (0, request(0, keyword="dog"))):
            with pytest.raises(InvalidRequest, match=r"chunk 1\b"):
                repo.ensure([requested], beside=beside)
        assert [record.chunk.request for record in repo.find("d")] == [request(0)]

    def test_plans_of_one_keyword_at_once_never_overlap(self, repo: StatusRepo) -> None:
        """Eight concurrent planners use only free candidates, and plan again if another one was faster."""

        def plan(planner: int) -> None:
            start.wait(30)
            for turn in range(5):
                while True:
                    taken = [record.chunk.request.slices[-1].stop for record in repo.find("d", keyword="cat")]
                    free = max(taken, default=0)
                    part = Slice("urls", "list", free, free + 1 + planner)
                    try:
                        repo.ensure([ChunkRequest(planner * 5 + turn, "cat", 1, [part], "d")], beside=len(taken))
                        break
                    except TransientError:
                        continue

        with eager_threads(8) as start, ThreadPoolExecutor(8) as pool:
            list(pool.map(plan, range(8)))
        slices = sorted((part.start, part.stop) for r in repo.find("d") for part in r.chunk.request.slices)
        assert len(slices) == 8 * 5
        assert all(one[1] == other[0] for one, other in pairwise(slices))


def _take_all(repo: StatusRepo, claim: Claim) -> None:
    """Take candidates until there are none, and give two of many back each time."""
    owned, chunk = 0, repo.get(claim.chunk).chunk
    while chunk.candidates > owned:
        owned = chunk.candidates
        chunk = repo.take(claim, 1 + claim.chunk.id % 7 * 5, owned=owned)
        if chunk.candidates > owned + 3:
            chunk = repo.give_back(claim, chunk.candidates - 2)


def _claimed(repo: StatusRepo, name: str) -> Iterator[int]:
    """Yield the positions of a list that the chunks of the dataset have."""
    for record in repo.find("d"):
        for slice_ in record.chunk.slices:
            if slice_.query == name:
                yield from range(slice_.start, slice_.stop)


def _free(repo: StatusRepo, name: str) -> Iterator[int]:
    """Yield the positions of a list that no chunk of the dataset has."""
    (allocation,) = (one for one in repo.allocations("d", "") if one.query == name)
    for part in allocation.free:
        yield from range(*part)


class Lists:
    """Further candidates of lists, for chunks whose own do not suffice."""

    def test_a_chunk_takes_what_no_plan_has(self, repo: StatusRepo) -> None:
        """Adjacent slices are joined, the record shows them, and at the end of the list the chunk gets none."""
        first, second = claims(repo, listed(0, 0, 10), listed(1, 10, 20))
        assert repo.take(first, 5, owned=10).taken == (part(20, 25),)
        assert repo.take(first, 3, owned=15).taken == (part(20, 28),)
        assert repo.take(second, 4, owned=10).taken == (part(28, 32),)
        taken = repo.take(first, 100, owned=18)
        assert (taken.taken, taken.candidates) == ((part(20, 28), part(32, 40)), 26)
        assert taken.slices == (part(0, 10), part(20, 28), part(32, 40))
        assert repo.get(first.chunk).chunk == taken
        assert repo.take(first, 1, owned=26) == taken
        assert [chunk.taken for chunk in repo.ensure([listed(0, 0, 10)])] == [taken.taken]

    def test_an_answer_that_was_lost_is_given_again(self, repo: StatusRepo) -> None:
        """A worker that knows of fewer candidates than its chunk has gets no others."""
        (claim,) = claims(repo, listed(0, 0, 10))
        first = repo.take(claim, 5, owned=10)
        assert repo.take(claim, 5, owned=10) == first == repo.get(claim.chunk).chunk

    def test_what_was_taken_stays_with_the_chunk(self, repo: StatusRepo, clock: Clock) -> None:
        """The next attempt has it, and a worker that lost its claim takes nothing."""
        (claim,) = claims(repo, listed(0, 0, 10))
        taken = repo.take(claim, 5, owned=10)
        clock.advance(TTL)
        answer = repo.claim(claim.chunk, "other", TTL)
        assert isinstance(answer, Claimed)
        assert answer.chunk == taken
        with pytest.raises(ClaimLost):
            repo.take(claim, 5, owned=15)
        assert repo.get(claim.chunk).chunk == taken
        assert [allocation.next for allocation in repo.allocations("d", "cat")] == [15]

    def test_what_a_chunk_gives_back_is_there_for_all(self, repo: StatusRepo) -> None:
        """It comes before new candidates, and a chunk keeps those of its request. Giving back twice is a no-op."""
        first, second = claims(repo, listed(0, 0, 10), listed(1, 10, 20))
        repo.take(first, 10, owned=10)
        repo.take(second, 5, owned=10)
        for _ in range(2):
            assert repo.give_back(first, 14).taken == (part(20, 24),) == repo.get(first.chunk).chunk.taken
        (allocation,) = repo.allocations("d", "")
        assert (allocation.next, allocation.returned, allocation.unclaimed) == (35, ((24, 30),), 11)
        with pytest.raises(PlanOutdated):
            repo.ensure([listed(2, 22, 26)])
        repo.ensure([listed(2, 24, 26), listed(3, 35, 38)])
        assert repo.take(second, 9, owned=15).taken == (part(30, 35), part(26, 30))
        assert repo.take(second, 9, owned=19).taken[-1] == part(38, 40)
        assert not any(allocation.ran_out for allocation in repo.allocations("d", ""))
        assert repo.take(second, 9, owned=21).candidates == 21
        assert repo.give_back(second, 0).slices == (part(10, 20),)
        assert repo.give_back(first, 14).candidates == 14
        (allocation,) = repo.allocations("d", "")
        assert (allocation.next, allocation.returned, allocation.ran_out) == (38, ((26, 35),), True)

    def test_what_was_taken_last_is_given_back_as_if_it_was_never_taken(self, repo: StatusRepo, clock: Clock) -> None:
        """One worker therefore leaves no gap. A worker that lost its claim gives nothing back."""
        (claim,) = claims(repo, listed(0, 0, 10))
        repo.take(claim, 10, owned=10)
        assert repo.give_back(claim, 12).candidates == 12
        assert repo.allocations("d", "") == [Allocation("urls", "list", 12, 40, "lists/a")]
        clock.advance(TTL)
        repo.claim(claim.chunk, "other", TTL)
        with pytest.raises(ClaimLost):
            repo.give_back(claim, 10)
        assert repo.get(claim.chunk).chunk.candidates == 12

    def test_lists_are_used_up_one_after_the_other(self, repo: StatusRepo) -> None:
        """In the order of the request, however little the first one still has; a chunk without lists gets nothing."""
        lists = (part(5, 8), Slice("folder", "/cats \udcff", 2, 9, "lists/f"))
        both, none = claims(
            repo, ChunkRequest(0, "cat", 5, [part(5, 6)], "d", lists=lists), ChunkRequest(1, "cat", 1, [MADE], "d")
        )
        assert repo.take(both, 9, owned=1).taken == (part(6, 8),)
        assert repo.take(both, 3, owned=3).taken == (part(6, 8), evolve(lists[1], stop=5))
        assert repo.take(none, 3, owned=len(MADE)).taken == ()
        assert sorted(repo.allocations("d", ""), key=lambda allocation: allocation.source) == [
            Allocation("folder", "/cats \udcff", 5, 9, "lists/f"),
            Allocation("urls", "list", 8, 8, "lists/a"),
        ]

    def test_a_list_that_grew_gives_more(self, repo: StatusRepo) -> None:
        """A later plan knows the longer listing, which begins like the earlier one; all chunks may take from it."""
        (claim,) = claims(repo, listed(0, 0, 10, stop=10))
        assert repo.take(claim, 5, owned=10).taken == ()
        grown = Slice("urls", "list", 10, 60, "lists/b")
        repo.ensure([ChunkRequest(1, "cat", 5, [evolve(grown, stop=20)], "d", lists=[grown])])
        assert repo.take(claim, 5, owned=10).taken == (evolve(grown, start=20, stop=25),)
        assert repo.allocations("d", "") == [Allocation("urls", "list", 25, 60, "lists/b")]

    def test_a_list_that_is_extended_gives_more(self, repo: StatusRepo) -> None:
        """No new chunk is needed for it. A list that no chunk names, or that has become shorter, is not changed."""
        (claim,) = claims(repo, listed(0, 0, 10, stop=10))
        assert repo.take(claim, 5, owned=10).taken == ()
        grown, other = Slice("urls", "list", 0, 13, "lists/b"), Slice("urls", "other", 0, 9, "lists/o")
        repo.extend("d", "cat", [grown, other])
        repo.extend("d", "cat", [part(0, 7)])
        assert repo.allocations("d", "") == [Allocation("urls", "list", 10, 13, "lists/b")]
        assert repo.take(claim, 5, owned=10).taken == (evolve(grown, start=10, stop=13),)

    def test_a_column_has_one_type_in_all_plans_of_a_dataset(self, repo: StatusRepo) -> None:
        """Of two plans that are made at once, for other keywords and other lists, the second must be made again."""
        number, text = (("n", "integer"),), (("n", "string"), ("m", "string"))
        other = Slice("urls", "other", 0, 40, "lists/o")
        dog = ChunkRequest(1, "dog", 5, [evolve(other, stop=5)], "d", columns=text, lists=[other])
        repo.ensure([evolve(listed(0, 0, 10), columns=number)])
        with pytest.raises(PlanOutdated, match="the column 'n' was planned as integer at the same time; plan again"):
            repo.ensure([dog])
        repo.ensure([evolve(dog, columns=(*number, *text[1:])), evolve(dog, dataset="e")])
        assert {dict(one.columns)["n"] for one in repo.allocations("d", "")} == {"integer"}

    def test_a_chunk_of_an_older_plan_takes_once_a_later_plan_names_its_list(self, repo: StatusRepo) -> None:
        """Older plans did not record the lists, so how long they are is unknown before."""
        (claim,) = claims(repo, evolve(listed(0, 0, 10), lists=()))
        assert repo.take(claim, 5, owned=10).taken == ()
        assert repo.allocations("d", "") == []
        repo.ensure([evolve(listed(1, 10, 20), lists=[part(10, 40)])])
        assert repo.take(claim, 5, owned=10).taken == (part(20, 25),)

    def test_a_list_under_other_licences_is_another_list(self, repo: StatusRepo) -> None:
        """Its listing has other entries, so its positions mean other candidates."""
        free = evolve(part(0, 30), snapshot="lists/free", licenses="by,cc0")
        all_, some = claims(
            repo, listed(0, 0, 10), ChunkRequest(1, "cat", 5, [evolve(free, stop=5)], "d", lists=[free])
        )
        assert repo.take(some, 3, owned=5).taken == (evolve(free, start=5, stop=8),)
        assert repo.take(all_, 3, owned=10).taken == (part(10, 13),)

    def test_a_plan_with_what_was_taken_is_refused(self, repo: StatusRepo) -> None:
        """Nothing of it is created; the plan made again begins behind all that is claimed."""
        (claim,) = claims(repo, listed(0, 0, 10))
        repo.take(claim, 5, owned=10)
        with pytest.raises(PlanOutdated, match="candidates of list were taken at the same time; plan again"):
            repo.ensure([listed(1, 20, 30), listed(2, 10, 20)])
        assert len(list(repo.find("d"))) == 1
        repo.ensure([listed(1, 15, 25)])
        assert repo.take(claim, 1, owned=15).taken == (part(10, 15), part(25, 26))

    def test_datasets_share_no_allocation(self, repo: StatusRepo) -> None:
        """Each dataset may have every candidate, and without a dataset each keyword."""
        requests = [evolve(listed(0, 0, 10), dataset="e"), listed(0, 0, 10)]
        requests += [
            evolve(listed(index, 0, 10), dataset="", keyword=word) for index, word in enumerate(["cat", "dog"])
        ]
        for claim in claims(repo, *requests):
            assert repo.take(claim, 5, owned=10).taken == (part(10, 15),)
        assert repo.allocations("f", "cat") == repo.allocations("", "mouse") == []
        assert [allocation.next for allocation in repo.allocations("", "dog")] == [15]

    def test_chunks_that_take_at_once_get_different_candidates(self, repo: StatusRepo) -> None:
        """Eight workers, who give some back, and a planner, on two lists; every position has one owner or none."""
        lists = [Slice("urls", name, 0, 400, f"lists/{name}") for name in "ab"]

        def request_of(index: int, of: Slice, begin: int, end: int) -> ChunkRequest:
            return ChunkRequest(index, "cat", 9, [evolve(of, start=begin, stop=end)], "d", lists=lists)

        held = claims(repo, *(request_of(n, lists[n % 2], n, n + 1) for n in range(8)))

        def take(claim: Claim) -> None:
            start.wait(30)
            _take_all(repo, claim)

        def plan(_: Claim) -> None:
            start.wait(30)
            for index in range(8, 14):
                while True:
                    free = max(one.next for one in repo.allocations("d", "") if one.query == "a")
                    if free > 390:
                        return
                    try:
                        repo.ensure([request_of(index, lists[0], free, free + 5)])
                    except PlanOutdated:
                        continue
                    break

        with eager_threads(9) as start, ThreadPoolExecutor(9) as pool:
            list(pool.map(lambda call: call[0](call[1]), [(plan, held[0]), *((take, claim) for claim in held)]))
        for name in "ab":
            assert sorted([*_claimed(repo, name), *_free(repo, name)]) == list(range(400))


class Leases:
    """Claims, and what happens to them over time."""

    def test_a_claim_takes_a_new_chunk(self, repo: StatusRepo) -> None:
        """The worker gets all that it needs, and the record names the owner."""
        (key,) = create_chunks(repo)
        assert repo.claim(key, "me", TTL) == Claimed(Claim(key, "me", 1), repo.get(key).chunk, 0)
        record = repo.get(key)
        assert (record.status, record.phase, record.attempt, record.owner) == (Status.PROCESSING, Phase.INIT, 1, "me")
        assert (record.lease_left, record.running, record.due_in) == (TTL, 0, 0)

    def test_a_claimed_chunk_is_busy(self, repo: StatusRepo, clock: Clock) -> None:
        """A second claim, even by the same owner, returns when to ask again, and changes nothing."""
        (key,) = create_chunks(repo)
        claim_chunk(repo, key)
        clock.advance(20)
        before = repo.get(key)
        assert repo.claim(key, "me", TTL) == Busy(40)
        assert repo.claim(key, "other", 1000) == Busy(40)
        assert repo.get(key) == before

    def test_a_claim_after_retry_in_seconds_succeeds(self, repo: StatusRepo, clock: Clock) -> None:
        """``retry_in`` is exact: a claim at that moment is not refused again."""
        (key,) = create_chunks(repo)
        claim_chunk(repo, key)
        busy = repo.claim(key, "other", TTL)
        assert isinstance(busy, Busy)
        clock.advance(busy.retry_in)
        claim = claim_chunk(repo, key, "other")
        repo.fail(claim, "no luck", retry_in=7)
        wait = repo.claim(key, "other", TTL)
        assert wait == NotDue(7)
        clock.advance(wait.retry_in)
        claim_chunk(repo, key)

    def test_an_expired_lease_counts_one_failure(self, repo: StatusRepo, clock: Clock) -> None:
        """A lost worker counts as a failure of the chunk, because the chunk may be what kills workers."""
        (key,) = create_chunks(repo)
        first = claim_chunk(repo, key, "vanishing")
        repo.advance(first, Phase.UPLOAD, Progress(7))
        clock.advance(TTL + 1)
        assert repo.get(key).lease_left == -1
        answer = repo.claim(key, "other", TTL)
        assert answer == Claimed(Claim(key, "other", 2), repo.get(key).chunk, 1)
        record = repo.get(key)
        assert (record.phase, record.progress, record.error) == (Phase.INIT, Progress(), "")

    def test_expired_leases_spend_the_budget(self, repo: StatusRepo, clock: Clock) -> None:
        """A chunk that kills every worker fails for good with a message."""
        (key,) = create_chunks(repo)
        for _ in range(MAX_FAILURES):
            claim_chunk(repo, key)
            clock.advance(TTL)
        answer = repo.claim(key, "me", TTL)
        assert answer == Exhausted(
            "gave up after 3 failures; the last one: the lease expired: the worker stopped renewing it"
        )
        assert repo.claim(key, "me", TTL) == answer
        record = repo.get(key)
        assert (record.status, record.attempt, record.failures, record.owner) == (Status.FAILED, 3, 3, "")
        assert record.error == answer.error

    def test_renewing_counts_from_now(self, repo: StatusRepo, clock: Clock) -> None:
        """The lease does not add up, and the progress is stored."""
        (key,) = create_chunks(repo)
        claim = claim_chunk(repo, key)
        clock.advance(50)
        assert repo.renew(claim, TTL, Progress(3, {"seen": 1})) is False
        record = repo.get(key)
        assert (record.lease_left, record.progress) == (TTL, Progress(3, {"seen": 1}))

    def test_an_attempt_runs_from_its_claim_to_its_end(self, repo: StatusRepo, clock: Clock) -> None:
        """Writes in between do not change that; the next attempt starts from zero."""
        (key,) = create_chunks(repo)
        clock.advance(5)
        claim = claim_chunk(repo, key)
        clock.advance(20)
        repo.renew(claim, TTL, Progress(1))
        clock.advance(10)
        repo.advance(claim, Phase.UPLOAD, Progress(2))
        clock.advance(TTL)
        assert repo.get(key).running == 30 + TTL
        repo.release(claim)
        assert repo.get(key).running == 0
        claim_chunk(repo, key)
        clock.advance(3)
        assert repo.get(key).running == 3

    def test_a_late_renewal_keeps_a_claim_that_no_other_worker_took(self, repo: StatusRepo, clock: Clock) -> None:
        """A delayed worker whose chunk was not claimed goes on, and no failure counts."""
        (key,) = create_chunks(repo)
        claim = claim_chunk(repo, key)
        clock.advance(TTL + 30)
        repo.renew(claim, TTL, Progress())
        assert repo.claim(key, "other", TTL) == Busy(TTL)
        assert repo.get(key).failures == 0

    def test_advancing_leaves_the_lease_alone(self, repo: StatusRepo, clock: Clock) -> None:
        """Only ``renew`` renews the lease; a new phase does not."""
        (key,) = create_chunks(repo)
        claim = claim_chunk(repo, key)
        clock.advance(10)
        repo.advance(claim, Phase.DOWNLOAD, Progress(5))
        record = repo.get(key)
        assert (record.phase, record.progress, record.lease_left) == (Phase.DOWNLOAD, Progress(5), TTL - 10)

    @each_write
    def test_a_claim_that_was_taken_over_changes_nothing(
        self, repo: StatusRepo, clock: Clock, write: Callable[[StatusRepo, Claim], object]
    ) -> None:
        """Workers of two earlier attempts get ``ClaimLost`` while the third attempt runs, and after it has ended."""
        (key,) = create_chunks(repo)
        zombies = []
        for _ in range(2):
            zombies.append(claim_chunk(repo, key, "zombie"))
            clock.advance(TTL)
        last = claim_chunk(repo, key)
        for end in (lambda: None, lambda: repo.complete(last, result(3)), lambda: repo.reopen(key)):
            end()
            before = repo.get(key)
            for zombie in zombies:
                with pytest.raises(ClaimLost):
                    write(repo, zombie)
            assert repo.get(key) == before

    def test_the_stored_progress_is_a_copy(self, repo: StatusRepo) -> None:
        """The caller goes on counting in the mapping that it passed; the stored progress does not change."""
        (key,) = create_chunks(repo)
        rejected = {"seen": 1}
        repo.advance(claim_chunk(repo, key), Phase.VALIDATE, Progress(0, rejected))
        rejected["seen"] = 2
        assert repo.get(key).progress.rejected == {"seen": 1}

    def test_of_many_at_once_one_gets_the_chunk(self, repo: StatusRepo) -> None:
        """If eight threads claim at the same time, one gets the chunk and the others get ``Busy``."""
        keys = create_chunks(repo, 20)

        def ask(owner: int) -> list[type]:
            answers = []
            for key in keys:
                start.wait(30)
                answers.append(type(repo.claim(key, str(owner), TTL)))
            return answers

        with eager_threads(8) as start, ThreadPoolExecutor(8) as pool:
            rounds = zip(*pool.map(ask, range(8)), strict=True)
            assert [Counter(answers) for answers in rounds] == [Counter({Busy: 7, Claimed: 1})] * len(keys)


class Ends:
    """The ends of an attempt."""

    def test_a_completed_chunk_gives_its_result(self, repo: StatusRepo) -> None:
        """A later claim returns the stored result."""
        (key,) = create_chunks(repo)
        repo.complete(claim_chunk(repo, key), result(1))
        assert repo.claim(key, "other", TTL) == Done(result(1))
        record = repo.get(key)
        assert (record.status, record.phase, record.progress) == (Status.COMPLETED, Phase.COMPLETE, result(1).progress)
        assert (record.result, record.owner, record.lease_left) == (result(1), "", 0)

    def test_completing_twice_is_completing_once(self, repo: StatusRepo, clock: Clock) -> None:
        """A worker whose answer was lost may repeat it, even long after the lease; the first result stays."""
        (key,) = create_chunks(repo)
        claim = claim_chunk(repo, key)
        repo.complete(claim, result(1))
        clock.advance(10 * TTL)
        repo.complete(claim, result(1, accepted=3))
        assert repo.claim(key, "other", TTL) == Done(result(1))

    @pytest.mark.parametrize("name", ["renew", "advance", "fail", "retry", "release"])
    def test_after_completing_only_completing_is_left(self, repo: StatusRepo, name: str) -> None:
        """A late call cannot undo the result."""
        (key,) = create_chunks(repo)
        claim = claim_chunk(repo, key)
        repo.complete(claim, result(1))
        before = repo.get(key)
        with pytest.raises(ClaimLost):
            WRITES[name](repo, claim)
        assert repo.get(key) == before

    def test_a_transient_failure_waits(self, repo: StatusRepo, clock: Clock) -> None:
        """The chunk is pending with its error until it is due, and the next claim clears the error."""
        (key,) = create_chunks(repo)
        assert repo.fail(claim_chunk(repo, key), "no route to host", retry_in=30) is Status.PENDING
        clock.advance(10)
        record = repo.get(key)
        assert (record.status, record.error, record.failures) == (Status.PENDING, "no route to host", 1)
        assert (record.due_in, record.lease_left, record.owner) == (20, 0, "")
        assert repo.claim(key, "me", TTL) == NotDue(20)
        clock.advance(40)
        assert repo.get(key).due_in == 0
        assert repo.claim(key, "me", TTL) == Claimed(Claim(key, "me", 2), record.chunk, 1)
        assert repo.get(key).error == ""

    def test_the_budget_of_failures_is_bounded(self, repo: StatusRepo, clock: Clock) -> None:
        """Failures and expired leases count together; the last error is kept."""
        (key,) = create_chunks(repo)
        assert repo.fail(claim_chunk(repo, key), "one", retry_in=0) is Status.PENDING
        claim_chunk(repo, key)
        clock.advance(TTL)
        assert repo.fail(claim_chunk(repo, key), "three", retry_in=0) is Status.FAILED
        assert repo.claim(key, "me", TTL) == Exhausted("three")
        assert repo.get(key).failures == MAX_FAILURES

    def test_a_permanent_failure_ends_at_once(self, repo: StatusRepo) -> None:
        """A retry cannot help, so there is none."""
        (key,) = create_chunks(repo)
        assert repo.fail(claim_chunk(repo, key), "not one image", retry_in=None) is Status.FAILED
        assert repo.claim(key, "me", TTL) == Exhausted("not one image")
        assert repo.get(key).failures == 1

    def test_an_error_may_quote_anything(self, repo: StatusRepo) -> None:
        """Text that is not UTF-8, or NUL from a page, must not leave a failed chunk in processing."""
        (key,) = create_chunks(repo)
        repo.fail(claim_chunk(repo, key), "cannot read 'caf\udce9\n.jpg' \0", retry_in=None)
        assert repo.claim(key, "me", TTL) == Exhausted("cannot read 'caf\\udce9\n.jpg' \\x00")

    def test_a_chunk_that_was_given_back_is_due_and_says_why(self, repo: StatusRepo) -> None:
        """No failure counts; the error is in the record until the next claim, and in the history."""
        (key,) = create_chunks(repo)
        repo.release(claim_chunk(repo, key), "disk full")
        record = repo.get(key)
        assert (record.status, record.failures, record.due_in, record.error) == (Status.PENDING, 0, 0, "disk full")
        claim_chunk(repo, key)
        assert repo.get(key).error == ""
        assert [attempt.error for attempt in repo.history("d")] == ["disk full", ""]

    def test_an_interrupted_chunk_is_due_and_blameless(self, repo: StatusRepo) -> None:
        """Even a hundred interrupts fail no chunk."""
        (key,) = create_chunks(repo)
        for attempt in range(1, 2 + MAX_FAILURES):
            claim = claim_chunk(repo, key)
            assert claim.attempt == attempt
            repo.release(claim)
        record = repo.get(key)
        assert (record.status, record.due_in, record.failures, record.owner) == (Status.PENDING, 0, 0, "")

    def test_a_failed_chunk_starts_over(self, repo: StatusRepo) -> None:
        """``retry`` resets the failures but never the attempt, which fences off earlier workers."""
        (key,) = create_chunks(repo)
        repo.fail(claim_chunk(repo, key), "one", retry_in=0)
        repo.fail(claim_chunk(repo, key), "two", retry_in=None)
        assert repo.reopen(key) is True
        record = repo.get(key)
        assert (record.status, record.failures, record.attempt, record.due_in) == (Status.PENDING, 0, 2, 0)
        assert claim_chunk(repo, key).attempt == 3

    def test_a_completed_chunk_starts_over(self, repo: StatusRepo) -> None:
        """A chunk with a shortfall is tried again; its old result is kept until a new one replaces it."""
        (key,) = create_chunks(repo)
        old = claim_chunk(repo, key)
        repo.complete(old, result(1, accepted=3))
        assert repo.reopen(key) is True
        with pytest.raises(ClaimLost):
            repo.complete(old, result(1))
        new = claim_chunk(repo, key)
        assert repo.get(key).result == result(1, accepted=3)
        repo.complete(new, result(2))
        assert repo.claim(key, "me", TTL) == Done(result(2))

    def test_an_unfinished_chunk_does_not_start_over(self, repo: StatusRepo, clock: Clock) -> None:
        """``retry`` takes nothing from a running worker, and shortens no wait."""
        keys = create_chunks(repo, 2)
        claim_chunk(repo, keys[0])
        repo.fail(claim_chunk(repo, keys[1]), "wait", retry_in=9)
        clock.advance(1)
        before = [repo.get(key) for key in keys]
        assert [repo.reopen(key) for key in keys] == [False, False]
        assert [repo.get(key) for key in keys] == before


class Revising:
    """Other rules for existing chunks, and the rebuilding of their archives."""

    def test_a_chunk_to_be_rebuilt_is_pending_until_an_attempt_completes(self, repo: StatusRepo, clock: Clock) -> None:
        """Whoever claims the chunk must learn that nothing is to be fetched, also after a worker died."""
        (key,) = create_chunks(repo)
        repo.complete(claim_chunk(repo, key), result(1))
        assert repo.revise(key, Quality(min_width=300), attempt=1, rebuild=True)
        assert repo.revise(key, Quality(min_width=300), attempt=1, rebuild=True)
        record = repo.get(key)
        before = evolve(result(1), quality=Quality())
        assert (record.status, record.rebuild, record.result) == (Status.PENDING, True, before)
        assert record.chunk.request == evolve(request(), quality=Quality(min_width=300))
        claim_chunk(repo, key)
        clock.advance(TTL)
        answer = repo.claim(key, "other", TTL)
        assert isinstance(answer, Claimed)
        assert (answer.rebuild, answer.result, answer.chunk.request.quality.min_width) == (True, before, 300)
        repo.complete(answer.claim, result(3))
        assert (repo.get(key).rebuild, repo.get(key).result) == (False, result(3))
        (listed,) = repo.find("d")
        assert listed.chunk.request.quality.min_width == 300

    def test_an_abandoned_rebuilding_leaves_the_former_result(self, repo: StatusRepo) -> None:
        """The former archive is still there, so its chunk must not count as failed."""
        (key,) = create_chunks(repo)
        repo.complete(claim_chunk(repo, key), result(1, accepted=3))
        repo.revise(key, Quality(), attempt=1, rebuild=True)
        repo.abandon(claim_chunk(repo, key), "no room")
        record = repo.get(key)
        assert (record.status, record.error, record.rebuild) == (Status.COMPLETED, "no room", False)
        before = evolve(result(1, accepted=3), quality=Quality())
        assert (record.result, record.progress) == (before, before.progress)

    def test_a_chunk_of_a_worker_is_not_revised(self, repo: StatusRepo, clock: Clock) -> None:
        """The worker has the rules in its memory; and what another attempt made must be looked at first."""
        (key,) = create_chunks(repo)
        assert repo.revise(key, Quality(min_width=60), attempt=0, rebuild=False)
        with pytest.raises(InvalidRequest, match="no archive"):
            repo.revise(key, Quality(), attempt=0, rebuild=True)
        claim = claim_chunk(repo, key)
        assert not repo.revise(key, Quality(min_width=70), attempt=1, rebuild=False)
        repo.complete(claim, result(1))
        assert not repo.revise(key, Quality(min_width=70), attempt=0, rebuild=True)
        assert repo.get(key).chunk.request.quality == Quality(min_width=60)
        assert repo.revise(key, Quality(min_width=65), attempt=1, rebuild=False)
        assert (repo.get(key).status, repo.get(key).followed) == (Status.COMPLETED, Quality(min_width=65))
        repo.reopen(key)
        claim_chunk(repo, key)
        clock.advance(TTL)
        assert repo.revise(key, Quality(min_width=80), attempt=2, rebuild=True)
        assert repo.get(key).failures == 0


class Cancelling:
    """Cancellation; only a running worker itself can stop its work."""

    def test_pending_chunks_fail_at_once(self, repo: StatusRepo) -> None:
        """So do chunks that wait for a retry; finished chunks and other datasets do not change."""
        new, waiting, done, failed = create_chunks(repo, 4)
        (other,) = create_chunks(repo, 1, "other")
        repo.fail(claim_chunk(repo, waiting), "one", retry_in=100)
        repo.complete(claim_chunk(repo, done), result(1))
        repo.fail(claim_chunk(repo, failed), "broken", retry_in=None)
        untouched = [repo.get(key) for key in (done, failed, other)]
        assert repo.cancel("d") == 2
        assert [repo.claim(key, "me", TTL) for key in (new, waiting)] == [Exhausted("cancelled")] * 2
        assert [repo.get(key) for key in (done, failed, other)] == untouched
        assert repo.cancel("d") == 0

    def test_a_cancel_of_a_running_chunk_is_only_a_request(self, repo: StatusRepo) -> None:
        """Its worker sees the request at the next renewal, and may still complete the chunk."""
        (key,) = create_chunks(repo)
        claim = claim_chunk(repo, key)
        assert repo.cancel("d") == 1
        assert repo.get(key).cancel_requested
        assert repo.renew(claim, TTL, Progress()) is True
        repo.complete(claim, result(1))
        assert repo.claim(key, "me", TTL) == Done(result(1))

    def test_a_cancelled_chunk_is_not_tried_again(self, repo: StatusRepo, clock: Clock) -> None:
        """If its attempt ends without success (transient failure, interrupt or expired lease), it ends as cancelled."""
        failing, interrupted, vanishing = create_chunks(repo, 3)
        claims = [claim_chunk(repo, key) for key in (failing, interrupted, vanishing)]
        repo.cancel("d")
        assert repo.fail(claims[0], "no route to host", retry_in=1) is Status.FAILED
        repo.release(claims[1])
        clock.advance(TTL)
        for key in (failing, interrupted, vanishing):
            assert repo.claim(key, "me", TTL) == Exhausted("cancelled")
            assert repo.get(key).status is Status.FAILED

    def test_a_real_failure_keeps_its_error(self, repo: StatusRepo) -> None:
        """A cancel does not hide a permanent error."""
        (key,) = create_chunks(repo)
        claim = claim_chunk(repo, key)
        repo.cancel("d")
        repo.fail(claim, "not one image", retry_in=None)
        assert repo.claim(key, "me", TTL) == Exhausted("not one image")

    def test_reopening_withdraws_the_cancel(self, repo: StatusRepo) -> None:
        """After ``cancel`` and ``retry`` the chunk runs, and its worker is not stopped."""
        pending, running = create_chunks(repo, 2)
        claim = claim_chunk(repo, running)
        repo.cancel("d")
        repo.release(claim)
        for key in (pending, running):
            assert repo.reopen(key)
            assert repo.renew(claim_chunk(repo, key), TTL, Progress()) is False


class Queues:
    """The methods with which the runner of a queue finds lost deliveries."""

    many = 1_100

    def test_a_chunk_says_which_queue_delivers_it(self, repo: StatusRepo) -> None:
        """None at first; the last call counts, and no other change of the chunk affects it."""
        keys = create_chunks(repo, 3) + create_chunks(repo, 1, "other")
        assert {repo.get(key).queue for key in keys} == {""}
        repo.assign([keys[3], keys[0], keys[1], keys[0]], "rq")
        repo.assign(keys[1:2], "celery")
        repo.assign(keys[:1], "rq")
        repo.assign([], "rq")
        assert [repo.get(key).queue for key in keys] == ["rq", "celery", "", "rq"]
        repo.fail(claim_chunk(repo, keys[0]), "oh", retry_in=0)
        repo.complete(claim_chunk(repo, keys[0]), result(2))
        repo.reopen(keys[0])
        assert repo.get(keys[0]).queue == "rq"
        repo.assign(keys, "")
        assert {repo.get(key).queue for key in keys} == {""}

    def test_a_running_chunk_is_assigned_without_its_worker_noticing(self, repo: StatusRepo, clock: Clock) -> None:
        """Its claim, times and progress stay, and its worker's writes succeed."""
        (key,) = create_chunks(repo)
        claim = claim_chunk(repo, key)
        repo.advance(claim, Phase.UPLOAD, Progress(7))
        clock.advance(9)
        before = repo.get(key)
        repo.assign([key], "celery")
        assert repo.get(key) == evolve(before, queue="celery")
        repo.complete(claim, result(1))
        assert repo.get(key).queue == "celery"

    def test_a_priority_stays_until_another_is_given(self, repo: StatusRepo) -> None:
        """Whoever sends the chunk again must know it."""
        keys = create_chunks(repo, 2)
        repo.assign(keys[:1], "rq", Priority.HIGH)
        repo.assign(keys, "rq")
        repo.complete(claim_chunk(repo, keys[0]), result(1))
        assert [repo.get(key).priority for key in keys] == [Priority.HIGH, Priority.NORMAL]
        repo.assign(keys, "rq", Priority.LOW)
        assert [repo.get(key).priority for key in keys] == [Priority.LOW, Priority.LOW]

    def test_a_chunk_of_another_store_is_not_claimed(self, repo: StatusRepo, clock: Clock) -> None:
        """Neither pending nor expired, and nothing of it changes; a finished one gives its result to all."""
        key, expired = (chunk.key for chunk in repo.ensure([request(0), request(1)], store="a"))
        (old,) = create_chunks(repo, 1, "old")
        repo.claim(expired, "me", 1, store="a")
        clock.advance(1)
        before = repo.get(key), repo.get(expired)
        assert repo.claim(key, "me", TTL, store="b") == repo.claim(expired, "me", TTL, store="") == Elsewhere("a")
        assert (repo.get(key), repo.get(expired)) == before
        assert isinstance(repo.claim(old, "me", TTL, store="b"), Claimed)
        assert isinstance(repo.claim(expired, "me", TTL), Claimed)
        claimed = repo.claim(key, "me", TTL, store="a")
        assert isinstance(claimed, Claimed)
        repo.complete(claimed.claim, result(1))
        assert repo.claim(key, "me", TTL, store="b") == Done(result(1))

    def test_a_queue_whose_chunks_belong_elsewhere_is_known(self, repo: StatusRepo) -> None:
        """Only unfinished chunks of that queue count, and those of no store belong to all."""
        for dataset, store in (("a", "a"), ("b", "b"), ("c", "b"), ("d", ""), ("e", "b")):
            (chunk,) = repo.ensure([request(0, dataset)], store=store)
            repo.assign([chunk.key], "other" if dataset == "e" else "rq")
            if dataset == "c":
                repo.fail(claim_chunk(repo, chunk.key), "oh", retry_in=None)
        assert list(repo.elsewhere("rq", "a")) == ["b"]
        assert list(repo.elsewhere("rq", "")) == ["a", "b"]
        assert list(repo.elsewhere("", "a")) == []
        repo.ensure([request(1, "d")], store="x")
        assert [list(repo.stores(dataset)) for dataset in ("a", "d", "none")] == [["a"], ["", "x"], []]

    def test_a_worker_rests_until_it_resumes_or_dies(self, repo: StatusRepo, clock: Clock) -> None:
        """An operator sees which machine is at fault, why and since when; a worker that died is forgotten."""
        full, denied = RestingWorker("m:1", Fault.MACHINE, "full"), RestingWorker("m:2", Fault.SERVICE, "denied")
        repo.rest(denied, 30)
        repo.rest(full, 10)
        clock.advance(9)
        repo.rest(evolve(full, reason="fuller"), 10)
        assert repo.overview("d").resting == (
            evolve(full, reason="fuller", seconds=9),
            evolve(denied, seconds=9),
        )
        clock.advance(10)
        assert [each.name for each in repo.overview().resting] == ["m:2"]
        repo.rest(full, 10)
        assert [each.seconds for each in repo.overview().resting] == [0, 19]
        repo.resume("m:2")
        repo.resume("m:2")
        assert [each.name for each in repo.overview().resting] == ["m:1"]

    def test_of_an_unknown_chunk_nothing_is_noted(self, repo: StatusRepo) -> None:
        """The message names the chunk, and the others of the batch do not change."""
        keys = create_chunks(repo, 2)
        absent = ChunkKey("e", keys[0].id)
        with pytest.raises(InvalidRequest, match=str(absent)):
            repo.assign([*keys, absent], "rq")
        assert {repo.get(key).queue for key in keys} == {""}

    def test_thousands_are_assigned_at_once(self, repo: StatusRepo) -> None:
        """A batch larger than any limit on a statement's parameters is stored whole, and found whole."""
        keys = create_chunks(repo, 2500)
        repo.assign(keys, "rq")
        assert [record.chunk.key for record in repo.overdue("rq")] == keys

    def test_overdue_lists_the_chunks_that_can_be_claimed(self, repo: StatusRepo, clock: Clock) -> None:
        """Chunks of all datasets are listed, expired ones first; running, waiting and finished ones are not."""
        repo.ensure([request(3, "a"), request(2, "a"), request(1, "")])
        keys = create_chunks(repo, 8)
        repo.assign([record.chunk.key for dataset in ("a", "") for record in repo.find(dataset)], "rq")
        repo.assign(keys[:7], "rq")
        expired, live, waits, failed, done, due, cancelled, _ = keys
        claim_chunk(repo, cancelled)
        repo.cancel("d")
        for key in keys:
            repo.reopen(key)
        claim_chunk(repo, expired, ttl=10)
        claim_chunk(repo, live, ttl=11)
        repo.fail(claim_chunk(repo, waits), "oh", retry_in=11)
        repo.fail(claim_chunk(repo, failed), "oh", retry_in=None)
        repo.complete(claim_chunk(repo, done), result(1))
        repo.fail(claim_chunk(repo, due), "oh", retry_in=10)
        clock.advance(10)
        clock_stands = [record.chunk for record in repo.overdue("rq")]
        assert [(chunk.request.dataset, chunk.request.index) for chunk in clock_stands] == [
            ("d", 0),
            ("", 1),
            ("a", 2),
            ("a", 3),
            ("d", 5),
        ]
        assert next(iter(repo.overdue("rq"))) == repo.get(expired)
        clock.advance(TTL)
        assert [record.chunk.key for record in repo.overdue("rq")][:3] == [expired, live, cancelled]
        assert [record.chunk.key for record in repo.overdue("")] == [keys[7]]
        assert list(repo.overdue("celery")) == []

    def test_chunks_may_change_while_they_are_overdue(self, repo: StatusRepo, clock: Clock) -> None:
        """A chunk that the caller frees meanwhile comes only once, and is pending then; claimed chunks are left out."""
        keys = create_chunks(repo, 2 * self.many)
        repo.assign(keys, "rq")
        for key in keys[: self.many]:
            claim_chunk(repo, key, ttl=1)
        clock.advance(1)
        seen = []
        for record in repo.overdue("rq"):
            seen.append(record.chunk.key)
            if record.status is Status.PROCESSING:
                assert repo.free(record.chunk.key) is Status.PENDING
            if len(seen) == self.many:
                claim_chunk(repo, keys[self.many])
        assert seen == [*keys[: self.many], *keys[self.many + 1 :]]

    def test_freeing_ends_an_expired_claim(self, repo: StatusRepo, clock: Clock) -> None:
        """It counts a failure, the chunk is due now, and a worker that comes back has lost it."""
        (key,) = create_chunks(repo)
        claim = claim_chunk(repo, key)
        repo.advance(claim, Phase.UPLOAD, Progress(7))
        clock.advance(TTL + 5)
        assert repo.free(key) is Status.PENDING
        record = repo.get(key)
        assert (record.failures, record.attempt, record.owner) == (1, 1, "")
        assert (record.lease_left, record.running, record.due_in) == (0, 0, 0)
        assert record.error == "the lease expired: the worker stopped renewing it"
        for write in WRITES.values():
            with pytest.raises(ClaimLost):
                write(repo, claim)
        assert repo.get(key) == record
        assert repo.claim(key, "other", TTL) == Claimed(Claim(key, "other", 2), record.chunk, 1)

    def test_freeing_spends_the_budget(self, repo: StatusRepo, clock: Clock) -> None:
        """A chunk that kills every worker fails for good, with the same message as for a claim."""
        (key,) = create_chunks(repo)
        ends = []
        for _ in range(MAX_FAILURES):
            claim_chunk(repo, key)
            clock.advance(TTL)
            ends.append(repo.free(key))
        assert ends == [Status.PENDING, Status.PENDING, Status.FAILED]
        expected = "gave up after 3 failures; the last one: the lease expired: the worker stopped renewing it"
        assert repo.claim(key, "me", TTL) == Exhausted(expected)
        assert repo.get(key).failures == MAX_FAILURES

    def test_freeing_carries_a_cancel_out(self, repo: StatusRepo, clock: Clock) -> None:
        """The worker that was asked to stop is gone, so no other call would do it."""
        (key,) = create_chunks(repo)
        claim_chunk(repo, key)
        repo.cancel("d")
        clock.advance(TTL)
        assert repo.free(key) is Status.FAILED
        assert repo.claim(key, "me", TTL) == Exhausted("cancelled")

    def test_freeing_leaves_everything_else_alone(self, repo: StatusRepo, clock: Clock) -> None:
        """Two reapers and a returning worker count one failure between them; a live claim counts none."""
        running, freed, waiting, done, failed = create_chunks(repo, 5)
        (stopping,) = create_chunks(repo, 1, "other")
        claim_chunk(repo, freed, ttl=1)
        repo.fail(claim_chunk(repo, waiting), "oh", retry_in=99)
        repo.complete(claim_chunk(repo, done), result(1))
        repo.fail(claim_chunk(repo, failed), "oh", retry_in=None)
        clock.advance(1)
        repo.free(freed)
        claim_chunk(repo, running, ttl=1)
        claim_chunk(repo, stopping)
        repo.cancel("other")
        keys = (running, freed, waiting, done, failed, stopping)
        before = [repo.get(key) for key in keys]
        assert [repo.free(key) for key in keys] == [record.status for record in before]
        assert [repo.get(key) for key in keys] == before


class Looking:
    """The read methods."""

    many = 1_100

    def test_unknown_chunks_are_named(self, repo: StatusRepo) -> None:
        """The message names the unknown chunk, in every namespace."""
        (key,) = create_chunks(repo)
        for absent in (ChunkKey("", key.id), ChunkKey("d", key.id + 1), ChunkKey("e", key.id)):
            for ask in (repo.get, repo.reopen, repo.free, lambda absent: repo.claim(absent, "me", TTL)):
                with pytest.raises(InvalidRequest, match=str(absent)):
                    ask(absent)

    def test_find_goes_by_index_and_status(self, repo: StatusRepo) -> None:
        """Chunks come in the order of their index, not of their ids, and only those of the dataset."""
        repo.ensure([request(2), request(0), request(0, ""), request(0, "other")])
        repo.ensure([request(1)])
        keys = [record.chunk.key for record in repo.find("d")]
        assert [repo.get(key).chunk.request.index for key in keys] == [0, 1, 2]
        claim_chunk(repo, keys[1])
        assert [record.chunk.key for record in repo.find("d", Status.PROCESSING)] == [keys[1]]
        assert [record.chunk.key for record in repo.find("d", Status.PENDING)] == [keys[0], keys[2]]
        assert [record.chunk.key for record in repo.find("")] == [ChunkKey("", 0)]
        assert list(repo.find("nobody")) == []

    def test_find_goes_by_keyword(self, repo: StatusRepo) -> None:
        """Alone and together with a status, for the exact keyword, of any length and script."""
        words = ["cat", "Cat", "cats", "猫" * 4000, "caf\udce9", "caf?"]
        repo.ensure([request(index, keyword=words[index % 6]) for index in reversed(range(12))])
        repo.ensure([request(0, "other")])
        for index, word in enumerate(words):
            found = [record.chunk for record in repo.find("d", keyword=word)]
            assert [chunk.request.index for chunk in found] == [index, index + 6]
            claim_chunk(repo, found[1].key)
            assert [r.chunk for r in repo.find("d", Status.PENDING, word)] == found[:1]
            assert [r.chunk for r in repo.find("d", Status.PROCESSING, word)] == found[1:]
        assert list(repo.find("d", keyword="")) == []

    def test_chunks_may_change_while_they_are_found(self, repo: StatusRepo) -> None:
        """A command that reopens chunks while it reads sees each once, and blocks no process, least of all itself."""
        keys = create_chunks(repo, self.many)
        repo.cancel("d")
        seen = []
        for record in repo.find("d", Status.FAILED):
            seen.append(record.chunk.key)
            assert repo.reopen(record.chunk.key)
            claim_chunk(repo, record.chunk.key)
        assert seen == keys

    def test_a_chunk_is_found_by_its_index(self, repo: StatusRepo) -> None:
        """Callers that number their chunks know the index, and not the id."""
        repo.ensure([request(7), request(7, "other"), request(8, "")])
        assert [record and record.chunk.request for record in (repo.numbered("d", 7), repo.numbered("", 8))] == [
            request(7),
            request(8, ""),
        ]
        assert [repo.numbered("d", 8), repo.numbered("other", 8), repo.numbered("", 7)] == [None, None, None]

    def test_new_chunks_are_found_by_their_ids(self, repo: StatusRepo) -> None:
        """A reader that knows the chunks up to one reads only those that came later, whatever their indices are."""
        first, second = (chunk.key for chunk in repo.ensure([request(900), request(3)]))
        create_chunks(repo, 2, "other")
        (third,) = (chunk.key for chunk in repo.ensure([request(17)]))
        assert [record.chunk.key for record in repo.newer("d", first.id)] == [second, third]
        assert [record.chunk.key for record in repo.newer("d", 0)] == [first, second, third]
        assert list(repo.newer("d", third.id)) == []

    def test_the_plans_of_a_keyword_are_summed_up(self, repo: StatusRepo) -> None:
        """The next chunk is planned with the sums: they follow each plan, and those of other keywords do not count."""
        assert repo.planned("d", "cat") == Planned()
        requests = [
            evolve(request(index), columns=(("width", kind),)) for index, kind in ((9, "integer"), (2, "string"))
        ]
        repo.ensure([*requests[:1], request(3, keyword="dog"), request(0, "other"), request(0, "")])
        repo.ensure(requests)
        assert repo.planned("d", "cat") == Planned().with_chunks(requests)
        assert repo.planned("d", "cat").furthest == (Slice("urls", "list", 9 * 500, 10 * 500),)
        with pytest.raises(PlanOutdated):
            repo.ensure([request(4)], beside=1)
        assert [repo.planned(*of).chunks for of in (("d", "cat"), ("d", "dog"), ("", "cat"), ("", "dog"))] == [
            2,
            1,
            1,
            0,
        ]

    def test_counts_are_kept_for_each_dataset(self, repo: StatusRepo) -> None:
        """The last text counts."""
        assert repo.kept_counts("d") == ""
        for text in ("one", "two"):
            repo.keep_counts("d", text)
        repo.keep_counts("other", "three")
        assert [repo.kept_counts(name) for name in ("d", "other", "third")] == ["two", "three", ""]

    def test_summary_counts_the_statuses_that_occur(self, repo: StatusRepo) -> None:
        """The counts are grouped by dataset, in the order of the names, without zeros."""
        assert repo.summary() == {}
        create_chunks(repo, 1, "b")
        keys = create_chunks(repo, 3, "a")
        repo.ensure([request(5, "")])
        claim_chunk(repo, keys[0])
        repo.complete(claim_chunk(repo, keys[1]), result(1))
        summary = repo.summary()
        assert summary == {
            "": {Status.PENDING: 1},
            "a": {Status.PENDING: 1, Status.PROCESSING: 1, Status.COMPLETED: 1},
            "b": {Status.PENDING: 1},
        }
        assert list(summary) == ["", "a", "b"]

    def test_an_overview_of_nothing(self, repo: StatusRepo) -> None:
        """For an empty repository and for an unknown dataset."""
        nothing = Overview({}, accepted=0, workers=0, expired=0, oldest=0.0, errors={})
        assert repo.overview() == nothing
        create_chunks(repo)
        assert repo.overview("nobody") == nothing

    def test_an_overview_sums_up(self, repo: StatusRepo, clock: Clock) -> None:
        """The sums are those of the records of one dataset, or of all."""
        done, short, failed, vanished, slow, fast, alone, _ = create_chunks(repo, 8)
        (other,) = create_chunks(repo, 1, "other")
        repo.complete(claim_chunk(repo, done), result(1))
        repo.complete(claim_chunk(repo, short), result(1, accepted=3))
        again = claim_chunk(repo, failed)
        repo.advance(again, Phase.UPLOAD, Progress(20))
        repo.fail(again, "no room", retry_in=None)
        claim_chunk(repo, vanished, "gone", ttl=10)
        clock.advance(10)
        repo.renew(claim_chunk(repo, slow, "two at once"), 1000, Progress(100))
        clock.advance(5)
        repo.advance(claim_chunk(repo, fast, "two at once"), Phase.DOWNLOAD, Progress(7))
        claim_chunk(repo, alone, "one")
        clock.advance(2)
        claim_chunk(repo, other, "another")
        assert repo.overview("d") == Overview(
            phases={
                Status.COMPLETED: {Phase.COMPLETE: 2},
                Status.FAILED: {Phase.UPLOAD: 1},
                Status.PENDING: {Phase.INIT: 1},
                Status.PROCESSING: {Phase.DOWNLOAD: 1, Phase.INIT: 3},
            },
            accepted=500 + 3 + 20 + 100 + 7,
            workers=2,
            expired=1,
            oldest=7.0,
            errors={"no room": 1},
            attempts=7,
        )
        assert repo.overview("other") == Overview({Status.PROCESSING: {Phase.INIT: 1}}, 0, 1, 0, 0.0, {}, attempts=1)
        every = repo.overview()
        assert (every.workers, every.expired, every.oldest, every.accepted) == (3, 1, 7.0, 630)
        assert every.phases[Status.PROCESSING] == {Phase.DOWNLOAD: 1, Phase.INIT: 4}
        repo.reopen(done)
        claim_chunk(repo, done)
        assert repo.overview("d").accepted == 130

    def test_alike_errors_count_together(self, repo: StatusRepo) -> None:
        """Names and numbers are masked; the most frequent errors come first, and their number is limited."""
        keys = create_chunks(repo, 26)
        errors = (
            [f"no 'image {n}' in {n} tries" for n in range(3)] + ["full"] * 2 + [c * 3 for c in "zyxwvutsrqponmlkjihg"]
        )
        for key, error in zip(keys, errors, strict=False):
            repo.fail(claim_chunk(repo, key), error, retry_in=None if key.id % 2 else 0)
        repo.fail(claim_chunk(repo, keys[25]), "it runs again", retry_in=0)
        claim_chunk(repo, keys[25])
        overview = repo.overview("d")
        assert list(overview.errors.items()) == [
            ("no '…' in N tries", 3),
            ("full", 2),
            *((c * 3, 1) for c in "ghijklmnopqrstuvwx"),
        ]

    def test_the_identity_is_a_uuid_that_stays(self, repo: StatusRepo) -> None:
        """Chunk ids mean something only together with the identity, so it must not change."""
        identity = repo.identity
        create_chunks(repo)
        assert UUID(identity) == UUID(repo.identity)


class History:
    """The history of attempts."""

    def test_each_attempt_is_remembered_with_its_end(self, repo: StatusRepo, clock: Clock) -> None:
        """A user who asks why a chunk took a day sees every attempt and how it ended."""
        (key,) = create_chunks(repo)
        began = clock()
        ends: list[Callable[[Claim], object]] = [
            lambda claim: repo.fail(claim, "away", retry_in=0),
            repo.release,
            lambda _: clock.advance(TTL),  # the next claim finds the lease expired
            lambda _: (clock.advance(TTL), repo.free(key)),
        ]
        for end in ends:
            claim = claim_chunk(repo, key)
            repo.advance(claim, Phase.UPLOAD, Progress())
            clock.advance(10)
            end(claim)
        assert [(one.attempt, one.status, one.phase, one.error) for one in repo.history("d")] == [
            (1, Status.PENDING, Phase.UPLOAD, "away"),
            (2, Status.PENDING, Phase.UPLOAD, ""),
            (3, Status.PENDING, Phase.UPLOAD, "the lease expired: the worker stopped renewing it"),
            (
                4,
                Status.FAILED,
                Phase.UPLOAD,
                "gave up after 3 failures; the last one: the lease expired: the worker stopped renewing it",
            ),
        ]
        repo.reopen(key)
        repo.complete(claim_chunk(repo, key), result(5))
        times = [(one.began - began, (one.ended or 0) - began) for one in repo.history("d")]
        assert times == [(0, 10), (10, 20), (20, 30 + TTL), (30 + TTL, 40 + 2 * TTL), (40 + 2 * TTL,) * 2]
        assert [one.status for one in repo.history("d")][-1] is Status.COMPLETED

    def test_attempts_come_by_chunk_and_a_running_one_has_no_end(self, repo: StatusRepo) -> None:
        """A timeline of a dataset is drawn from them in this order."""
        first, second, _ = create_chunks(repo, 3)
        other = create_chunks(repo, 1, "other")[0]
        claim_chunk(repo, second)
        repo.release(claim_chunk(repo, first))
        claim_chunk(repo, first)
        claim_chunk(repo, other)
        history = [(one.chunk, one.attempt, one.ended is None, one.status) for one in repo.history("d")]
        assert history == [
            (first, 1, False, Status.PENDING),
            (first, 2, True, None),
            (second, 1, True, None),
        ]
        assert list(repo.history("nobody")) == []


class StatusRepoContract(Ensure, Lists, Leases, Ends, Revising, Cancelling, Queues, Looking, History):
    """The whole contract. A subclass provides an empty ``repo`` on ``clock``, with a budget of three failures.

    ``many`` should exceed the number of records that the adapter reads at once.
    """

    many = 1_100

    @pytest.fixture
    def clock(self) -> Clock:
        """Return a clock that advances only by ``advance``."""
        return Clock()

    @pytest.fixture
    def repo(self, clock: Clock) -> StatusRepo:
        """Return an empty repository."""
        raise NotImplementedError
