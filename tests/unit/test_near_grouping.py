"""Union-find on arrays gives the groups that comparing pair by pair gives, at a cost that grows with the images."""

import tracemalloc
from collections.abc import Iterator
from itertools import combinations

import numpy as np
import pytest
from attrs import evolve
from hypothesis import example, given
from hypothesis import strategies as st
from near_pairs import grouped

from pixcore import ChunkKey, NearPair, SeenImage
from pixcore.model.quality import Fingerprint, NearRule
from pixcore_adapters import near_grouping, near_search
from pixcore_adapters.near_grouping import Forest, arranged, groups

# Hashes of few bits, so that many are equal or near.
prints = st.lists(st.tuples(st.integers(0, 2**10 - 1), st.sampled_from([0, 1, 0b111, 2**64 - 1])), max_size=40)
links = st.lists(st.lists(st.tuples(st.integers(0, 29), st.integers(0, 29)), max_size=20), max_size=5)
rules = st.builds(NearRule, st.integers(0, 3), st.integers(0, 3))


def seen(number: int, phash: int, dhash: int) -> SeenImage:
    """Return an image; the order of the images is not that of their indices."""
    return SeenImage(
        ChunkKey("d", number % 3), f"{number:064}", f"{-number % 7}.jpg", Fingerprint(phash, dhash, "m", flat=False)
    )


@given(links)
@example([[(number, number + 1) for number in range(29)]])  # a chain: long paths
@example([[(0, number) for number in range(30)], [(29, 28)]])
@example([[(2 * number, 2 * number + 1) for number in range(15)], [(number, number + 2) for number in range(28)]])
def test_a_forest_has_the_sets_of_a_simple_one(batches: list[list[tuple[int, int]]]) -> None:
    """Whatever is united, and in however many steps, the root of a set is its smallest number."""
    forest, simple = Forest(30), {number: {number} for number in range(30)}
    for batch in batches:
        forest.join(*np.array(batch, np.intp).reshape(-1, 2).T)
        for one, other in batch:
            united = simple[one] | simple[other]
            simple |= dict.fromkeys(united, united)
        assert forest.roots(np.arange(30)).tolist() == [min(simple[number]) for number in range(30)]


@pytest.fixture(scope="module", autouse=True)
def few_held() -> Iterator[None]:
    """Search in many steps, and remove the pairs that are not among the nearest ones after each."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(near_search, "_BLOCK", 1)
        patch.setattr(near_grouping, "_HELD", 3)
        yield


@given(prints, rules, st.integers(1, 12))
@example([(0, 0)] * 5 + [(1, 0)] * 4, NearRule(1, 0), 3)
@example([], NearRule(), 1)
def test_groups_are_those_of_the_pairs(hashes: list[tuple[int, int]], rule: NearRule, most: int) -> None:
    """The same images are linked as by comparing all; the nearest pairs are listed and all are counted."""
    images = [seen(number, *pair) for number, pair in enumerate(hashes)]
    near = [NearPair(*two) for two in combinations(images, 2) if rule.holds(two[0].fingerprint, two[1].fingerprint)]
    columns = np.array(hashes, np.uint64).reshape(-1, 2).T
    found = arranged(groups(*np.ascontiguousarray(columns), rule=rule, most=most), dict(enumerate(images)))
    expected = grouped(near)
    assert [(group.images, group.count) for group in found] == [(group.images, group.count) for group in expected]
    for group, whole in zip(found, expected, strict=True):
        assert len(group.pairs) == min(most, whole.count)
        assert [pair for pair in whole.pairs if pair in group.pairs] == [*group.pairs]  # in order, each once
        nearest = sorted(pair.phash + pair.dhash for pair in whole.pairs)[:most]
        assert sorted(pair.phash + pair.dhash for pair in group.pairs) == nearest


def test_images_that_no_longer_count_are_left_out() -> None:
    """A chunk may be reopened between the search and the reading of its images."""
    images = {number: seen(number, 0, 0) for number in range(4)}
    found = list(groups(np.zeros(4, np.uint64), np.zeros(4, np.uint64), NearRule(), 10))
    del images[2]
    (group,) = arranged(found, images)
    assert ({*group.images}, len(group.pairs), group.count) == ({*images.values()}, 3, 3)
    assert arranged(found, {0: images[0]}) == []
    assert evolve(group, count=5).unlisted == 2


def test_a_hundred_thousand_images_with_one_hash_need_no_memory_for_their_pairs() -> None:
    """They make five billion pairs. Before, 4,000 took half a minute and 2 GB."""
    hashes = np.zeros(100_000, np.uint64)
    tracemalloc.start()
    try:
        (group,) = groups(hashes, hashes, NearRule(), 1000)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert (len(group.images), len(group.pairs), group.count) == (100_000, 1000, 100_000 * 99_999 // 2)
    assert peak < 50_000_000
