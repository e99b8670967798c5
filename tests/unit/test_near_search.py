"""The search for near-duplicates finds exactly the pairs of a brute-force search, by either of its algorithms."""

import tracemalloc
from collections.abc import Iterator
from itertools import combinations, product

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from numpy.typing import NDArray

from pixcore.model.quality import Fingerprint, NearRule
from pixcore_adapters import near_search
from pixcore_adapters.near_search import NearIndex

Prints = list[tuple[int, int]]  # phash and dhash of each image

hashes = st.integers(0, 2**64 - 1)
flips = st.sets(st.integers(0, 63), max_size=24).map(lambda bits: sum(1 << bit for bit in bits))


@st.composite
def clustered(draw: st.DrawFn) -> Prints:
    """Draw up to 24 fingerprints; most differ from one of three by a few bits, and some are equal."""
    centres = draw(st.lists(st.tuples(hashes, hashes), min_size=1, max_size=3))
    near = st.builds(lambda centre, p, d: (centre[0] ^ p, centre[1] ^ d), st.sampled_from(centres), flips, flips)
    return draw(st.lists(near | st.tuples(hashes, hashes) | st.sampled_from(centres), max_size=24))


rules = st.builds(NearRule, st.integers(0, 64), st.integers(0, 64)) | st.builds(NearRule, st.integers(0, 20))


@pytest.fixture(params=["probing", "comparing"])
def way(request: pytest.FixtureRequest) -> Iterator[str]:
    """Force one of the two algorithms, with blocks and batches so small that there are several."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(near_search, "_PROBE_COST", 0 if request.param == "probing" else np.inf)
        patch.setattr(near_search, "_HIT_COST", 0)
        patch.setattr(near_search, "_BLOCK", 1 << 10)
        patch.setattr(near_search, "_HITS", 5)
        yield str(request.param)


def columns(prints: Prints) -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
    """Return the phashes and the dhashes."""
    return np.array([phash for phash, _ in prints], np.uint64), np.array([dhash for _, dhash in prints], np.uint64)


def holds(rule: NearRule, one: tuple[int, int], other: tuple[int, int]) -> bool:
    """Apply the core's rule to two fingerprints."""
    return rule.holds(Fingerprint(*one, "m", flat=False), Fingerprint(*other, "m", flat=False))


def all_pairs(index: NearIndex) -> list[list[int]]:
    """Return the pairs within an index, in ascending order."""
    return sorted(pair for found in index.pairs() for pair in found.tolist())


@pytest.mark.usefixtures("way")
class TestNearIndex:
    """The expected pairs come from a comparison pair by pair in Python."""

    @given(clustered(), rules)
    @example([], NearRule())
    @example([(0, 0)], NearRule(64, 64))
    @example([(2**64 - 1, 0)] * 5, NearRule(0, 0))
    def test_pairs_are_those_of_brute_force(self, prints: Prints, rule: NearRule) -> None:
        """Each pair must be yielded once, with the lower index first."""
        expected = [[n, m] for n, m in combinations(range(len(prints)), 2) if holds(rule, prints[n], prints[m])]
        assert all_pairs(NearIndex(*columns(prints), rule)) == expected

    @given(clustered(), clustered(), st.data(), rules)
    def test_near_finds_the_same_as_brute_force(
        self, stored: Prints, others: Prints, data: st.DataObject, rule: NearRule
    ) -> None:
        """This must hold even if the queries are stored hashes, and if nothing is stored."""
        queries = others + data.draw(st.lists(st.sampled_from(stored)) if stored else st.just([]))
        expected = [
            [n, m] for n, m in product(range(len(queries)), range(len(stored))) if holds(rule, queries[n], stored[m])
        ]
        assert NearIndex(*columns(stored), rule).near(*columns(queries)).tolist() == expected

    @pytest.mark.parametrize("distance", [0, 1, 2, 3, 4, 10, 11, 12, 13])
    def test_the_farthest_that_are_near_are_found_wherever_they_differ(self, distance: int) -> None:
        """Hashes at exactly the rule's distance must be found, however the differing bits are distributed."""
        rng = np.random.default_rng(distance)
        flipped = rng.permuted(np.arange(64) < np.full((300, 1), distance), axis=1)
        stored = rng.integers(0, 2**64, 300, dtype=np.uint64)
        queries = stored ^ np.packbits(flipped, axis=1).view(np.uint64).ravel()
        dhash = np.zeros(300, np.uint64)
        near = NearIndex(stored, dhash, NearRule(distance, 0)).near(queries, dhash)
        assert near.tolist() == [[n, n] for n in range(300)]
        if distance:
            assert NearIndex(stored, dhash, NearRule(distance - 1, 0)).near(queries, dhash).size == 0


def _flipped(rng: np.random.Generator, source: NDArray[np.uint64], most: int) -> NDArray[np.uint64]:
    """Flip up to ``most`` bits of each hash."""
    flips = rng.permuted(np.arange(64) < rng.integers(0, most, (len(source), 1), endpoint=True), axis=1)
    return source ^ np.packbits(flips, axis=1).view(np.uint64).ravel()


@pytest.mark.filterwarnings("ignore:builtin type swig:DeprecationWarning")  # raised by faiss's import
def test_pairs_among_many_are_those_that_faiss_finds() -> None:
    """An independent implementation agrees on 20,000 hashes, with enough near ones for every part to matter."""
    import faiss  # noqa: PLC0415  only here are its warnings expected

    rng, rule = np.random.default_rng(0), NearRule()
    centres = rng.integers(0, 2**64, (2, 5_000), dtype=np.uint64)
    phash, dhash = (np.concatenate([centre, *(_flipped(rng, centre, 8) for _ in range(3))]) for centre in centres)
    index = faiss.IndexBinaryFlat(64)
    index.add(phash.view(np.uint8).reshape(-1, 8))
    limits, _, found = index.range_search(phash.view(np.uint8).reshape(-1, 8), rule.phash + 1)  # the limit is exclusive
    one, other = np.repeat(np.arange(len(phash)), np.diff(limits.astype(np.int64))), found
    near = (one < other) & (np.bitwise_count(dhash[one] ^ dhash[other]) <= rule.dhash)
    expected = sorted(zip(one[near].tolist(), other[near].tolist(), strict=True))
    assert len(expected) > 10_000
    assert list(map(tuple, all_pairs(NearIndex(phash, dhash, rule)))) == expected


def test_hashes_that_are_all_alike_are_compared_in_steps() -> None:
    """A dataset of frames of one film must not need memory for all hits before any is compared."""
    alike, apart = np.zeros(20_000, np.uint64), np.arange(20_000, dtype=np.uint64)
    index = NearIndex(alike, apart, NearRule(10, 0))
    tracemalloc.start()
    try:
        assert index.near(alike[:150], apart[:150]).tolist() == [[n, n] for n in range(150)]
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 32 << 20  # 11 MiB; 106 if all hits of a step were compared at once
