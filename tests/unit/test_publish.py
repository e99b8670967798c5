"""Whatever stands at the key, publish creates, recognises, replaces or refuses, and never harms a newer attempt."""

import hashlib
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from pixcore.chunk.publish import publish
from pixcore.errors import ClaimLost, PixcoreError, StoreConflict, StoreDenied, StoreNotFound, StoreUnavailable
from pixcore.model.archives import Archive, Blob
from pixcore.model.chunks import ChunkKey, Claim
from pixcore.ports import BlobStore
from pixcore_adapters.blob_store.memory import MemoryBlobStore

T = TypeVar("T")
Publish = Callable[..., Blob]
KEY = "cats/data/chunk_7.zip"
IDENTITY = "5f0c2b1e"


def archive_of(folder: Path, content: str) -> Archive:
    """Make an archive; the same content is the same archive."""
    path = folder / content
    path.write_text(content)
    return Archive(path, len(content), hashlib.sha256(content.encode()).hexdigest(), images=1)


def attempt(number: int) -> Claim:
    """The claim of an attempt."""
    return Claim(ChunkKey("cats", 7), owner=f"worker-{number}", attempt=number)


def publish_to(store: BlobStore, archive: Archive, claim: Claim, identity: str = IDENTITY) -> Blob:
    """Publish at the one key that all here contend for."""
    return publish(store, archive, key=KEY, content_type="application/zip", claim=claim, identity=identity)


@pytest.fixture
def store() -> MemoryBlobStore:
    """Give an empty store."""
    return MemoryBlobStore()


@pytest.fixture
def archive(tmp_path: Path) -> Archive:
    """Give the archive to be published."""
    return archive_of(tmp_path, "ours")


@pytest.fixture
def other(tmp_path: Path) -> Archive:
    """Give an archive with other content."""
    return archive_of(tmp_path, "another")


def test_a_blob_is_created_and_says_whose_it_is(store: MemoryBlobStore, archive: Archive) -> None:
    """Without these words nobody could later tell an older attempt from a stranger."""
    blob = publish_to(store, archive, attempt(2))
    assert store.head(KEY) == blob
    assert (blob.sha256, blob.size, blob.content_type) == (archive.sha256, archive.size, "application/zip")
    assert blob.metadata == {"pixcore_status": IDENTITY, "pixcore_chunk": "7", "pixcore_attempt": "2"}


def test_publishing_again_changes_nothing(store: MemoryBlobStore, archive: Archive) -> None:
    """A queue may deliver twice."""
    assert publish_to(store, archive, attempt(2)) == publish_to(store, archive, attempt(2))


def test_a_write_whose_answer_was_lost_is_recognised(store: MemoryBlobStore, archive: Archive) -> None:
    """The first try won, unknown to us: the second must not take our own blob for a conflict."""

    class LosesAnswers(MemoryBlobStore):
        def put(self, *args: object, **kwargs: object) -> Blob:
            store.put(*args, **kwargs)  # type: ignore[arg-type] # whatever it was given
            raise StoreUnavailable("connection reset")

    with pytest.raises(StoreUnavailable):
        publish_to(LosesAnswers(), archive, attempt(2))
    stored = store.head(KEY)
    assert publish_to(store, archive, attempt(2)) == stored


def test_an_older_attempt_is_replaced(store: MemoryBlobStore, archive: Archive, other: Archive) -> None:
    """The attempt before died after its upload; this one's result is what the status will name."""
    publish_to(store, other, attempt(1))
    blob = publish_to(store, archive, attempt(2))
    assert store.head(KEY) == blob
    assert (blob.sha256, blob.metadata["pixcore_attempt"]) == (archive.sha256, "2")


def test_an_older_attempt_with_the_same_content_is_replaced_too(store: MemoryBlobStore, archive: Archive) -> None:
    """Left under the older attempt's name, the blob would be fair game for a zombie in between."""
    publish_to(store, archive, attempt(1))
    assert publish_to(store, archive, attempt(3)).metadata["pixcore_attempt"] == "3"


@pytest.mark.parametrize("newer", [2, 3])
def test_a_newer_attempt_is_left_alone(store: MemoryBlobStore, archive: Archive, other: Archive, newer: int) -> None:
    """A worker that was given up for dead must not overwrite its successor's result."""
    stored = publish_to(store, other, attempt(newer))
    with pytest.raises(ClaimLost, match=rf"attempt {newer} of chunk cats/7 has published already; this is attempt 2"):
        publish_to(store, archive, attempt(2))
    assert store.head(KEY) == stored


OURS = {"pixcore_status": IDENTITY, "pixcore_chunk": "7", "pixcore_attempt": "1"}


@pytest.mark.parametrize(
    "metadata",
    [
        {},
        OURS | {"pixcore_status": "another database"},
        OURS | {"pixcore_chunk": "8"},
        OURS | {"pixcore_attempt": "first"},
        {key: value for key, value in OURS.items() if key != "pixcore_attempt"},
    ],
)
def test_what_is_not_this_chunks_is_never_overwritten(
    store: MemoryBlobStore, archive: Archive, other: Archive, metadata: Mapping[str, str]
) -> None:
    """Somebody's file, or a chunk of the same number from another status database, is not ours to replace."""
    stored = store.put(
        KEY, other.path, sha256=other.sha256, size=other.size, content_type="text/plain", metadata=metadata
    )
    with pytest.raises(StoreConflict, match="was not written for this chunk; move it away"):
        publish_to(store, archive, attempt(2))
    assert store.head(KEY) == stored


def test_a_strangers_blob_with_the_same_content_will_do(store: MemoryBlobStore, archive: Archive) -> None:
    """A dataset that was copied here by hand is there already."""
    stored = publish_to(store, archive, attempt(9), identity="another database")
    assert publish_to(store, archive, attempt(2)) == stored


class WriteOnce(MemoryBlobStore):
    """A store that enforces creation, and can replace nothing."""

    def put(self, key: str, source: Path, *, replacing: str | None = None, **described: Any) -> Blob:  # noqa: ANN401 - as the port says
        """Refuse to replace."""
        if replacing is not None:
            raise StoreDenied("this store cannot replace")
        return super().put(key, source, **described)


def test_where_nothing_can_be_replaced_the_same_content_will_do(archive: Archive) -> None:
    """A rerun after a crash between upload and record must not fail over an archive that is there and whole."""
    store = WriteOnce()
    first = publish_to(store, archive, attempt(2))
    assert publish_to(store, archive, attempt(3)) == first


def test_where_nothing_can_be_replaced_other_content_is_refused(archive: Archive, other: Archive) -> None:
    """The store's own words say what to do; the blob is left as it is."""
    store = WriteOnce()
    first = publish_to(store, archive, attempt(2))
    with pytest.raises(StoreDenied, match="this store cannot replace"):
        publish_to(store, other, attempt(3))
    assert store.head(KEY) == first


class Meddled(MemoryBlobStore):
    """A store in which somebody does something just before each ``put``, for as long as there is something to do."""

    def __init__(self) -> None:
        super().__init__()
        self.deeds: list[Callable[[], object]] = []

    def put(self, *args: object, **kwargs: object) -> Blob:
        """Let the other one go first, undisturbed."""
        if self.deeds:
            deed, *rest = self.deeds
            self.deeds = []
            deed()
            self.deeds = rest
        return super().put(*args, **kwargs)  # type: ignore[arg-type] # whatever it was given


def test_a_race_lost_to_an_older_attempt_is_run_again(archive: Archive, other: Archive, tmp_path: Path) -> None:
    """The etag we looked up is stale when a zombie slips in between; it is still older than we are."""
    store = Meddled()
    older = partial(publish_to, store, archive_of(tmp_path, "zombie"), attempt(2))
    publish_to(store, other, attempt(1))
    store.deeds = [lambda: None, older]
    publish_to(store, archive, attempt(3))
    assert store.head(KEY).sha256 == archive.sha256


def test_a_blob_that_never_holds_still_is_given_up(archive: Archive, tmp_path: Path) -> None:
    """Another writer that ignores every rule must not keep a worker busy for ever."""
    store = Meddled()
    store.deeds = [partial(publish_to, store, archive_of(tmp_path, f"n{n}"), attempt(n)) for n in range(1, 40)]
    with pytest.raises(
        StoreConflict, match="changed 4 times while attempt 99 of chunk cats/7 tried to replace it; nothing"
    ):
        publish_to(store, archive, attempt(99))
    assert store.head(KEY).sha256 != archive.sha256
    assert store.deeds


def test_a_blob_that_vanishes_in_between_is_a_conflict(archive: Archive, other: Archive) -> None:
    """Somebody clears the store while we write: said as it is, not as an internal error."""

    class Vanishing(MemoryBlobStore):
        def head(self, key: str) -> Blob:
            raise StoreNotFound(key)

    store = Vanishing()
    publish_to(store, other, attempt(1))
    with pytest.raises(StoreConflict, match="already exists"):
        publish_to(store, archive, attempt(2))


class _Paused(BaseException):
    """Stops a publisher between two of its calls to the store."""


class Publisher(MemoryBlobStore):
    """An attempt that publishes one call to the store at a time.

    Each step begins publish anew with the answers it had so far, and stops it after one more call.
    """

    def __init__(self, store: BlobStore, claim: Claim, archive: Archive) -> None:
        super().__init__()
        self.store, self.claim, self.archive = store, claim, archive
        self.answers: list[Blob | PixcoreError] = []
        self.outcome: Blob | PixcoreError | None = None

    def step(self) -> None:
        """Make one call more; after the last, ``outcome`` is there."""
        self._known = iter(self.answers)
        try:
            self.outcome = publish_to(self, self.archive, self.claim)
        except _Paused:
            pass
        except PixcoreError as error:
            self.outcome = error

    def put(self, *args: object, **kwargs: object) -> Blob:
        """Ask the store, or remember what it said."""
        return self._call(lambda: self.store.put(*args, **kwargs))  # type: ignore[arg-type] # whatever it was given

    def head(self, key: str) -> Blob:
        """Ask the store, or remember what it said."""
        return self._call(lambda: self.store.head(key))

    def _call(self, call: Callable[[], Blob]) -> Blob:
        answer = next(self._known, None)
        if answer is None:
            try:
                self.answers.append(call())
            except PixcoreError as error:
                self.answers.append(error)
            raise _Paused
        if isinstance(answer, Blob):
            return answer
        raise answer


@pytest.fixture(scope="module")
def archives(tmp_path_factory: pytest.TempPathFactory) -> list[Archive]:
    """Give a few archives."""
    return [archive_of(tmp_path_factory.mktemp("archives"), content) for content in ("a", "b", "c")]


@given(
    contents=st.lists(st.integers(0, 2), min_size=2, max_size=4),
    order=st.lists(st.integers(0, 3), max_size=30),
    deaf=st.booleans(),
)
def test_zombies_never_overwrite_a_newer_attempt(
    archives: list[Archive], contents: list[int], order: list[int], *, deaf: bool
) -> None:
    """However the calls of several attempts interleave, the blob ends up as the newest one that published left it."""
    store = MemoryBlobStore()
    publishers = [Publisher(store, attempt(n), archives[content]) for n, content in enumerate(contents, 1)]
    turns = [publishers[turn % len(publishers)] for turn in order]
    # afterwards all go on to their ends: the newest first or the oldest first
    endings = sorted(publishers, key=lambda publisher: publisher.claim.attempt, reverse=deaf)
    newest = 0
    for publisher in turns + [publisher for publisher in endings for _ in range(20)]:
        if publisher.outcome is None:
            publisher.step()
            at = stored_attempt(store)
            assert at >= newest
            newest = at
    assert all(isinstance(publisher.outcome, Blob | ClaimLost) for publisher in publishers)
    last = max((p for p in publishers if isinstance(p.outcome, Blob)), key=lambda p: p.claim.attempt)
    assert store.head(KEY).sha256 == last.archive.sha256


def stored_attempt(store: BlobStore) -> int:
    """The attempt that the blob names; 0 while there is none."""
    try:
        return int(store.head(KEY).metadata["pixcore_attempt"])
    except StoreNotFound:
        return 0


def test_only_the_content_decides_not_where_it_lies(store: MemoryBlobStore, archive: Archive, tmp_path: Path) -> None:
    """An attempt packs into a directory of its own."""
    stored = publish_to(store, archive, attempt(2))
    elsewhere = tmp_path / "elsewhere"
    elsewhere.write_bytes(archive.path.read_bytes())
    assert publish_to(store, evolve(archive, path=elsewhere), attempt(2)) == stored
