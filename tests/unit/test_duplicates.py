"""Which images count as duplicates, and which of them a dataset keeps."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pixcore.filters import duplicates
from pixcore.filters.duplicates import drop_duplicates
from pixcore.model.chunks import ChunkKey
from pixcore.model.images import Accepted, Candidate, CandidateKey, Download, Rejected
from pixcore.model.quality import Fingerprint, NearRule
from pixcore.ports.seen_images import NearPair, SeenImage

bits = st.integers(0, 2**64 - 1)
prints = st.builds(Fingerprint, bits, bits, st.just("m"), st.booleans())


def download(number: int) -> Download:
    """Return a download."""
    candidate = Candidate(CandidateKey("folder", "/a", number), address=f"{number}.jpg")
    return Download(candidate, Path(f"{number}"), 1, datetime(2020, 1, 1, tzinfo=UTC))


def image(number: int, sha256: str, phash: int = 0, dhash: int = 0, *, flat: bool = False) -> Accepted:
    """Return an accepted image."""
    return Accepted(download(number), sha256, 100, 100, "JPEG", Fingerprint(phash, dhash, "m", flat))


images = st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 15), st.integers(0, 15), st.booleans())).map(
    lambda drawn: [image(n, sha256, phash, dhash, flat=flat) for n, (sha256, phash, dhash, flat) in enumerate(drawn)]
)


def apart(one: int, other: int) -> int:
    """Return in how many of their 64 bits two hashes differ, counted bit by bit."""
    return sum((one >> n) & 1 != (other >> n) & 1 for n in range(64))


@given(st.builds(NearRule, st.integers(0, 64), st.integers(0, 64)), prints, prints)
def test_the_rule_compares_both_hashes_and_ignores_flat_pictures(
    rule: NearRule, one: Fingerprint, other: Fingerprint
) -> None:
    """One hash alone gives thousands of false pairs, and all flat pictures have the same hash."""
    near = apart(one.phash, other.phash) <= rule.phash and apart(one.dhash, other.dhash) <= rule.dhash
    assert rule.holds(one, other) == rule.holds(other, one) == (near and not one.flat and not other.flat)


@pytest.mark.parametrize("wrong", [{"phash": -1}, {"phash": 65}, {"dhash": -1}, {"dhash": 65}])
def test_a_distance_is_at_most_64_bits(wrong: dict[str, int]) -> None:
    """A limit below 0 or above 64 bits is a mistyped setting."""
    with pytest.raises(ValueError, match=next(iter(wrong))):
        NearRule(**wrong)


def test_the_default_rule_is_the_measured_one() -> None:
    """The documents give the recall and the false pairs of this rule."""
    assert NearRule() == NearRule(phash=10, dhash=10)


def test_of_exact_duplicates_the_first_is_kept() -> None:
    """Only the order may decide which one is kept, and the rejection must name the kept image."""
    first, second = image(0, "a"), image(1, "a", phash=2**64 - 1)
    assert list(drop_duplicates([first, second], NearRule())) == [
        first,
        Rejected(second.download, "duplicate", "same bytes as 0.jpg", second, first),
    ]


def test_of_near_duplicates_the_first_is_kept() -> None:
    """The rejection names the distance, so that a user can judge the rule."""
    first, second = image(0, "a", phash=0b0), image(1, "b", phash=0b1011)
    assert list(drop_duplicates([first, second], NearRule())) == [
        first,
        Rejected(second.download, "near_duplicate", "differs from 0.jpg in 3 of 64 phash bits", second, first),
    ]


def test_flat_pictures_are_dropped_by_their_bytes_only() -> None:
    """A blue and a red square must both be kept, but the same blue square only once."""
    blue, red, again = image(0, "blue", flat=True), image(1, "red", flat=True), image(2, "blue", flat=True)
    verdicts = list(drop_duplicates([blue, red, again], NearRule()))
    assert verdicts[:2] == [blue, red]
    assert isinstance(verdicts[2], Rejected)


def test_without_a_rule_only_exact_duplicates_are_dropped() -> None:
    """A user may want bursts and frames of a film."""
    near_images = [image(0, "a"), image(1, "b")]
    assert list(drop_duplicates(near_images, None)) == near_images


def test_images_are_not_compared_with_rejected_ones() -> None:
    """An image must not be lost because it resembles a rejected one."""
    near_first, far = image(1, "b", phash=0b1111111), image(2, "c", phash=0b11111111111111)
    verdicts = list(drop_duplicates([image(0, "a"), near_first, far], NearRule()))
    assert [type(verdict) for verdict in verdicts] == [Accepted, Rejected, Accepted]


@given(images, st.none() | st.builds(NearRule, st.integers(0, 3), st.integers(0, 3)))
def test_each_image_has_one_verdict_in_order_and_no_duplicates_are_kept(
    drawn: list[Accepted], rule: NearRule | None
) -> None:
    """For any input, each picture is kept once and every image has a verdict."""
    given_ = [Rejected(i.download, "damaged") if n % 4 == 3 else i for n, i in enumerate(drawn)]
    verdicts = list(drop_duplicates(given_, rule))
    assert [v.download for v in verdicts] == [v.download for v in given_]
    assert [v for v in verdicts if v in given_ and isinstance(v, Rejected)] == given_[3::4]
    kept = [verdict for verdict in verdicts if isinstance(verdict, Accepted)]
    assert len({image.sha256 for image in kept}) == len(kept)
    assert not any(
        rule and rule.holds(one.fingerprint, other.fingerprint) for n, one in enumerate(kept) for other in kept[:n]
    )


flipped = st.lists(st.integers(0, 63), max_size=12).map(lambda bits: sum(1 << bit for bit in set(bits)))
hashes = st.builds(lambda one, bits: one ^ bits, st.sampled_from([0, 0xDEADBEEF_CAFEBABE, 2**64 - 1]), flipped)


@given(st.lists(st.tuples(hashes, st.booleans()), max_size=30), st.integers(0, 14))
def test_many_images_are_looked_up_with_the_result_of_comparing_all(drawn: list[tuple[int, bool]], most: int) -> None:
    """The first near image is the twin, wherever the bits differ, and flat pictures have none."""
    given_ = [image(n, str(n), phash, flat=flat) for n, (phash, flat) in enumerate(drawn)]
    compared = list(drop_duplicates(given_, NearRule(most, 0)))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(duplicates, "comb", lambda _n, _k: 0)
        assert list(drop_duplicates(given_, NearRule(most, 0))) == compared


def test_verdicts_are_judged_one_by_one() -> None:
    """Decoding overlaps with fetching only if no filter waits for the whole chunk."""

    def endless() -> Iterator[Accepted]:
        number = 0
        while True:
            yield image(number, str(number), flat=True)
            number += 1

    verdicts = drop_duplicates(endless(), NearRule())
    assert next(verdicts) == image(0, "0", flat=True)
    verdicts.close()


# -- near pairs across a dataset -------------------------------------------------------------------------------------


def test_a_pair_has_both_distances() -> None:
    """Users judge a pair by the distances, and every bit counts, including the highest."""
    one = SeenImage(ChunkKey("d", 1), "a", "a", Fingerprint(2**64 - 1, 0b1, "m", flat=False))
    other = SeenImage(ChunkKey("d", 2), "b", "b", Fingerprint(0, 0b100, "m", flat=False))
    assert (NearPair(one, other).phash, NearPair(one, other).dhash) == (64, 2)


def test_an_undecodable_file_name_is_escaped() -> None:
    """Databases and terminals refuse lone surrogates, so the image escapes them as its row does."""
    image = SeenImage(ChunkKey("d", 1), "a", "caf\u00e9 \udcff.jpg", Fingerprint(0, 0, "m", flat=False))
    assert image.url == "caf\u00e9 \\udcff.jpg"
