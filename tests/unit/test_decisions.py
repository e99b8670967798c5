"""What curators decide about single images holds for every later attempt at a chunk."""

import zipfile
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from attrs import evolve
from contract.decisions import decision
from memory_assembly import MemoryAssembly, copy, picture

from pixcore import (
    ChunkKey,
    ChunkRequest,
    Decided,
    Decision,
    DecisionKind,
    Done,
    Fingerprint,
    InvalidRequest,
    NearRule,
    NoValidImages,
    Quality,
    Slice,
    TwinRule,
)
from pixcore.model.chunks import ChunkResult
from pixcore.stored.archives import StoredArchives
from pixcore.stored.explaining import find
from pixcore.stored.outcomes import outcome_lines
from pixcore_adapters.memory import MemoryPreviewer, encode

EXCLUDE, INCLUDE, RELABEL = DecisionKind
FIRST = f"{0:064x}"


def about(data: bytes, kind: DecisionKind, **values: Any) -> Decision:  # noqa: ANN401 - of a decision
    """Decide about a picture."""
    known = {"by": "ann", "reason": "", "at": datetime(2026, 5, 4, tzinfo=UTC), **values}
    return Decision("d", kind, sha256(data).hexdigest(), **known)


def run(assembly: MemoryAssembly, *decisions: Decision, **quality: Any) -> ChunkResult:  # noqa: ANN401
    """Record the decisions, plan a chunk that wants all pictures, and run it."""
    assembly.decisions.record(decisions)
    count = len(assembly.pictures)
    request = ChunkRequest(0, "cat", count, [Slice("memory", "q", 0, count)], "d", quality=Quality(**quality))
    (chunk,) = assembly.status.ensure([request])
    return again(assembly, chunk.key)


def again(assembly: MemoryAssembly, key: ChunkKey) -> ChunkResult:
    """Run a chunk that completes."""
    outcome = assembly.pipeline(previewer=MemoryPreviewer()).run(key)
    assert isinstance(outcome, Done)
    return outcome.result


def rows(assembly: MemoryAssembly) -> list[tuple[str, str]]:
    """Return the URL and the label of each image in a chunk's archive."""
    (record,) = assembly.status.find("d")
    archives = StoredArchives(assembly.store, [assembly.archiver], assembly.work)
    return [(str(row["url"]).removeprefix("memory:q/"), str(row["label"])) for row in archives.rows(record)]


@pytest.fixture
def work(tmp_path: Path) -> Path:
    """Return the folder of the work directories."""
    return tmp_path / "work"


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"sha256": "abc"}, "'abc' is no sha256"),
        ({"sha256": FIRST.replace("0", "A")}, "is no sha256"),
        ({"label": "cat"}, "only a relabel has a label"),
        ({"kind": RELABEL, "label": " "}, "the new label is empty"),
        ({"kind": INCLUDE, "near": True, "phash": "0" * 16, "dhash": "0" * 16}, "only an exclusion"),
        ({"near": True, "phash": "0" * 16}, "phash and dhash have 16 hex digits"),
        ({"phash": "0" * 16, "dhash": "0" * 16}, "are empty if not"),
        ({"by": " "}, "does not say who decided"),
        ({"reason": "two\nlines"}, "the reason has a control character"),
        ({"by": "\udcff"}, "the by has a control character"),
        ({"at": datetime(2026, 5, 4)}, "has no time zone"),  # noqa: DTZ001 - the fault
        ({"dataset": "a/b"}, "dataset name"),
    ],
)
def test_a_value_that_does_not_fit_is_named(wrong: dict[str, Any], message: str) -> None:
    """A decision from a file or from a browser may hold anything, and is stored for years."""
    with pytest.raises(InvalidRequest, match=message):
        evolve(decision(), **wrong)


def test_an_excluded_image_never_comes_back(work: Path) -> None:
    """Another chunk meets the same bytes; the reason is counted, has an outcome and a preview, and `why` says it."""
    assembly = MemoryAssembly(work, [picture(0), picture(1), picture(2)])
    result = run(assembly, about(picture(1), EXCLUDE, reason="watermark"))
    assert [url for url, _ in rows(assembly)] == ["0", "2"]
    assert result.progress.rejected == {"excluded": 1}
    assert result.rejects[0].detail == "by ann on 2026-05-04: watermark"
    (record,) = assembly.status.find("d")
    archives = StoredArchives(assembly.store, [assembly.archiver], assembly.work)
    line = list(outcome_lines(record, archives))[1]
    assert (line["outcome"], line["sha256"]) == ("excluded", sha256(picture(1)).hexdigest())
    (found,) = find("memory:q/1", [record], archives)
    assert found.sentence.endswith("it was excluded by hand: by ann on 2026-05-04: watermark (excluded).")
    with archives.fetch_key(record.chunk.key.outcomes_key(".previews.zip"), 10**6) as (file, _, _):
        assert zipfile.ZipFile(file).namelist() == [f"{line['sha256']}.webp"]


def test_a_chunk_whose_images_are_all_excluded_says_so(work: Path) -> None:
    """Other sources or limits are no remedy. Images that are rejected for other reasons, too, are."""
    images = [picture(0), picture(1)]
    with pytest.raises(NoValidImages) as raised:
        run(MemoryAssembly(work, images), *(about(data, EXCLUDE) for data in images))
    assert str(raised.value) == (
        "every image of 'cat' was excluded by a decision (excluded: 2); include some with `pixcore include d`, or name"
        " other sources"
    )
    with pytest.raises(NoValidImages, match="no valid image of 'cat'"):
        run(MemoryAssembly(work, [*images, b"rubbish"]), *(about(data, EXCLUDE) for data in images))


def test_near_copies_of_an_excluded_image_are_excluded_too(work: Path) -> None:
    """The image itself need not be in the chunk. Flat pictures are near to none, and an included copy stays."""
    near = {"near": True, "phash": f"{0b1000:016x}", "dhash": f"{0b10:016x}"}
    close = [encode(f"close {number}", phash=number, dhash=0) for number in range(2)]
    far, flat = encode("far", phash=2**64 - 1), encode("flat", flat=True)
    assembly = MemoryAssembly(work, [*close, far, flat])
    decided = about(b"elsewhere", EXCLUDE, **near)
    result = run(assembly, decided, about(close[1], INCLUDE), twins=TwinRule.OFF)
    assert [url for url, _ in rows(assembly)] == ["1", "2", "3"]
    assert result.rejects[0].detail == f"near copy of {decided.sha256[:12]}, which was excluded by ann on 2026-05-04"
    # by the rule of the dataset, these are not near
    narrow = MemoryAssembly(work, [*close])
    assert run(narrow, decided, near=NearRule(0, 1), twins=TwinRule.OFF).progress.accepted == 2


@pytest.mark.parametrize("rule", [TwinRule.DROP, TwinRule.HASHES])
def test_an_included_image_overrules_the_rules_but_not_the_decoder(work: Path, rule: TwinRule) -> None:
    """It stays beside its copy, whichever comes first; equal bytes are kept once, and damage is never kept."""
    small, damaged = encode("small", width=10), b'{"picture": "damaged"'
    pictures = [copy(0, side=60), picture(0), copy(0, "third"), small, small, damaged]
    assembly = MemoryAssembly(work, pictures)
    included = [about(each, INCLUDE) for each in (pictures[0], small, damaged)]
    result = run(assembly, *included, twins=rule)
    assert [url for url, _ in rows(assembly)] == ["0", "1", "3"]
    assert result.progress.rejected == {"near_duplicate": 1, "duplicate": 1, "damaged": 1}


def test_a_label_is_the_decided_one(work: Path) -> None:
    """Also if a better copy takes the place of another image, whose label is not its own."""
    best = copy(0, side=200)
    assembly = MemoryAssembly(work, [picture(0), picture(1), best])
    result = run(assembly, about(best, RELABEL, label="dog"), about(picture(0), RELABEL, label="fox"))
    assert rows(assembly) == [("2", "dog"), ("1", "cat")]
    assert result.tally["label"] == {"dog": 1, "cat": 1}


def test_another_attempt_follows_what_was_decided_since(work: Path) -> None:
    """A restored image is judged like a new one; a decision that was taken back no longer counts."""
    assembly = MemoryAssembly(work, [picture(0), picture(1), None])
    (chunk,) = assembly.status.ensure([ChunkRequest(0, "cat", 3, [Slice("memory", "q", 0, 3, "lists/q")], "d")])
    assert again(assembly, chunk.key).progress.accepted == 2
    for kind, urls in ((EXCLUDE, ["1"]), (INCLUDE, ["0", "1"])):
        assembly.decisions.record([about(picture(0), kind)])
        assembly.status.reopen(chunk.key)
        again(assembly, chunk.key)
        assert [url for url, _ in rows(assembly)] == urls


def test_the_decisions_are_read_once_for_each_attempt(work: Path) -> None:
    """A statement for each image would cost more than decoding it; chunks without a dataset read none."""
    assembly = MemoryAssembly(work, [picture(number) for number in range(9)])
    run(assembly, about(picture(0), EXCLUDE))
    assert assembly.faults.calls.count("read") == 1
    (chunk,) = assembly.status.ensure([ChunkRequest(7, "cat", 9, [Slice("memory", "q", 0, 9)])])
    assert again(assembly, chunk.key).progress.accepted == 9
    assert assembly.faults.calls.count("read") == 1


def test_nothing_is_decided_without_decisions() -> None:
    """The port is optional."""
    prints = Fingerprint(0, 0, "", flat=False)
    assert (Decided().exclusion(FIRST, prints, None), Decided().includes(FIRST), Decided().label(FIRST)) == (
        "",
        False,
        "",
    )
