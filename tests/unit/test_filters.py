"""Which of the images that a validator accepted are kept in a chunk."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from pixcore.filters.apply import apply_filters
from pixcore.model.images import Accepted, Candidate, CandidateKey, Download, Rejected, RejectReason
from pixcore.model.quality import Fingerprint, NearRule, Quality, TwinRule


def image(number: int, width: int = 320, height: int = 240, phash: int = 0) -> Accepted:
    """Return an accepted image, with different bytes for each number."""
    candidate = Candidate(CandidateKey("folder", "/a", number), url=f"{number}.jpg")
    download = Download(candidate, Path(f"{number}"), 1, datetime(2020, 1, 1, tzinfo=UTC))
    return Accepted(download, f"{number:064}", width, height, "JPEG", Fingerprint(phash, 0, "m", flat=False))


def verdicts(images: list[Accepted], quality: Quality) -> list[str]:
    """Return for each image ``kept`` or the reason of its rejection."""
    return [str(one.reason) if isinstance(one, Rejected) else "kept" for one in apply_filters(images, quality)]


@pytest.mark.parametrize(
    ("quality", "verdict"),
    [
        (Quality(min_width=320, min_height=240), "kept"),
        (Quality(min_width=321, min_height=240), RejectReason.TOO_SMALL),
        (Quality(min_width=320, min_height=241), RejectReason.TOO_SMALL),
    ],
)
def test_an_image_of_exactly_the_minimum_size_is_kept(quality: Quality, verdict: str) -> None:
    """The minimum holds for both sides and is itself allowed."""
    assert verdicts([image(1)], quality) == [verdict]


def test_an_image_is_not_a_duplicate_of_one_that_is_too_small() -> None:
    """A thumbnail that came first must not cause the rejection of the large image."""
    thumbnail, large = image(1, 49, 49), image(2)
    assert verdicts([thumbnail, large], Quality()) == [RejectReason.TOO_SMALL, "kept"]


@pytest.mark.parametrize(
    ("near", "verdict"), [(NearRule(1, 0), RejectReason.NEAR_DUPLICATE), (NearRule(0, 0), "kept"), (None, "kept")]
)
def test_the_datasets_own_rule_decides_which_images_are_near(near: NearRule | None, verdict: str) -> None:
    """One dataset drops only exact copies, another all similar images. Datasets were planned so earlier."""
    assert verdicts([image(1), image(2, phash=1)], Quality(near=near, twins=TwinRule.HASHES)) == ["kept", verdict]


def test_a_rejection_names_the_size_and_the_minimum() -> None:
    """A user must be able to judge the limit."""
    [verdict] = apply_filters([image(1, 40, 30)], Quality())
    assert isinstance(verdict, Rejected)
    assert verdict.detail == "40 x 30 of at least 50 x 50 pixels"
