"""A chunk takes more candidates of its lists if it needs them. A retry fetches only candidates that may help."""

from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import suppress
from pathlib import Path

import pytest
from attrs import define, evolve, field
from memory_assembly import MemoryAssembly, picture

from pixcore import (
    CandidateKey,
    ChunkKey,
    ChunkRequest,
    ClaimLost,
    Done,
    Download,
    Miss,
    NoValidImages,
    Slice,
    SourceUnavailable,
)
from pixcore.model.archives import Blob
from pixcore.model.chunks import Status
from pixcore.model.claims import Claimed
from pixcore.model.images import Accepted, Rejected
from pixcore.ports.downloader import do_nothing
from pixcore_adapters.blob_store.memory import MemoryBlobStore
from pixcore_adapters.downloader.memory import MemoryDownloader
from pixcore_adapters.validator.memory import MemoryValidator

LIST = Slice("memory", "q", 0, 40, "lists/q")


@define
class Fetching:
    """A downloader that records its fetches. The positions in ``slow`` are transient misses."""

    pictures: Sequence[bytes | None]
    slow: set[int] = field(factory=set)
    fetched: list[int] = field(factory=list)
    reason: str = "http_404"

    def download(
        self,
        slices: Sequence[Slice],
        into: Path,
        skip: frozenset[CandidateKey] = frozenset(),
        waiting: Callable[[], None] = do_nothing,
        *_held: object,
    ) -> Generator[Download | Miss]:
        """See ``pixcore.ports.Downloader``."""
        for item in MemoryDownloader({"q": self.pictures}).download(slices, into, skip, waiting):
            position = item.candidate.key.position
            self.fetched.append(position)
            if position in self.slow:
                yield Miss(item.candidate, "timeout", permanent=False)
            else:
                yield Miss(item.candidate, self.reason, permanent=True) if isinstance(item, Miss) else item


@pytest.fixture
def assembly(tmp_path: Path) -> MemoryAssembly:
    """Return the adapters, with a list of twenty dead links and then twenty pictures."""
    return MemoryAssembly(tmp_path / "work", [None] * 20 + [picture(number) for number in range(20)])


def plan(assembly: MemoryAssembly, *slices: tuple[int, int], target: int = 4) -> list[ChunkKey]:
    """Plan chunks of the list."""
    requests = [
        ChunkRequest(index, "cat", target, [evolve(LIST, start=start, stop=stop)], "d", lists=[LIST])
        for index, (start, stop) in enumerate(slices)
    ]
    return [chunk.key for chunk in assembly.status.ensure(requests)]


def run(assembly: MemoryAssembly, key: ChunkKey, downloader: Fetching, **changes: object) -> Done:
    """Run a chunk to its end."""
    outcome = assembly.pipeline(downloader=downloader, **changes).run(key)
    assert isinstance(outcome, Done)
    return outcome


def names(assembly: MemoryAssembly, key: ChunkKey) -> list[str]:
    """Return the URLs of a chunk's images, in order."""
    with assembly.store.open(key.blob_key(assembly.archiver.suffix)) as blob:
        path = assembly.work / "copy"
        path.write_bytes(blob.read())
    return [str(row["url"]) for row in assembly.archiver.contents(path).rows]


def test_a_chunk_takes_candidates_after_its_plan(assembly: MemoryAssembly) -> None:
    """It takes as often as needed, no position twice, and none after the last image that it needs."""
    first, second = plan(assembly, (0, 5), (5, 10))
    downloader = Fetching(assembly.pictures)
    assert run(assembly, first, downloader).result.progress.accepted == 4
    assert downloader.fetched == [*range(5), *range(10, 24)]
    record = assembly.status.get(first)
    assert record.chunk.taken == (evolve(LIST, start=10, stop=24),)
    assert run(assembly, second, Fetching(assembly.pictures)).result.shortfall == 0
    assert assembly.status.get(second).chunk.taken == (evolve(LIST, start=24, stop=28),)


def test_misses_after_the_last_image_are_given_back_uncounted(assembly: MemoryAssembly) -> None:
    """The validator draws ahead, so a full chunk may have missed candidates that it gives back to others."""
    assembly.pictures[24] = None

    class Ahead(MemoryValidator):
        def validate(self, downloads: Iterable[Download]) -> Generator[Accepted | Rejected]:
            yield from super().validate(list(downloads))

    first, second = plan(assembly, (15, 19), (19, 20))
    progress = run(assembly, first, Fetching(assembly.pictures), validator=Ahead()).result.progress
    assert (progress.missed, progress.lost) == ({"http_404": 4}, {"http_404": "0-3"})
    assert run(assembly, second, Fetching(assembly.pictures)).result.progress.missed == {"http_404": 2}
    assert assembly.status.get(first).chunk.taken == (evolve(LIST, start=20, stop=24),)


@pytest.mark.parametrize("lost", [1, 4])
def test_a_chunk_that_ran_out_is_reopened_once_another_gives_back(tmp_path: Path, lost: int) -> None:
    """The last candidates may be with a chunk that turns out not to need them.

    The other chunk finds none then, and ends short or without an image.
    """
    assembly, first, second = two_chunks(tmp_path, lost)

    class Overtaken(Fetching):
        def download(self, *args: object) -> Generator[Download | Miss]:
            for item in super().download(*args):
                if self.fetched[-1] == 8:
                    with suppress(NoValidImages):
                        run(assembly, second, Fetching(assembly.pictures))
                    assert assembly.status.get(second).progress.accepted == 4 - lost
                yield item

    assert run(assembly, first, Overtaken(assembly.pictures)).result.shortfall == 0
    again = Fetching(assembly.pictures)
    assert run(assembly, second, again).result.progress.accepted == 4 - lost + 1
    assert again.fetched == [12]


def test_a_chunk_that_ran_out_reopens_itself_if_another_has_given_back(tmp_path: Path) -> None:
    """The other chunk may give back after this one found none, and before its end is recorded."""
    assembly, first, second = two_chunks(tmp_path, 1)
    holder = assembly.status.claim(first, "holder", 60.0)
    assert isinstance(holder, Claimed)
    assembly.status.take(holder.claim, 5, owned=4)

    class Late(MemoryBlobStore):
        def put(self, *args: object, **values: object) -> Blob:
            assembly.status.give_back(holder.claim, 8)
            return super().put(*args, **values)

    assert run(assembly, second, Fetching(assembly.pictures), store=Late()).result.shortfall == 1
    assert assembly.status.get(second).status is Status.PENDING
    assert run(assembly, second, Fetching(assembly.pictures)).result.shortfall == 0


def two_chunks(work: Path, lost: int) -> tuple[MemoryAssembly, ChunkKey, ChunkKey]:
    """Plan two chunks of four images. All links of the first and ``lost`` ones of the second are dead; five follow."""
    assembly = MemoryAssembly(work, [None] * (4 + lost) + [picture(number) for number in range(9 - lost)])
    whole = evolve(LIST, stop=len(assembly.pictures))
    first, second = assembly.status.ensure(
        [ChunkRequest(n, "cat", 4, [evolve(whole, start=4 * n, stop=4 * n + 4)], "d", lists=[whole]) for n in range(2)]
    )
    return assembly, first.key, second.key


def test_a_chunk_that_is_full_takes_nothing(assembly: MemoryAssembly) -> None:
    """It must not execute a further statement."""
    (key,) = plan(assembly, (20, 24))
    run(assembly, key, Fetching(assembly.pictures))
    assert "take" not in assembly.faults.calls
    assert assembly.status.get(key).chunk.taken == ()


def test_a_search_takes_no_more_candidates(assembly: MemoryAssembly) -> None:
    """A search has no listing, so the repository must not be called."""
    run(assembly, assembly.chunk(30), Fetching(assembly.pictures))
    assert "take" not in assembly.faults.calls


def test_a_rerun_has_the_same_candidates_in_the_same_order(assembly: MemoryAssembly) -> None:
    """If a worker is killed after it took more, the next one has its slices and does not retry dead links."""
    (key,) = plan(assembly, (16, 21))
    with pytest.raises(KeyboardInterrupt):
        run(assembly, key, Fetching(assembly.pictures), store=_Stopping())
    chunk = assembly.status.get(key).chunk
    assert chunk.taken == (evolve(LIST, start=21, stop=24),)
    again = Fetching(assembly.pictures)
    run(assembly, key, again)
    assert assembly.status.get(key).chunk == chunk
    assert again.fetched == [20, 21, 22, 23]


class _Stopping:
    def head(self, key: str) -> object:
        raise KeyboardInterrupt(key)

    def put(self, *_: object, **__: object) -> object:
        raise KeyboardInterrupt


def test_a_worker_that_lost_its_claim_takes_nothing(assembly: MemoryAssembly) -> None:
    """The worker that claimed the chunk later takes the candidates after the plan."""
    (key,) = plan(assembly, (0, 5))

    class Slow(Fetching):
        def download(self, *args: object) -> Generator[Download | Miss]:
            yield from super().download(*args)
            assembly.later()
            assembly.status.claim(key, "other", 60.0)

    with pytest.raises(ClaimLost):
        run(assembly, key, Slow(assembly.pictures))
    assert assembly.status.get(key).chunk.taken == ()


def test_a_retry_fetches_only_transient_misses(assembly: MemoryAssembly) -> None:
    """Good images come from the archive, dead links are not tried again, and both are counted as before."""
    (key,) = plan(assembly, (15, 40), target=22)
    run(assembly, key, Fetching(assembly.pictures, slow={22, 30}))
    before = assembly.status.get(key)
    assert (before.progress.accepted, before.progress.missed) == (18, {"http_404": 5, "timeout": 2})
    first = names(assembly, key)
    assembly.status.reopen(key)
    again = Fetching(assembly.pictures, slow={30})
    result = run(assembly, key, again).result
    assert sorted(again.fetched) == [22, 30]
    assert (result.progress.accepted, result.progress.missed) == (19, {"http_404": 5, "timeout": 1})
    assert names(assembly, key) == [*first[:2], "memory:q/22", *first[2:]]


def test_a_retry_without_gain_makes_the_same_archive(assembly: MemoryAssembly) -> None:
    """The archive must be equal byte by byte, with the time at which each image was first fetched."""
    (key,) = plan(assembly, (15, 40), target=22)
    first = run(assembly, key, Fetching(assembly.pictures, slow={30})).result
    assembly.status.reopen(key)
    again = run(assembly, key, Fetching(assembly.pictures, slow={30})).result
    assert (again.sha256, again.kept, again.attempt) == (first.sha256, first.kept, 2)


def test_a_full_chunk_that_is_reopened_fetches_nothing(assembly: MemoryAssembly) -> None:
    """The downloader must not fetch ahead while images are restored from the archive."""
    (key,) = plan(assembly, (20, 40), target=4)
    run(assembly, key, Fetching(assembly.pictures))
    assembly.status.reopen(key)
    again = Fetching(assembly.pictures)
    assert run(assembly, key, again).result.shortfall == 0
    assert again.fetched == []


@pytest.mark.parametrize("damage", ["gone", "other"])
def test_images_are_fetched_again_if_the_archive_is_missing_or_damaged(assembly: MemoryAssembly, damage: str) -> None:
    """Images must not be restored from a damaged archive."""
    (key,) = plan(assembly, (15, 40), target=22)
    run(assembly, key, Fetching(assembly.pictures))
    _damage(assembly, key, damage)
    assembly.status.reopen(key)
    again = Fetching(assembly.pictures)
    assembly.pipeline(downloader=again).run(key)
    assert again.fetched == list(range(20, 40))


def _damage(assembly: MemoryAssembly, key: ChunkKey, damage: str) -> None:
    name = key.blob_key(assembly.archiver.suffix)
    blobs = assembly.store._blobs
    if damage == "gone":
        del blobs[name]
    else:
        blobs[name] = blobs[name][0], b"damaged"


def test_a_failed_chunk_does_not_try_its_dead_links_again(assembly: MemoryAssembly) -> None:
    """It fails again with the same reasons and without a fetch."""
    assembly.pictures[:] = [None] * 40
    (key,) = plan(assembly, (0, 5))
    for fetched in (list(range(40)), []):
        downloader = Fetching(assembly.pictures)
        with pytest.raises(NoValidImages, match="http_404: 40"):
            assembly.pipeline(downloader=downloader).run(key)
        assert downloader.fetched == fetched
        assert assembly.status.get(key).progress.lost == {"http_404": "0-39"}
        assembly.status.reopen(key)


def test_misses_that_other_settings_may_avoid_are_tried_again(assembly: MemoryAssembly) -> None:
    """Such a miss is permanent only under the settings of one worker; the next worker may have others."""
    (key,) = plan(assembly, (18, 40), target=22)
    run(assembly, key, Fetching(assembly.pictures, reason="opted_out"))
    assembly.status.reopen(key)
    again = Fetching(assembly.pictures, reason="opted_out")
    assert run(assembly, key, again).result.progress.missed == {"opted_out": 2}
    assert again.fetched == [18, 19]


def test_a_chunk_that_only_waits_for_its_source_is_tried_again(assembly: MemoryAssembly) -> None:
    """Transient misses must not make a chunk fail permanently."""
    (key,) = plan(assembly, (20, 22))
    with pytest.raises(SourceUnavailable):
        assembly.pipeline(downloader=Fetching(assembly.pictures, slow=set(range(40)))).run(key)
    assembly.later()
    assert run(assembly, key, Fetching(assembly.pictures)).result.shortfall == 0
