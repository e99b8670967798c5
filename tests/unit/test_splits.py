"""An image's split depends only on its bytes and the ratios, and near-duplicates share a split."""

import hashlib
from collections import Counter
from fractions import Fraction
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from near_pairs import grouped

from pixcore.errors import InvalidRequest
from pixcore.model.chunks import ChunkKey
from pixcore.model.quality import Fingerprint
from pixcore.ports.seen_images import NearPair, SeenImage
from pixcore.stored.splits import Splits, representatives


def sha256(number: int) -> str:
    """Return the sha256 of one image."""
    return hashlib.sha256(str(number).encode()).hexdigest()


def test_ratios_are_parsed_exactly() -> None:
    """Ratios may be decimals or fractions, with spaces around them."""
    splits = Splits.parse(" train = 0.7, validation=0.2,test=1/10")
    assert splits.ratios == {"train": Fraction(7, 10), "validation": Fraction(1, 5), "test": Fraction(1, 10)}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("train=0.9", "add up to 0.9"),
        ("train=0.9,test=0.2", "add up to 1.1"),
        ("train=1,test=0", "split test would be empty"),
        ("train=2,test=-1", "split test would be empty"),
        ("train=0.5,train=0.5", "'train' is named twice"),
        ("train", "'train' is not a split; write splits as in train=0.9,test=0.1"),
        ("train=nan", "'train=nan' is not a split"),
        ("train=1/0", "'train=1/0' is not a split"),
        ("", "'' is not a split"),
        ("../x=1", "name '../x' is invalid"),
        ("=1", "name '' is invalid"),
        ("træn=1", "name 'træn' is invalid"),
    ],
)
def test_invalid_splits_are_refused(text: str, message: str) -> None:
    """Images that are in no split or in a wrong folder would be noticed only after days of training."""
    with pytest.raises(InvalidRequest) as raised:
        Splits.parse(text)
    assert message in str(raised.value)


def test_splits_have_the_sizes_of_their_ratios() -> None:
    """The sizes may differ by chance, by at most 5 standard deviations of 10,000 images."""
    splits = Splits.parse("train=0.7,validation=0.2,test=0.1")
    counts = Counter(splits.place(sha256(number)) for number in range(10_000))
    for name, ratio in splits.ratios.items():
        assert abs(counts[name] - 10_000 * ratio) < 5 * (10_000 * ratio * (1 - ratio)) ** 0.5


@given(digest=st.integers(0, 2**256 - 1), parts=st.lists(st.integers(1, 1000), min_size=1, max_size=6))
def test_every_image_has_a_split(digest: int, parts: list[int]) -> None:
    """Every hash must have a split with all ratios, including the least and the greatest hash."""
    splits = Splits({f"s{number}": Fraction(part, sum(parts)) for number, part in enumerate(parts)})
    assert splits.place(f"{digest:064x}") in splits.ratios


def test_the_least_and_the_greatest_hash_have_a_split() -> None:
    """The least hash is in the first split, the greatest in the last, and the middle one in the second of two."""
    halves = Splits.parse("one=0.5,two=0.5")
    assert [halves.place(digest * 64) for digest in "07f"] == ["one", "one", "two"]
    assert halves.place("8" + "0" * 63) == "two"


def test_new_ratios_move_as_few_images_as_possible() -> None:
    """A larger test set takes images from training and gives none back."""
    smaller, larger = Splits.parse("train=0.9,test=0.1"), Splits.parse("train=0.8,test=0.2")
    for number in range(1000):
        if smaller.place(sha256(number)) == "test":
            assert larger.place(sha256(number)) == "test"


@given(
    links=st.lists(st.tuples(st.integers(0, 20), st.integers(0, 20)).filter(lambda two: two[0] != two[1]), max_size=30),
    ratios=st.sampled_from(["train=0.9,test=0.1", "a=0.5,b=0.5", "x=1/3,y=1/3,z=1/3"]),
    order=st.randoms(use_true_random=False),
)
def test_near_duplicates_share_a_split(links: list[tuple[int, int]], ratios: str, order: Random) -> None:
    """All images of a linked group share a split, in whatever order the pairs come."""
    pairs = [NearPair(image(one), image(other)) for one, other in links]
    placed = representatives(grouped(pairs))
    order.shuffle(pairs)
    assert representatives(grouped(pairs)) == placed
    splits = Splits.parse(ratios)
    for one, other in links:
        assert len({splits.place(placed[sha256(number)]) for number in (one, other)}) == 1
    assert placed.keys() == {sha256(number) for link in links for number in link}
    assert all(representative <= of for of, representative in placed.items())


def image(number: int) -> SeenImage:
    """Return one image of a dataset."""
    return SeenImage(ChunkKey("d", number % 3), sha256(number), f"{number}.jpg", Fingerprint(0, 0, "m", flat=False))
