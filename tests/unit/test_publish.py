"""Check when publish creates, recognises, replaces or refuses a blob, and that it never harms a newer attempt."""

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
    """Create an archive; equal content gives an equal archive."""
    path = folder / content
    path.write_text(content)
    return Archive(path, len(content), hashlib.sha256(content.encode()).hexdigest(), images=1)


def attempt(number: int) -> Claim:
    """Return the claim of an attempt."""
    return Claim(ChunkKey("cats", 7), owner=f"worker-{number}", attempt=number)


def publish_to(store: BlobStore, archive: Archive, claim: Claim, identity: str = IDENTITY) -> Blob:
    """Publish at the one key that all tests here use."""
    return publish(store, archive, key=KEY, content_type="application/zip", claim=claim, identity=identity)


@pytest.fixture
def store() -> MemoryBlobStore:
    """Return an empty store."""
    return MemoryBlobStore()


@pytest.fixture
def archive(tmp_path: Path) -> Archive:
    """Return the archive to publish."""
    return archive_of(tmp_path, "ours")


@pytest.fixture
def other(tmp_path: Path) -> Archive:
    """Return an archive with other content."""
    return archive_of(tmp_path, "another")


def test_a_new_blob_names_its_database_chunk_and_attempt(store: MemoryBlobStore, archive: Archive) -> None:
    """Later attempts need this metadata to tell an older attempt's blob from a foreign one."""
    blob = publish_to(store, archive, attempt(2))
    assert store.head(KEY) == blob
    assert (blob.sha256, blob.size, blob.content_type) == (archive.sha256, archive.size, "application/zip")
    assert blob.metadata == {"pixcore_status": IDENTITY, "pixcore_chunk": "7", "pixcore_attempt": "2"}


def test_publishing_again_changes_nothing(store: MemoryBlobStore, archive: Archive) -> None:
    """A queue may deliver a chunk twice."""
    assert publish_to(store, archive, attempt(2)) == publish_to(store, archive, attempt(2))


def test_a_retry_recognises_the_blob_of_a_put_whose_response_was_lost(store: MemoryBlobStore, archive: Archive) -> None:
    """If the first put succeeded without a response, the second must not treat our own blob as a conflict."""

    class LosesResponses(MemoryBlobStore):
        def put(self, *args: object, **kwargs: object) -> Blob:
            store.put(*args, **kwargs)  # type: ignore[arg-type] # passed on unchanged
            raise StoreUnavailable("connection reset")

    with pytest.raises(StoreUnavailable):
        publish_to(LosesResponses(), archive, attempt(2))
    stored = store.head(KEY)
    assert publish_to(store, archive, attempt(2)) == stored


def test_an_older_attempt_is_replaced(store: MemoryBlobStore, archive: Archive, other: Archive) -> None:
    """If the attempt before died after its upload, the blob must become the one that the status will name."""
    publish_to(store, other, attempt(1))
    blob = publish_to(store, archive, attempt(2))
    assert store.head(KEY) == blob
    assert (blob.sha256, blob.metadata["pixcore_attempt"]) == (archive.sha256, "2")


def test_an_older_attempt_with_the_same_content_is_replaced_too(store: MemoryBlobStore, archive: Archive) -> None:
    """A blob that kept the older attempt's number could be replaced by an attempt in between."""
    publish_to(store, archive, attempt(1))
    assert publish_to(store, archive, attempt(3)).metadata["pixcore_attempt"] == "3"


@pytest.mark.parametrize("newer", [2, 3])
def test_a_newer_attempt_is_left_alone(store: MemoryBlobStore, archive: Archive, other: Archive, newer: int) -> None:
    """A worker whose lease expired must not overwrite the result of its successor."""
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
def test_a_blob_of_another_chunk_is_never_overwritten(
    store: MemoryBlobStore, archive: Archive, other: Archive, metadata: Mapping[str, str]
) -> None:
    """A user's file, or a chunk of the same number from another status database, must not be replaced."""
    stored = store.put(
        KEY, other.path, sha256=other.sha256, size=other.size, content_type="text/plain", metadata=metadata
    )
    with pytest.raises(StoreConflict, match="was not written for this chunk; move it away"):
        publish_to(store, archive, attempt(2))
    assert store.head(KEY) == stored


def test_a_foreign_blob_with_the_same_content_is_accepted(store: MemoryBlobStore, archive: Archive) -> None:
    """A dataset that a user copied here by hand needs no upload."""
    stored = publish_to(store, archive, attempt(9), identity="another database")
    assert publish_to(store, archive, attempt(2)) == stored


class WriteOnce(MemoryBlobStore):
    """A store that can create blobs but not replace them."""

    def put(self, key: str, source: Path, *, replacing: str | None = None, **described: Any) -> Blob:  # noqa: ANN401 - as the port says
        """Refuse to replace."""
        if replacing is not None:
            raise StoreDenied("this store cannot replace")
        return super().put(key, source, **described)


def test_a_store_that_cannot_replace_accepts_the_same_content(archive: Archive) -> None:
    """A rerun after a crash between upload and record must not fail because the complete archive already exists."""
    store = WriteOnce()
    first = publish_to(store, archive, attempt(2))
    assert publish_to(store, archive, attempt(3)) == first


def test_a_store_that_cannot_replace_refuses_other_content(archive: Archive, other: Archive) -> None:
    """The error of the store says what to do, and the blob stays unchanged."""
    store = WriteOnce()
    first = publish_to(store, archive, attempt(2))
    with pytest.raises(StoreDenied, match="this store cannot replace"):
        publish_to(store, other, attempt(3))
    assert store.head(KEY) == first


class Contended(MemoryBlobStore):
    """A store that runs the next of ``interventions`` just before each ``put``, until none is left."""

    def __init__(self) -> None:
        super().__init__()
        self.interventions: list[Callable[[], object]] = []

    def put(self, *args: object, **kwargs: object) -> Blob:
        """Run the next intervention, whose own puts trigger no other, and then put."""
        if self.interventions:
            intervention, *rest = self.interventions
            self.interventions = []
            intervention()
            self.interventions = rest
        return super().put(*args, **kwargs)  # type: ignore[arg-type] # passed on unchanged


def test_a_put_that_lost_a_race_to_an_older_attempt_is_repeated(
    archive: Archive, other: Archive, tmp_path: Path
) -> None:
    """A stale attempt may change the etag between our head and our put; it is still older than ours."""
    store = Contended()
    older = partial(publish_to, store, archive_of(tmp_path, "zombie"), attempt(2))
    publish_to(store, other, attempt(1))
    store.interventions = [lambda: None, older]
    publish_to(store, archive, attempt(3))
    assert store.head(KEY).sha256 == archive.sha256


def test_publish_gives_up_on_a_blob_that_keeps_changing(archive: Archive, tmp_path: Path) -> None:
    """Another writer that follows no rules must not keep a worker busy for ever."""
    store = Contended()
    store.interventions = [partial(publish_to, store, archive_of(tmp_path, f"n{n}"), attempt(n)) for n in range(1, 40)]
    with pytest.raises(
        StoreConflict, match="changed 4 times while attempt 99 of chunk cats/7 tried to replace it; nothing"
    ):
        publish_to(store, archive, attempt(99))
    assert store.head(KEY).sha256 != archive.sha256
    assert store.interventions


def test_a_blob_that_vanishes_in_between_is_a_conflict(archive: Archive, other: Archive) -> None:
    """If another process deletes the blob while we write, the error must name the conflict, not be an internal one."""

    class Vanishing(MemoryBlobStore):
        def head(self, key: str) -> Blob:
            raise StoreNotFound(key)

    store = Vanishing()
    publish_to(store, other, attempt(1))
    with pytest.raises(StoreConflict, match="already exists"):
        publish_to(store, archive, attempt(2))


class _Paused(BaseException):
    """Stops a publisher between two calls to the store."""


class Publisher(MemoryBlobStore):
    """An attempt that publishes one call to the store at a time.

    Each step runs publish again from its start, replays the recorded answers, and stops after one more call.
    """

    def __init__(self, store: BlobStore, claim: Claim, archive: Archive) -> None:
        super().__init__()
        self.store, self.claim, self.archive = store, claim, archive
        self.answers: list[Blob | PixcoreError] = []
        self.outcome: Blob | PixcoreError | None = None

    def step(self) -> None:
        """Make one more call; the last one sets ``outcome``."""
        self._recorded = iter(self.answers)
        try:
            self.outcome = publish_to(self, self.archive, self.claim)
        except _Paused:
            pass
        except PixcoreError as error:
            self.outcome = error

    def put(self, *args: object, **kwargs: object) -> Blob:
        """Call the store, or replay its recorded answer."""
        return self._call(lambda: self.store.put(*args, **kwargs))  # type: ignore[arg-type] # passed on unchanged

    def head(self, key: str) -> Blob:
        """Call the store, or replay its recorded answer."""
        return self._call(lambda: self.store.head(key))

    def _call(self, call: Callable[[], Blob]) -> Blob:
        answer = next(self._recorded, None)
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
    """Return three different archives."""
    return [archive_of(tmp_path_factory.mktemp("archives"), content) for content in ("a", "b", "c")]


@given(
    contents=st.lists(st.integers(0, 2), min_size=2, max_size=4),
    order=st.lists(st.integers(0, 3), max_size=30),
    newest_first=st.booleans(),
)
def test_stale_attempts_never_overwrite_a_newer_one(
    archives: list[Archive], contents: list[int], order: list[int], *, newest_first: bool
) -> None:
    """However the calls of several attempts interleave, the blob of the newest published attempt must remain."""
    store = MemoryBlobStore()
    publishers = [Publisher(store, attempt(n), archives[content]) for n, content in enumerate(contents, 1)]
    turns = [publishers[turn % len(publishers)] for turn in order]
    # afterwards all publishers run to their ends, the newest first or the oldest first
    endings = sorted(publishers, key=lambda publisher: publisher.claim.attempt, reverse=newest_first)
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
    """Return the attempt that the blob names, or 0 while there is no blob."""
    try:
        return int(store.head(KEY).metadata["pixcore_attempt"])
    except StoreNotFound:
        return 0


def test_the_content_decides_not_the_path_of_the_archive(
    store: MemoryBlobStore, archive: Archive, tmp_path: Path
) -> None:
    """Each attempt packs into a directory of its own."""
    stored = publish_to(store, archive, attempt(2))
    elsewhere = tmp_path / "elsewhere"
    elsewhere.write_bytes(archive.path.read_bytes())
    assert publish_to(store, evolve(archive, path=elsewhere), attempt(2)) == stored
