"""Every candidate of a chunk has a line that says what became of it, and a person can read it as a sentence."""

import gzip
import json
from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from attrs import evolve
from memory_assembly import MemoryAssembly, copy, picture

from pixcore import (
    Accepted,
    Candidate,
    CandidateKey,
    ChunkKey,
    ChunkRequest,
    Claimed,
    Done,
    Download,
    Fingerprint,
    Miss,
    NoValidImages,
    Quality,
    Rejected,
    Slice,
)
from pixcore.chunk.context import AttemptContext
from pixcore.chunk.outcome_log import OutcomeLog
from pixcore.model.chunks import ChunkResult
from pixcore.model.images import Transfer
from pixcore.model.outcomes import KEYS, OutcomeLines, to_bytes
from pixcore.stored.archives import StoredArchives
from pixcore.stored.explaining import find, sentence
from pixcore.stored.outcomes import has_outcomes, outcome_lines
from pixcore_adapters.memory import MemoryPreviewer

LIST = Slice("memory", "q", 0, 12, "lists/q")
SMALL, LARGE = 60, 200  # sides of copies; a picture has 100
GARBAGE = b"no picture"


@pytest.fixture
def assembly(tmp_path: Path) -> MemoryAssembly:
    """Return the adapters, with candidates of every fate: the eighth fills the chunk."""
    several = [picture(0), None, GARBAGE, picture(0), copy(1), picture(1), copy(1, "best", LARGE), picture(2)]
    return MemoryAssembly(tmp_path / "work", [*several, *(picture(number) for number in range(3, 7))])


def listed(slices: Sequence[Slice]) -> Iterator[Candidate]:
    """Yield the candidates of slices of the list."""
    for part in slices:
        for position in range(part.start, part.stop):
            yield Candidate(CandidateKey("memory", "q", position), f"memory:q/{position}")


def planned(assembly: MemoryAssembly, target: int, stop: int = 12) -> ChunkKey:
    """Plan a chunk of the list."""
    (chunk,) = assembly.status.ensure([ChunkRequest(0, "cat", target, [evolve(LIST, stop=stop)], "d")])
    return chunk.key


def run(assembly: MemoryAssembly, key: ChunkKey, **changes: Any) -> ChunkResult:  # noqa: ANN401 - of the pipeline
    """Run a chunk that completes."""
    outcome = assembly.pipeline(listed=listed, **changes).run(key)
    assert isinstance(outcome, Done)
    return outcome.result


def archives(assembly: MemoryAssembly) -> StoredArchives:
    """Return what reads the store."""
    return StoredArchives(assembly.store, [assembly.archiver], assembly.work)


def lines(assembly: MemoryAssembly, key: ChunkKey) -> list[dict[str, Any]]:
    """Read the outcomes of a chunk."""
    return list(outcome_lines(assembly.status.get(key), archives(assembly)))


def test_every_candidate_has_a_line_in_order_and_the_totals_are_the_counts(assembly: MemoryAssembly) -> None:
    """Nothing may be lost between the counts of the status database and the list of the candidates."""
    key = planned(assembly, 3)
    result = run(assembly, key)
    found = lines(assembly, key)
    assert [line["position"] for line in found] == [*range(12)]
    assert [line["url"] for line in found] == [f"memory:q/{position}" for position in range(12)]
    fates = ["accepted", "gone", "not_an_image", "duplicate", "near_duplicate", "near_duplicate", "accepted"]
    assert [line["outcome"] for line in found] == [*fates, "accepted", *["not_tried"] * 4]
    counted = Counter(result.progress.rejected) + Counter(result.progress.missed) + Counter(accepted=3, not_tried=4)
    assert Counter(line["outcome"] for line in found) == counted
    assert all(list(line) == [column for column in KEYS if column in line] for line in found)
    assert all(value not in (None, "") for line in found for value in line.values())


def test_a_line_names_the_image_that_is_kept_in_the_end(assembly: MemoryAssembly) -> None:
    """A copy may be compared with an image that a still better copy displaces later; samples name the same image."""
    key = planned(assembly, 3)
    result = run(assembly, key)
    found = lines(assembly, key)
    best = found[6]
    assert {(line["twin"], line["twin_url"]) for line in found[4:6]} == {(best["sha256"], "memory:q/6")}
    compared = "; compared with memory:q/4, which was dropped for the kept image"
    assert [line["detail"].endswith(compared) for line in found[4:6]] == [False, True]
    assert found[3]["twin"] == found[0]["sha256"]
    rejects = {reject.url: reject.twin for reject in result.rejects if reject.twin}
    assert rejects == {"memory:q/3": found[0]["sha256"], "memory:q/4": best["sha256"], "memory:q/5": best["sha256"]}


def test_the_same_chunk_gives_the_same_bytes(assembly: MemoryAssembly, tmp_path: Path) -> None:
    """Outcomes can be compared by their checksum."""
    other = MemoryAssembly(tmp_path / "other", assembly.pictures)
    one, two = run(assembly, planned(assembly, 3)), run(other, planned(other, 3))
    assert one.outcomes == two.outcomes
    assert one.outcomes is not None


def test_another_attempt_keeps_what_is_known_of_candidates_that_it_does_not_try(assembly: MemoryAssembly) -> None:
    """A retry fetches neither dead links nor kept images; their lines must not lose how they were fetched."""
    first = _Fetched(assembly.pictures)
    key = planned(assembly, 9, stop=12)
    assert run(assembly, key, downloader=first).shortfall == 2
    before = lines(assembly, key)
    assert (before[1]["detail"], before[1]["http_status"], before[0]["tries"]) == ("nothing there", 404, 2)
    assembly.status.reopen(key)
    again = _Fetched(assembly.pictures)
    run(assembly, key, downloader=again)
    assert again.skipped >= {0, 1}
    assert lines(assembly, key) == before


class _Fetched:
    """Fetches over a network, whose dead links are permanent misses."""

    def __init__(self, pictures: Sequence[bytes | None]) -> None:
        self.pictures = pictures
        self.skipped: set[int] = set()

    def download(self, slices: Sequence[Slice], into: Path, skip: frozenset[CandidateKey], *_: object) -> Iterator[Any]:
        from pixcore_adapters.downloader.memory import MemoryDownloader  # noqa: PLC0415 - only here

        self.skipped |= {key.position for key in skip}
        for item in MemoryDownloader({"q": self.pictures}).download(slices, into, skip):
            by = Transfer(item.candidate.url, 404 if isinstance(item, Miss) else 200, 2)
            if isinstance(item, Miss):
                yield Miss(item.candidate, "http_404", permanent=True, detail="nothing there", transfer=by)
            else:
                yield evolve(item, transfer=by)


def test_previews_are_replaced_by_another_attempt(assembly: MemoryAssembly) -> None:
    """The store must not keep pictures of images that a later attempt does not reject, nor lose those that it does."""
    key = planned(assembly, 3)
    result = run(assembly, key, previewer=MemoryPreviewer())
    assert result.previews is not None
    stored = assembly.store.head(key.outcomes_key(".previews.zip"))
    assert (stored.size, stored.sha256) == (result.previews.size, result.previews.sha256)
    assembly.pictures[4:6] = [picture(8), picture(9)]
    assembly.store.delete(key.blob_key(assembly.archiver.suffix))
    assembly.status.reopen(key)
    assert run(assembly, key, previewer=MemoryPreviewer()).previews is None
    assert assembly.store.head(key.outcomes_key(".previews.zip")).size == 22  # a zip file without members


def test_another_attempt_keeps_the_rejected_images_that_it_does_not_try(assembly: MemoryAssembly) -> None:
    """A full chunk that is made again tries no rejected image; its previews and bytes must not be lost."""
    quality = Quality(keep_rejected=True)
    request = ChunkRequest(0, "cat", 3, [LIST], "d", quality=quality)
    (chunk,) = assembly.status.ensure([request])
    first = run(assembly, chunk.key, previewer=MemoryPreviewer())
    kept = assembly.archiver.contents(stored(assembly, chunk.key.outcomes_key(".rejected.json")))
    assert [row["url"] for row in kept.rows] == ["memory:q/5", "memory:q/4"]
    assert [data for _, data in kept.files] == [assembly.pictures[5], assembly.pictures[4]]
    before = lines(assembly, chunk.key)
    assembly.status.reopen(chunk.key)
    again = run(assembly, chunk.key, previewer=MemoryPreviewer())
    assert (again.outcomes, again.previews, again.rejected) == (first.outcomes, first.previews, first.rejected)
    assert (again.attempt, again.progress) == (2, first.progress)
    assert lines(assembly, chunk.key) == before


def stored(assembly: MemoryAssembly, key: str) -> Path:
    """Return a copy of a blob."""
    path = assembly.work / "copy"
    with assembly.store.open(key) as blob:
        path.write_bytes(blob.read())
    return path


def test_a_chunk_without_a_valid_image_stores_why(assembly: MemoryAssembly) -> None:
    """A list of dead links has no archive, and is where users ask first."""
    assembly.pictures[:] = [None, GARBAGE, None]
    key = planned(assembly, 3, stop=3)
    with pytest.raises(NoValidImages):
        assembly.pipeline(listed=listed).run(key)
    assert [line["outcome"] for line in lines(assembly, key)] == ["gone", "not_an_image", "gone"]
    record = assembly.status.get(key)
    assert not has_outcomes(evolve(record, attempt=2), archives(assembly))
    assert not assembly.left()


def test_columns_of_lists_are_added_under_free_names() -> None:
    """A list may have columns called like pixcore's own, numbers, gaps, and names that are not UTF-8."""
    columns = (("outcome", "string"), ("likes", "integer"), ("note", "string"))
    values: dict[str, str | int] = {"outcome": "x", "likes": 3, "note": "", "unplanned": "y"}
    candidate = Candidate(CandidateKey("urls", "l.csv", 1), "\udcff", listed=values)
    line = json.loads(to_bytes(OutcomeLines(columns).missed(Miss(candidate, "gone", permanent=True))))
    assert line == {
        "source": "urls",
        "query": "l.csv",
        "position": 1,
        "url": "\\udcff",
        "outcome": "gone",
        "list_outcome": "x",
        "likes": 3,
    }


@pytest.fixture
def log(assembly: MemoryAssembly, tmp_path: Path) -> OutcomeLog:
    """Return the log of an attempt at a chunk of the list's first three candidates."""
    claimed = assembly.status.claim(planned(assembly, 3, stop=3), "owner", 60)
    assert isinstance(claimed, Claimed)
    return OutcomeLog(AttemptContext(assembly.pipeline(listed=listed), claimed), tmp_path / "log")


def image(position: int, name: str) -> Accepted:
    """Return an accepted image; its sha256 is derived from the name."""
    candidate = Candidate(CandidateKey("memory", "q", position), f"memory:q/{position}")
    download = Download(candidate, Path(name), 1, datetime(2020, 1, 1, tzinfo=UTC))
    return Accepted(download, name * 64, 9, 9, "JPEG", Fingerprint(0, 0, "m", flat=False))


def dropped(one: Accepted, twin: Accepted) -> Rejected:
    """Return the rejection of an image whose twin is kept."""
    return Rejected(one.download, "near_duplicate", "same picture", one, twin)


def written(log: OutcomeLog, tmp_path: Path) -> list[dict[str, Any]]:
    """Write the log and read the lines."""
    log.settle()
    text = gzip.decompress(log.write(tmp_path / "written").path.read_bytes())
    return [json.loads(line) for line in text.splitlines()]


def test_an_image_that_is_dropped_and_later_kept_stays_the_twin_of_its_copies(log: OutcomeLog, tmp_path: Path) -> None:
    """Equal bytes may arrive again after the image for which they were dropped was displaced."""
    one, better = image(0, "a"), image(1, "b")
    log.rejected(dropped(one, better))
    log.accepted(image(1, "a"))
    log.rejected(dropped(image(2, "d"), image(1, "a")))
    assert [line.get("twin", "")[:1] for line in written(log, tmp_path)] == ["b", "", "a"]


def test_a_candidate_that_was_missed_and_is_not_judged_has_not_been_tried(log: OutcomeLog, tmp_path: Path) -> None:
    """The counts forget the miss when its source is opened again and delivers, so the list must, too."""
    one = image(0, "a")
    log.missed(Miss(one.download.candidate, "timeout", permanent=False))
    log.downloaded(one.download, 0)
    assert [line["outcome"] for line in written(log, tmp_path)] == ["not_tried"] * 3


def test_outcomes_of_candidates_that_were_given_back_are_dropped(log: OutcomeLog, tmp_path: Path) -> None:
    """Another chunk has them now, and counts them."""
    for position in range(3):
        line = OutcomeLines().missed(Miss(image(position, "a").download.candidate, "gone", permanent=True))
        log.earlier(CandidateKey("memory", "q", position), to_bytes(line))
    request = log.context.chunk.request
    log.context.chunk = evolve(log.context.chunk, request=evolve(request, slices=[evolve(LIST, stop=2)]))
    assert [line["position"] for line in written(log, tmp_path)] == [0, 1]
    assert log.context.counts.progress().missed == {"gone": 2}


IMAGE = {"url": "a.jpg", "bytes": 30_100, "sha256": "1", "width": 640, "height": 480}
SENTENCES: dict[str, tuple[dict[str, object], str]] = {
    "accepted": (IMAGE, "a.jpg is in the dataset, in the archive of chunk 1 (640 x 480 pixels, 30.1 kB)."),
    "not_tried": ({"url": "a.jpg"}, "a.jpg was not tried, because chunk 1 had its 3 images before its turn."),
    "near_duplicate": (
        {**IMAGE, "detail": "same picture, cropped by 6 %", "twin_url": "b.jpg"},
        (
            "a.jpg (640 x 480 pixels, 30.1 kB) is left out in favour of b.jpg (9 x 8 pixels, 7 bytes): same picture,"
            " cropped by 6 %."
        ),
    ),
    "duplicate": (
        {**IMAGE, "twin_url": "b.jpg"},
        "a.jpg is left out, because it has the same bytes as b.jpg, which is kept.",
    ),
    "too_small": (
        {**IMAGE, "detail": "640 x 480 of at least 800 x 50 pixels"},
        (
            "a.jpg (640 x 480 pixels, 30.1 kB) is left out, because the image is too small: 640 x 480 of at least"
            " 800 x 50 pixels (too_small)."
        ),
    ),
    "no_logos": (
        {**IMAGE, "detail": "92 % logo"},
        "a.jpg (640 x 480 pixels, 30.1 kB) is left out, because the filter no_logos rejects it: 92 % logo (no_logos).",
    ),
    "http_503": (
        {"url": "a.jpg", "http_status": 503, "tries": 3},
        "a.jpg was not fetched after 3 tries, because the server answered with HTTP status 503 (http_503).",
    ),
    "timeout": (
        {"source": "bing", "query": "cat", "position": 7, "final_url": "https://b/"},
        (
            "result 7 of bing for 'cat' was not fetched, because the server took too long, after redirects to https://b/"
            " (timeout)."
        ),
    ),
}


@pytest.mark.parametrize(("outcome", "line", "expected"), [(name, *pair) for name, pair in SENTENCES.items()])
def test_an_outcome_is_a_sentence(
    outcome: str, line: dict[str, object], expected: str, assembly: MemoryAssembly
) -> None:
    """The sentence says what happened, with the numbers that decided."""
    record = assembly.status.get(planned(assembly, 3))
    twin = {"width": 9, "height": 8, "bytes": 7}
    assert sentence({"outcome": outcome, **line}, record, twin) == expected


def test_a_candidate_is_found_by_url_and_sha256_and_its_twin_is_described(assembly: MemoryAssembly) -> None:
    """The start of a sha256 suffices; a part of a URL does not."""
    key = planned(assembly, 3)
    run(assembly, key)
    record, reader = assembly.status.get(key), archives(assembly)
    (near,) = find("memory:q/5", [record], reader)
    assert near.sentence.startswith("memory:q/5 (100 x 100 pixels, ")
    assert "in favour of memory:q/6 (200 x 200 pixels, " in near.sentence
    sha256 = str(near.line["sha256"])
    assert [each.line["position"] for each in find(sha256[:8], [record], reader)] == [5]
    assert not list(find("q/5", [record], reader))


def test_outcomes_that_differ_from_their_record_are_refused(assembly: MemoryAssembly) -> None:
    """They may be those of another attempt; old chunks have none."""
    key = planned(assembly, 3)
    run(assembly, key)
    record = assembly.status.get(key)
    assert record.result is not None
    assert not list(outcome_lines(evolve(record, result=evolve(record.result, outcomes=None)), archives(assembly)))
    with assembly.store.open(key.outcomes_key(".jsonl.gz")) as blob:
        assert gzip.decompress(blob.read()).count(b"\n") == 12
    assembly.store.delete(key.outcomes_key(".jsonl.gz"))
    other = assembly.work / "other"
    other.write_bytes(b"x")
    sha256 = "2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881"
    more: dict[str, Any] = {"sha256": sha256, "size": 1, "content_type": "text/plain", "metadata": {}}
    assembly.store.put(key.outcomes_key(".jsonl.gz"), other, **more)
    with pytest.raises(ValueError, match=r"d/outcomes/chunk_1.jsonl.gz is not the blob that was recorded"):
        list(outcome_lines(record, archives(assembly)))
