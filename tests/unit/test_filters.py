"""Which of the images that a validator accepted a chunk keeps."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from pixcore.filters.apply import apply_filters
from pixcore.model.images import Accepted, Candidate, CandidateKey, Download, Rejected, RejectReason
from pixcore.model.quality import Fingerprint, NearRule, Quality


def image(number: int, width: int = 320, height: int = 240, phash: int = 0) -> Accepted:
    """Make an accepted image of other bytes for each number."""
    candidate = Candidate(CandidateKey("folder", "/a", number), url=f"{number}.jpg")
    download = Download(candidate, Path(f"{number}"), 1, datetime(2020, 1, 1, tzinfo=UTC))
    return Accepted(download, f"{number:064}", width, height, "JPEG", Fingerprint(phash, 0, "m", flat=False))


def words(images: list[Accepted], quality: Quality) -> list[str]:
    """What becomes of the images: ``kept`` or the reason."""
    return [str(one.reason) if isinstance(one, Rejected) else "kept" for one in apply_filters(images, quality)]


@pytest.mark.parametrize(
    ("quality", "fate"),
    [
        (Quality(min_width=320, min_height=240), "kept"),
        (Quality(min_width=321, min_height=240), RejectReason.TOO_SMALL),
        (Quality(min_width=320, min_height=241), RejectReason.TOO_SMALL),
    ],
)
def test_the_smallest_size_is_still_large_enough(quality: Quality, fate: str) -> None:
    """Both sides count, and a limit belongs to what it allows."""
    assert words([image(1)], quality) == [fate]


def test_a_small_copy_does_not_drive_out_the_large_one() -> None:
    """What is too small is nobody's twin, though it came first."""
    thumbnail, large = image(1, 49, 49), image(2)
    assert words([thumbnail, large], Quality()) == [RejectReason.TOO_SMALL, "kept"]


@pytest.mark.parametrize(
    ("near", "fate"), [(NearRule(1, 0), RejectReason.NEAR_DUPLICATE), (NearRule(0, 0), "kept"), (None, "kept")]
)
def test_the_datasets_own_rule_says_what_is_near(near: NearRule | None, fate: str) -> None:
    """One dataset wants only copies dropped, another everything alike."""
    assert words([image(1), image(2, phash=1)], Quality(near=near)) == ["kept", fate]


def test_a_rejection_says_by_how_much() -> None:
    """So that a person can judge the limit."""
    [verdict] = apply_filters([image(1, 40, 30)], Quality())
    assert isinstance(verdict, Rejected)
    assert verdict.detail == "40 x 30 of at least 50 x 50 pixels"
