"""The better of two images of the same picture stays."""

from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pixcore.filters.best_twin import second_is_better
from pixcore.model.comparison import Comparison, Features
from pixcore.model.images import Accepted, Candidate, CandidateKey, Download
from pixcore.model.quality import Fingerprint


def image(width: int = 800, height: int = 600, size: int = 90_000, format: str = "JPEG") -> Accepted:  # noqa: A002
    """Make an accepted image."""
    candidate = Candidate(CandidateKey("folder", "/a", 0), address="a.jpg")
    download = Download(candidate, Path("a"), size, datetime(2020, 1, 1, tzinfo=UTC))
    return Accepted(download, "a", width, height, format, Fingerprint(0, 0, "m", False))


def found(one: Features = Features(), other: Features = Features(), *, equal: bool = False) -> Comparison:  # noqa: B008
    """Make a comparison of two copies."""
    return Comparison(True, 99, one, other, equal=equal)


FRAMED = Features(shared=0.87, framed=True)
CROPPED = Features(shared=0.8)


@pytest.mark.parametrize(
    ("better", "worse", "comparison"),
    [
        pytest.param(image(), image(400, 300), found(), id="more pixels"),
        pytest.param(image(), image(720, 540, 100_000), found(one=CROPPED), id="the whole picture beside a crop"),
        pytest.param(image(), image(848, 648, 120_000), found(other=FRAMED), id="no border"),
        pytest.param(image(848, 648), image(400, 300), found(one=FRAMED), id="a large one with a border"),
        pytest.param(image(), image(size=120_000), found(other=Features(overlaid=True)), id="no watermark"),
        pytest.param(image(), image(size=120_000), found(other=Features(grey=True)), id="in colour"),
        pytest.param(image(), image(1100, 825, 800_000), found(other=Features(enlarged=True)), id="not enlarged"),
        pytest.param(image(), image(size=400_000, format="PNG"), found(equal=True), id="what a PNG was made of"),
        pytest.param(image(), image(size=30_000), found(), id="less compressed"),
    ],
)
def test_the_better_one_stays_whatever_the_order(better: Accepted, worse: Accepted, comparison: Comparison) -> None:
    """The better image stays if it is first, and replaces the other if it is second."""
    assert not second_is_better(better, worse, comparison)
    assert second_is_better(worse, better, comparison.swapped())


def test_the_first_of_two_similar_images_stays() -> None:
    """Small differences of size must not decide."""
    assert not second_is_better(image(), image(804, 600, 91_000), found())
    assert not second_is_better(image(804, 600, 91_000), image(), found())


features = st.builds(
    Features,
    shared=st.floats(0.5, 1),
    framed=st.booleans(),
    overlaid=st.booleans(),
    grey=st.booleans(),
    enlarged=st.booleans(),
)
sides = st.integers(50, 3000)
images = st.builds(image, sides, sides, st.integers(1000, 5_000_000))


@given(images, images, features, features, st.booleans())
def test_two_images_never_displace_each_other(
    one: Accepted, other: Accepted, seen: Features, beside: Features, equal: bool
) -> None:
    """At most one of two images is better than the other."""
    comparison = found(seen, beside, equal=equal)
    assert not (second_is_better(one, other, comparison) and second_is_better(other, one, comparison.swapped()))
