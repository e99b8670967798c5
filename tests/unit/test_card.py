"""The card sums up the chunks' records once all have ended, and text from outside cannot break it."""

import hashlib
import logging
from collections.abc import Callable, Iterator, Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
import yaml
from attrs import define, evolve, field
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from pixcore import (
    Blob,
    BlobStore,
    Chunk,
    ChunkRecord,
    ChunkRequest,
    ChunkResult,
    Progress,
    RetryPolicy,
    Slice,
    Status,
    StoreConflict,
    StoreDenied,
    TransientError,
)
from pixcore.model.claims import Claimed
from pixcore_adapters.blob_store.memory import MemoryBlobStore
from pixcore_adapters.outputs.card import counts, readme
from pixcore_adapters.outputs.card.counts import DatasetCounts, Frequencies, count
from pixcore_adapters.outputs.card.text import plain
from pixcore_adapters.status_repo.memory import MemoryStatusRepo
from pixcore_runners.observing import card_refresh

CARD, CROISSANT = "cats/README.md", "cats/croissant.json"


@define
class Home:
    """A dataset ``cats`` whose chunks end as a test wants, and the store for its card."""

    status: MemoryStatusRepo = field(factory=MemoryStatusRepo)
    store: MemoryBlobStore = field(factory=MemoryBlobStore)

    def plan(self, index: int, target: int = 10, keyword: str = "cat", label: str = "") -> Chunk:
        """Plan a chunk."""
        request = ChunkRequest(index, keyword, target, (Slice("urls", "q", 0, 99),), dataset="cats", label=label)
        (chunk,) = self.status.ensure([request])
        return chunk

    def claim(self, chunk: Chunk) -> Claimed:
        """Claim a chunk."""
        claimed = self.status.claim(chunk.key, "owner", 60)
        assert isinstance(claimed, Claimed)
        return claimed

    def complete(
        self,
        chunk: Chunk,
        images: int = 10,
        tally: Mapping[str, Mapping[str, int]] | None = None,
        left_out: Progress = Progress(),  # noqa: B008 - frozen
        suffix: str = ".zip",
        *,
        columns: Mapping[str, str] | None = None,
        version: int = 2,
    ) -> None:
        """Claim a chunk and complete it."""
        claim = self.claim(chunk).claim
        url = f"memory:///{chunk.key.blob_key(suffix)}"
        progress = evolve(left_out, accepted=images)
        target = chunk.request.target
        result = ChunkResult(url, "5" * 64, 1_000, target, claim.attempt, progress, {}, tally or {})
        result = evolve(result, columns=columns or {}, archive_version=version)
        self.status.complete(claim, result)

    def fail(self, chunk: Chunk) -> None:
        """Claim a chunk and fail it permanently."""
        self.status.fail(self.claim(chunk).claim, "no image", retry_in=None)

    def counts(self) -> DatasetCounts:
        """Add up the chunks."""
        return count("cats", self.status.newer("cats", 0))

    def publish(self, store: BlobStore | None = None, attempts: int = 5) -> None:
        """Write the card, without a wait between retries."""
        policy = RetryPolicy(attempts)
        card_refresh.publish("cats", self.status, store or self.store, policy=policy, sleep=lambda _: None)

    def card_text(self) -> str:
        """Return the card of what is recorded now."""
        return readme.card(self.counts()).decode()

    def card(self) -> str:
        """Return the card in the store."""
        with self.store.open(CARD) as blob:
            return blob.read().decode()


@pytest.fixture
def home() -> Home:
    """Return a dataset without chunks."""
    return Home()


def front_matter(card: bytes) -> dict[str, Any]:
    """Return the card's YAML."""
    loaded: dict[str, Any] = yaml.safe_load(card.decode().split("---\n")[1])
    return loaded


def table(card: bytes, heading: str) -> list[list[str]]:
    """Return the rows of the table whose first column has this heading, as rendered."""
    tokens = MarkdownIt("gfm-like", {"linkify": False}).parse(card.decode())
    cells: list[list[str]] = []
    for before, token in pairwise(tokens):
        if before.type == "table_open":
            cells = []
        if before.type == "tr_open":
            cells.append([])
        if before.type in ("td_open", "th_open"):
            cells[-1].append("".join(child.content for child in token.children or ()))
        if token.type == "table_close" and cells[0][0] == heading:
            return cells[1:]
    raise AssertionError(f"no table {heading}")


def test_its_yaml_tells_loaders_which_files_are_the_dataset(home: Home) -> None:
    """Without it, loaders would take the files beside the archives for data."""
    home.complete(home.plan(0))
    assert front_matter(readme.card(home.counts())) == {
        "pretty_name": "cats",
        "license": "other",
        "size_categories": ["n<1K"],
        "configs": [{"config_name": "default", "data_files": [{"split": "train", "path": "data/chunk_*.zip"}]}],
    }


def test_its_yaml_declares_the_columns_of_all_archives(home: Home) -> None:
    """Otherwise ``datasets`` drops columns that the archive that it reads first does not have."""
    for index, (column, kind) in enumerate((("n", "integer"), ("a: b", "string"))):
        home.complete(home.plan(index), columns={"file_name": "string", column: kind})
    (config,) = front_matter(readme.card(home.counts()))["configs"]
    assert config["features"] == [
        {"name": "image", "dtype": "image"},
        {"name": "n", "dtype": "int64"},
        {"name": "a: b", "dtype": "string"},
    ]
    assert "with null for an image whose" in home.card_text()
    home.complete(home.plan(2))  # as older versions recorded it: it may have further columns, which must not be dropped
    assert "features" not in front_matter(readme.card(home.counts()))["configs"][0]


def test_archives_of_an_older_format_are_named(home: Home) -> None:
    """``load_dataset`` refuses them together with others, and the remedy is not obvious."""
    for index, version in enumerate((1, 2)):
        home.complete(home.plan(index), version=version)
        assert ("pixcore export cats --format imagefolder" in home.card_text()) == (version == 2)


def test_archives_of_another_kind_are_to_be_loaded_separately(home: Home) -> None:
    """No loader reads both kinds at once; it would ignore the rows of one of them."""
    for index, suffix in enumerate((".zip", ".tar", ".tar")):
        home.complete(home.plan(index), suffix=suffix)
    card = readme.card(home.counts())
    (config,) = front_matter(card)["configs"]
    assert config["data_files"] == [{"split": "train", "path": "data/chunk_*.tar"}]
    assert 'load_dataset("path/to/cats", data_files="data/chunk_*.zip", split="train")' in card.decode()


@pytest.mark.parametrize(
    ("licenses", "name"),
    [
        ({"CC BY 4.0": 10}, "cc-by-4.0"),
        ({"CC0 1.0": 10}, "cc0-1.0"),
        ({"CC0": 10}, "cc0-1.0"),
        ({"CC BY 1.0": 10}, "other"),
        ({"All rights reserved": 10}, "other"),
        ({"CC BY 4.0": 9, "CC BY 3.0": 1}, "other"),
        ({"CC BY 4.0": 9, "": 1}, "other"),
        ({"CC BY 4.0": 9}, "other"),
        ({}, "other"),
    ],
)
def test_a_licence_is_named_only_where_every_image_has_it(home: Home, licenses: dict[str, int], name: str) -> None:
    """People filter datasets by this field; one image with another licence makes it wrong."""
    home.complete(home.plan(0), tally={"license": licenses})
    assert front_matter(readme.card(home.counts()))["license"] == name


@pytest.mark.parametrize(
    ("images", "size"), [(999, "n<1K"), (1_000, "1K<n<10K"), (9_999_999, "1M<n<10M"), (10**13, "n>1T")]
)
def test_its_size_is_one_of_the_classes_of_the_hub(images: int, size: str) -> None:
    """The hub knows a dozen classes and rejects other values."""
    assert front_matter(readme.card(DatasetCounts("cats", images=images)))["size_categories"] == [size]


def test_its_tables_add_the_chunks_up(home: Home) -> None:
    """The most frequent value comes first, and images without a recorded value are counted, too."""
    tally = {"source": {"openverse": 7, "urls": 1}, "license": {"CC BY 4.0": 8}, "format": {"JPEG": 8}}
    home.complete(home.plan(0), 8, tally, Progress(missed={"http_404": 3}, rejected={"too_small": 2}))
    home.complete(home.plan(1, keyword="dog", label="pet"), 2, left_out=Progress(missed={"http_404": 1, "tls": 1}))
    home.fail(home.plan(2))
    card = readme.card(home.counts())
    assert table(card, "Source") == [["openverse", "7"], ["not stated", "2"], ["urls", "1"]]
    assert table(card, "Licence") == [["CC BY 4.0", "8"], ["not stated", "2"]]
    assert table(card, "Label") == [["cat", "cat", "8"], ["pet", "dog", "2"]]
    assert table(card, "Not downloaded because") == [["http_404", "4"], ["tls", "1"]]
    assert table(card, "Rejected because") == [["too_small", "2"]]
    assert "10 images in 2 archives, 2.0 kB" in card.decode()
    assert "The plan asked for 30 images: 20 are missing." in card.decode()
    assert "fewer images than planned: 2. Failed chunks without an archive: 1." in card.decode().replace("\n  ", " ")


def test_a_full_dataset_has_nothing_missing(home: Home) -> None:
    """A limit that does not apply would make readers doubt the others."""
    home.complete(home.plan(0))
    assert "missing" not in readme.card(home.counts()).decode()


def test_formats_that_a_loader_may_not_read_are_named(home: Home) -> None:
    """Without the sentence, users find it out in training; it would only distract where no image has the format."""
    home.complete(home.plan(0), tally={"format": {"JPEG": 10}})
    assert "Not every loader reads" not in readme.card(home.counts()).decode()
    home.complete(home.plan(1), tally={"format": {"JPEG": 7, "AVIF": 2, "HEIF": 1}})
    card = " ".join(readme.card(home.counts()).decode().split())
    assert "Not every loader reads the 2 AVIF images and the 1 HEIF image: Pillow," in card
    assert "reads AVIF from version 11.3 on and HEIF after `pillow_heif.register_heif_opener()`; torch" in card


def test_a_table_ends_with_all_that_it_does_not_show(home: Home) -> None:
    """A card cannot show a thousand labels, and without the rest the sum would be wrong."""
    for number in range(60):
        home.complete(home.plan(number, keyword=f"word {number:02}"), images=1 + number // 50)
    rows = table(readme.card(home.counts()), "Label")
    assert (len(rows), rows[0], rows[-1]) == (51, ["word 50", "word 50", "2"], ["all others", "", "10"])


def test_only_so_many_values_are_counted_separately(monkeypatch: pytest.MonkeyPatch) -> None:
    """A list may give every image a licence of its own; a worker's memory must not grow with the list."""
    monkeypatch.setattr(counts, "_VALUES", 2)
    frequencies = Frequencies()
    for value in ("a", "b", "c" * 10_000, "b", "d"):
        frequencies.add(1, value)
    assert (frequencies.top(9), frequencies.others, frequencies.total) == ([(("b",), 2), (("a",), 1)], 2, 5)


@given(st.text(st.characters(), min_size=1) | st.text("<>&\"'|`*_[]()!#~\\:@.w/- \n\r\t\x85\u2028x1", min_size=1))
def test_a_value_from_outside_is_only_text(value: str) -> None:
    """Otherwise a licence or a label could put a link, a picture or a script into the card, or break its tables."""
    home = Home()
    home.complete(home.plan(0), tally={"license": {value: 10}})
    card = readme.card(home.counts())
    assert table(card, "Licence") == [[plain(value).strip() or "not stated", "10"]]
    html = MarkdownIt("gfm-like", {"html": True, "linkify": False}).render(card.decode().split("---\n", 2)[2])
    assert {tag for tag in ("<a", "<img", "<em", "<strong", "<s>", "<script", "<b>") if tag in html} == set()


def test_a_very_long_value_is_shortened() -> None:
    """Otherwise one creator's licence would be most of the card."""
    assert plain("long " * 1000) == f"{'long ' * 20}"[:99] + "…"


def test_both_files_are_written_when_the_last_chunk_has_ended(home: Home) -> None:
    """They are beside ``data/``, with the content types that browsers need."""
    home.complete(home.plan(0))
    home.fail(home.plan(1))
    home.publish()
    assert [(blob.key, blob.content_type) for blob in home.store.list("cats")] == [
        (CARD, "text/markdown"),
        (CROISSANT, "application/ld+json"),
    ]


@pytest.mark.parametrize("status", [Status.PENDING, Status.PROCESSING])
def test_nothing_is_written_while_a_chunk_is_left_to_do(home: Home, status: Status) -> None:
    """The card would describe half a dataset as the whole."""
    home.complete(home.plan(0))
    chunk = home.plan(1)
    if status is Status.PROCESSING:
        home.claim(chunk)
    home.publish()
    assert list(home.store.list()) == []


def test_a_chunk_that_is_reopened_while_others_are_counted_stops_the_card(home: Home) -> None:
    """It had ended when the check began; the counts will change."""
    chunk = home.plan(0)
    home.complete(chunk)
    store = Meddled(on_head=lambda: home.status.reopen(chunk.key))
    home.publish(store)
    assert list(store.list()) == []


def test_nothing_is_written_if_no_chunk_was_completed(home: Home) -> None:
    """Loaders would look for archives that do not exist."""
    home.fail(home.plan(0))
    home.publish()
    assert list(home.store.list()) == []


def test_chunks_without_a_dataset_have_no_card(home: Home) -> None:
    """They only share a namespace; they are no dataset."""
    (chunk,) = home.status.ensure([ChunkRequest(7, "cat", 10, (Slice("urls", "q", 0, 9),))])
    home.complete(chunk)
    card_refresh.publish("", home.status, home.store)
    assert list(home.store.list()) == []


def test_a_retry_that_adds_images_updates_the_card(home: Home) -> None:
    """Otherwise the card would describe the first run for ever."""
    chunk = home.plan(0)
    home.complete(chunk, 4)
    home.publish()
    home.status.reopen(chunk.key)
    home.publish()
    assert "4 images in 1 archives" in home.card()  # the retry has not ended
    home.complete(chunk, 9)
    home.publish()
    assert "9 images in 1 archives" in home.card()


def test_a_chunk_that_fails_in_a_retry_keeps_its_archive_in_the_card(home: Home) -> None:
    """Its earlier archive is still stored, and loaders find it."""
    chunk = home.plan(0)
    home.complete(chunk, 4)
    home.status.reopen(chunk.key)
    home.fail(chunk)
    home.publish()
    assert "4 images in 1 archives" in home.card()


def test_an_unchanged_card_is_not_written_again(home: Home) -> None:
    """Every worker that ends a chunk checks the card; that alone must not cause writes."""
    home.complete(home.plan(0))
    home.publish()
    before = [blob.etag for blob in home.store.list()]
    home.publish()
    assert [blob.etag for blob in home.store.list()] == before


def test_a_file_that_pixcore_did_not_write_stays_and_is_reported(home: Home, tmp_path: Path) -> None:
    """A user's own README is worth more than ours. The other file is written nevertheless."""
    home.complete(home.plan(0))
    put(home.store, CARD, b"# My cats\n", tmp_path)
    with pytest.raises(
        StoreConflict, match=r"memory:///cats/README.md was not written by pixcore .* move it elsewhere"
    ):
        home.publish()
    assert home.card() == "# My cats\n"
    assert home.store.head(CROISSANT).size > 0


def test_a_card_of_another_status_database_stays(home: Home) -> None:
    """A dataset of the same name there has chunks that this database does not know."""
    home.complete(home.plan(0))
    home.publish()
    other = Home(store=home.store)
    other.complete(other.plan(0), 5)
    with pytest.raises(StoreConflict, match="not written by pixcore from this status database"):
        other.publish()
    assert "10 images" in home.card()


@pytest.mark.parametrize("moment", ["on_head", "on_put"])
def test_of_two_workers_the_one_that_counted_later_wins(home: Home, moment: str) -> None:
    """The first one paused, before it read the old card or before it wrote: its counts are outdated."""
    chunk = home.plan(0)
    home.complete(chunk, 4)
    home.publish()

    def meanwhile() -> None:
        home.status.reopen(chunk.key)
        home.complete(chunk, 8)
        home.publish()

    home.status.reopen(chunk.key)
    home.complete(chunk, 5)
    home.publish(Meddled(home.store, **{moment: meanwhile}))
    assert "8 images in 1 archives" in home.card()


def test_a_worker_that_always_loses_the_race_gives_up(home: Home) -> None:
    """It has chunks to work on."""
    home.complete(home.plan(0))
    store = Meddled(always=StoreConflict("there"))
    with pytest.raises(TransientError, match=r"another worker wrote cats/README.md at the same moment"):
        home.publish(store, attempts=3)
    assert store.puts == 3


def test_if_the_store_cannot_replace_blobs_the_old_card_stays_with_a_warning(
    home: Home, caplog: pytest.LogCaptureFixture
) -> None:
    """Some stores only create blobs. The retried chunks are stored nevertheless, so the refresh must not fail."""
    chunk = home.plan(0)
    home.complete(chunk, 4)
    home.publish()
    home.status.reopen(chunk.key)
    home.complete(chunk, 9)
    store = Meddled(home.store, always=StoreDenied("this store cannot replace"))
    with pytest.raises(StoreDenied, match=r"memory:///cats/README.md was not replaced: this store cannot replace"):
        home.publish(store)
    card_refresh.refresh("cats", home.status, store)
    assert "4 images" in home.card()
    assert [(record.levelno, record.name) for record in caplog.records] == [(logging.WARNING, "pixcore")]
    assert "the card of dataset cats is not up to date: memory:///cats/README.md was not replaced" in caplog.text


def test_no_mistake_in_the_card_fails_a_chunk(home: Home, caplog: pytest.LogCaptureFixture) -> None:
    """The chunk is already stored; the log has the error with its traceback."""
    home.complete(home.plan(0))
    card_refresh.refresh("cats", home.status, Meddled(always=RuntimeError("a mistake")))
    assert "the card of dataset cats is not up to date" in caplog.text
    assert "RuntimeError: a mistake" in caplog.text


def test_an_exception_that_stops_a_worker_passes(home: Home) -> None:
    """A queue's time limit is an ordinary exception, and it must end the job."""

    class TimeIsUp(Exception):
        """A time limit as queues raise it."""

    home.complete(home.plan(0))
    with pytest.raises(TimeIsUp):
        card_refresh.refresh("cats", home.status, Meddled(always=TimeIsUp()), interrupts=(TimeIsUp,))


class Meddled(MemoryBlobStore):
    """A store, or a view of one, that calls a function before the first head or put, or fails every put."""

    def __init__(
        self,
        seen: MemoryBlobStore | None = None,
        *,
        on_head: Callable[[], object] | None = None,
        on_put: Callable[[], object] | None = None,
        always: Exception | None = None,
    ) -> None:
        super().__init__()
        if seen:
            self.__dict__.update(seen.__dict__)
        self._on_head, self._on_put, self._always = on_head, on_put, always
        self.puts = 0

    def head(self, key: str) -> Blob:
        """See ``BlobStore.head``."""
        if meddle := self._on_head:
            self._on_head = None
            meddle()
        return super().head(key)

    def put(self, *args: object, **kwargs: object) -> Blob:
        """See ``BlobStore.put``."""
        self.puts += 1
        if self._always:
            raise self._always
        if meddle := self._on_put:
            self._on_put = None
            meddle()
        return super().put(*args, **kwargs)  # type: ignore[arg-type] # the same


def put(store: BlobStore, key: str, data: bytes, folder: Path) -> None:
    """Store bytes as a user would."""
    file = folder / "file"
    file.write_bytes(data)
    store.put(
        key, file, sha256=hashlib.sha256(data).hexdigest(), size=len(data), content_type="text/plain", metadata={}
    )


def test_a_growing_dataset_is_counted_by_its_new_chunks_alone(home: Home) -> None:
    """Callers add chunks one by one, and every end finds the dataset complete: reading all would take the square.

    The card is the one that all records give, also after an earlier chunk was attempted again.
    """
    read: list[int] = []
    newer = MemoryStatusRepo.newer

    def recorded(status: MemoryStatusRepo, dataset: str, after: int) -> Iterator[ChunkRecord]:
        for record in newer(status, dataset, after):
            read.append(record.chunk.id)
            yield record

    def published() -> int:
        read.clear()
        with patch.object(MemoryStatusRepo, "newer", recorded):
            home.publish()
        assert home.card() == home.card_text()
        return len(read)

    chunks = [home.plan(index) for index in reversed(range(counts.ARCHIVES))]
    for number, chunk in enumerate(chunks):
        home.complete(chunk, tally={"label": {f"label {number % 7}": 10}}, columns={f"c{number % 3}": "string"})
    home.fail(home.plan(3_000))
    assert published() == len(chunks) + 1
    for index in (2_000, 1_000):
        home.complete(home.plan(index), images=9, tally={"license": {"CC BY 4.0": 9}})
        assert published() == 1
    assert published() == 0
    home.status.reopen(chunks[0].key)
    home.complete(chunks[0], images=4)
    assert published() == len(chunks) + 3
    assert published() == 0


def test_counts_of_another_version_are_not_used(home: Home) -> None:
    """They may lack sums that this version shows."""
    for index in range(counts.ARCHIVES + 1):
        home.complete(home.plan(index))
    home.publish()
    home.status.keep_counts(
        "cats", home.status.kept_counts("cats").replace('"archives"', '"shards"').replace("10", "7")
    )
    home.complete(home.plan(500))
    home.publish()
    assert home.card() == home.card_text()
