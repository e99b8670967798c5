"""A chunk keeps the best of several images of the same picture, or what its rule says."""

from collections import Counter
from collections.abc import Iterable, Mapping
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from memory_assembly import MemoryAssembly, copy, picture

from pixcore import ChunkKey, ChunkRequest, Done, NearRule, Quality, Slice, TwinRule
from pixcore.chunk.events import ImageAccepted, ImageRejected, ImageReplaced, StepRetried
from pixcore.model.archives import Archive
from pixcore.model.chunks import ChunkResult, TwinPair
from pixcore.model.rows import Row
from pixcore_adapters.archiver.memory import MemoryArchiver

SMALL, LARGE = 60, 200  # sides of copies; a picture has 100


def planned(assembly: MemoryAssembly, target: int, rule: TwinRule = TwinRule.DROP, index: int = 0) -> ChunkKey:
    """Plan a chunk over all pictures."""
    part = Slice("memory", "q", 0, len(assembly.pictures))
    request = ChunkRequest(index, "cat", target, (part,), dataset="d", quality=Quality(twins=rule))
    (chunk,) = assembly.status.ensure([request])
    return chunk.key


def run(assembly: MemoryAssembly, key: ChunkKey, **changes: Any) -> ChunkResult:  # noqa: ANN401 - of the pipeline
    """Run a chunk that completes."""
    outcome = assembly.pipeline(**changes).run(key)
    assert isinstance(outcome, Done)
    return outcome.result


def packed(assembly: MemoryAssembly, key: ChunkKey) -> list[tuple[str, str]]:
    """Return the name and the URL of each image of the chunk's archive, after comparing the files with the rows."""
    with TemporaryDirectory() as folder, assembly.store.open(key.blob_key(".json")) as blob:
        path = Path(folder, "archive.json")
        path.write_bytes(blob.read())
        contents = assembly.archiver.contents(path)
        names = [str(row["file_name"]) for row in contents.rows]
        assert [(name, data) for name, data in contents.files] == [
            (name, assembly.pictures[number(row)]) for name, row in zip(names, contents.rows, strict=True)
        ]
        return list(zip(names, (str(row["url"]) for row in contents.rows), strict=True))


def number(row: Mapping[str, object]) -> int:
    """Return which of the pictures a row describes."""
    return int(str(row["url"]).rpartition("/")[2])


def counted(assembly: MemoryAssembly) -> tuple[int, Counter[str]]:
    """Return how many images are accepted, and the reasons of the rejections, by the events."""
    accepted, rejected = 0, Counter[str]()
    for event in assembly.events:
        match event:
            case ImageAccepted():
                accepted += 1
            case ImageRejected(image=image) | ImageReplaced(rejected=image):
                rejected[image.reason] += 1
            case _:
                pass
    return accepted, rejected


@pytest.fixture
def work(tmp_path: Path) -> Path:
    """Return the folder of the work directories."""
    return tmp_path / "work"


def test_the_worse_copy_is_rejected_with_a_reason(work: Path) -> None:
    """The first of two equally good images stays. The reject names the difference and the image that is kept."""
    assembly = MemoryAssembly(work, [picture(0), copy(0, side=SMALL), picture(1), copy(1)])
    key = planned(assembly, 4)
    result = run(assembly, key)
    assert result.progress.accepted == 2
    assert result.progress.rejected == {"near_duplicate": 2}
    assert result.rejects[0].url == "memory:q/1"
    assert result.rejects[0].detail == "same picture; fine detail agrees by 98 %"
    assert (result.rejects[0].twin, result.rejects[0].twin_url) == (sha256(picture(0)).hexdigest(), "memory:q/0")
    assert packed(assembly, key) == [("images/000000.json", "memory:q/0"), ("images/000001.json", "memory:q/2")]


def test_the_better_copy_takes_the_position_of_the_worse(work: Path) -> None:
    """File numbers stay consecutive, and the counts are right whatever the order."""
    assembly = MemoryAssembly(work, [picture(0), picture(1), copy(0, side=LARGE), picture(2)])
    key = planned(assembly, 4)
    result = run(assembly, key)
    assert (result.progress.accepted, result.progress.rejected) == (3, {"near_duplicate": 1})
    assert result.rejects[0].url == "memory:q/0"
    assert result.rejects[0].twin_url == "memory:q/2"
    assert [url for _, url in packed(assembly, key)] == ["memory:q/2", "memory:q/1", "memory:q/3"]
    assert counted(assembly) == (3, {"near_duplicate": 1})
    assert sum(isinstance(event, ImageReplaced) for event in assembly.events) == 1


class Slow(MemoryArchiver):
    """Counts how often packing begins, and how many images were drawn in each try."""

    def __init__(self) -> None:
        super().__init__()
        object.__setattr__(self, "tries", [])

    tries: list[int]

    def pack(self, images: Iterable[tuple[Row, Path]], target: Path) -> Archive:
        """Pack as usual."""
        self.tries.append(0)

        def drawn() -> Iterable[tuple[Row, Path]]:
            for image in images:
                self.tries[-1] += 1
                yield image

        return super().pack(drawn(), target)


def test_packing_begins_again_at_most_once(work: Path) -> None:
    """This holds however many packed images are replaced. It is not a failure, so it is not reported as a retry."""
    originals = [picture(each) for each in range(40)]
    better = [copy(each, side=LARGE) for each in range(40)]
    assembly = MemoryAssembly(work, [*originals, *better, picture(50)])
    assembly.archiver = Slow()
    key = planned(assembly, 81)
    result = run(assembly, key)
    assert (result.progress.accepted, result.progress.rejected) == (41, {"near_duplicate": 40})
    assert len(assembly.archiver.tries) == 2
    assert assembly.archiver.tries[1] == 41
    assert [url for _, url in packed(assembly, key)] == [f"memory:q/{each}" for each in range(40, 81)]
    assert not any(isinstance(event, StepRetried) for event in assembly.events)


def test_packing_continues_if_no_packed_image_was_replaced(work: Path) -> None:
    """Replacing an image before it is packed must not restart packing."""
    assembly = MemoryAssembly(work, [picture(0), picture(1), copy(1, side=LARGE)])
    assembly.archiver = Slow()
    run(assembly, planned(assembly, 3))
    assert assembly.archiver.tries == [2]


def test_a_rejected_copy_leaves_no_file_and_no_hold(work: Path) -> None:
    """Another chunk of the dataset may keep it, whether it came first or second."""
    assembly = MemoryAssembly(work, [picture(0), copy(0, side=LARGE), picture(1), copy(1, side=SMALL)])
    files: list[set[str]] = []
    observer = lambda _: files.append({path.name for path in work.glob("chunk-*/images/*")})  # noqa: E731
    run(assembly, planned(assembly, 4), observer=observer)
    assert max(map(len, files[-6:-3])) == 2
    other = planned(assembly, 4, TwinRule.OFF, index=1)
    result = run(assembly, other)
    assert [url for _, url in packed(assembly, other)] == ["memory:q/0", "memory:q/3"]
    assert result.progress.rejected == {"seen_in_dataset": 2}


def test_a_copy_that_another_chunk_has_displaces_nothing(work: Path) -> None:
    """An image that another chunk holds is rejected for its bytes, before it is compared."""
    assembly = MemoryAssembly(work, [copy(0, side=LARGE)])
    run(assembly, planned(assembly, 1))
    assembly.pictures = [picture(0), copy(0, side=LARGE)]
    key = planned(assembly, 2, index=1)
    assert run(assembly, key).progress.rejected == {"seen_in_dataset": 1}
    assert [url for _, url in packed(assembly, key)] == ["memory:q/0"]


def test_report_keeps_both_and_lists_the_pair(work: Path) -> None:
    """The pair is in the result, which the status database keeps."""
    assembly = MemoryAssembly(work, [picture(0), picture(1), copy(0, side=LARGE)])
    key = planned(assembly, 3, TwinRule.REPORT)
    result = run(assembly, key)
    assert result.progress.accepted == 3
    assert result.twins == (TwinPair("memory:q/0", "memory:q/2", "same picture; fine detail agrees by 98 %"),)
    assert assembly.status.get(key).result == result


@pytest.mark.parametrize("rule", [TwinRule.OFF, TwinRule.HASHES])
def test_other_rules_compare_no_pictures(work: Path, rule: TwinRule) -> None:
    """`off` drops equal bytes only; `hashes`, the rule of earlier versions, drops the later image by its hashes."""
    assembly = MemoryAssembly(work, [picture(0), copy(0, side=LARGE), picture(0)])
    result = run(assembly, planned(assembly, 3, rule))
    by_hashes = {"near_duplicate": 1} if rule is TwinRule.HASHES else {}
    assert result.progress.rejected == {"duplicate": 1} | by_hashes
    assert not any(isinstance(event, ImageReplaced) for event in assembly.events)


def test_without_a_twin_finder_both_stay(work: Path) -> None:
    """The port `TwinFinder` is optional."""
    assembly = MemoryAssembly(work, [picture(0), copy(0)])
    pipeline = assembly.pipeline()
    assert run(assembly, planned(assembly, 2)).progress.accepted == 1
    assembly = MemoryAssembly(work, [picture(0), copy(0)])
    key = planned(assembly, 2)
    outcome = type(pipeline)(
        pipeline.downloader, pipeline.validator, assembly.archiver, assembly.store, assembly.status, work
    ).run(key)
    assert isinstance(outcome, Done)
    assert outcome.result.progress.accepted == 2


def test_the_best_of_a_thousand_copies_stays(work: Path) -> None:
    """Each copy is compared with the kept one only, so the time grows linearly."""
    copies = [copy(0, f"copy {each:03}", side=100 + 10 * (each % 7)) for each in range(1000)]
    assembly = MemoryAssembly(work, [picture(1), *copies])
    key = planned(assembly, 1001)
    result = run(assembly, key)
    assert (result.progress.accepted, result.progress.rejected) == (2, {"near_duplicate": 999})
    assert [url for _, url in packed(assembly, key)] == ["memory:q/0", "memory:q/7"]


@given(
    drawn=st.lists(st.tuples(st.integers(0, 3), st.sampled_from("abc"), st.sampled_from([60, 100, 200])), max_size=40),
    target=st.integers(1, 12),
)
def test_one_copy_of_every_picture_is_packed(drawn: list[tuple[int, str, int]], target: int) -> None:
    """The best of each picture stays, the first where several are as good, in an archive of consecutive numbers."""
    with TemporaryDirectory() as folder:
        pictures = [copy(*each) for each in drawn] or [picture(9)]
        assembly = MemoryAssembly(Path(folder, "work"), list(pictures))
        key = planned(assembly, target)
        result = run(assembly, key)
        kept = packed(assembly, key)
        assert len(kept) == result.progress.accepted == counted(assembly)[0]
        assert counted(assembly)[1] == result.progress.rejected
        assert [name for name, _ in kept] == [f"images/{each:06}.json" for each in range(len(kept))]
        numbers = [int(url.rpartition("/")[2]) for _, url in kept]
        if drawn:
            shown = [drawn[each][0] for each in numbers]
            assert len(set(shown)) == len(shown)
            if len(shown) < target:
                for shows, each in zip(shown, numbers, strict=True):
                    sides = [(-side, place) for place, (what, _, side) in enumerate(drawn) if what == shows]
                    assert each == min(sides)[1]


def test_a_stored_quality_of_an_earlier_version_keeps_its_rule() -> None:
    """A quality without a rule for twins has the rule `hashes`, and one without a rule for placeholders has none."""
    from pixcore_adapters.status_repo import codec  # noqa: PLC0415 - the database's conversion

    old = '{"min_width": 50, "min_height": 50, "near": {"phash": 8, "dhash": 9}}'
    assert codec.value(Quality, old) == Quality(near=NearRule(8, 9), twins=TwinRule.HASHES, placeholder_urls=0)
    for rule in TwinRule:
        assert codec.value(Quality, codec.text(Quality(twins=rule))) == Quality(twins=rule)


def test_a_request_of_an_earlier_version_may_be_repeated(work: Path) -> None:
    """Its chunk keeps the rule `hashes`, which new datasets cannot choose."""
    assembly = MemoryAssembly(work, [picture(0)])
    key = planned(assembly, 1, TwinRule.HASHES)
    assert planned(assembly, 1, TwinRule.DROP) == key
    assert assembly.status.get(key).chunk.request.quality.twins is TwinRule.HASHES
