"""Which of the images that a validator accepted are kept in a chunk."""

from datetime import UTC, datetime
from pathlib import Path

import pytest
from attrs import evolve

from pixcore.errors import InvalidRequest
from pixcore.filters.apply import apply_filters
from pixcore.model.images import Accepted, Candidate, CandidateKey, Download, Rejected, RejectReason
from pixcore.model.measures import FLAGS, Measures
from pixcore.model.quality import Fingerprint, NearRule, Quality, TwinRule
from pixcore_adapters.status_repo.codec import text, value


def image(number: int, width: int = 320, height: int = 240, phash: int = 0) -> Accepted:
    """Return an accepted image, with different bytes for each number."""
    candidate = Candidate(CandidateKey("folder", "/a", number), address=f"{number}.jpg")
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


def measured(number: int, **measures: int) -> Accepted:
    """Return an image with these measures."""
    return evolve(image(number), measures=evolve(Measures(700, 20, 230, 500, 7000, 400, 1333, 0), **measures))


def test_nothing_is_dropped_by_default() -> None:
    """Measures describe; the dataset decides."""
    odd = [
        measured(1, sharpness=1, lightest=60, information=10, colourfulness=0, aspect=9000, text_lines=90),
        measured(2, darkest=250, lightest=255),
    ]
    assert verdicts(odd, Quality(twins=TwinRule.OFF)) == ["kept", "kept"]


@pytest.mark.parametrize("flag", FLAGS)
def test_an_image_with_an_unwanted_flag_is_dropped_under_its_name(flag: str) -> None:
    """Only flags that the dataset names count."""
    low = {"sharpness": 1, "lightest": 60, "information": 10, "colourfulness": 0, "aspect": 9000, "text_lines": 90}
    one = measured(1, **({"darkest": 250, "lightest": 255} if flag == "light" else low))
    assert verdicts([one, measured(2)], Quality(drop=(flag,))) == [flag, "kept"]


@pytest.mark.parametrize(
    ("quality", "verdict"),
    [
        (Quality(min_sharpness=700), "kept"),
        (Quality(min_sharpness=701), RejectReason.BLURRY),
        (Quality(max_aspect=1.334), "kept"),
        (Quality(max_aspect=1.3), RejectReason.ODD_ASPECT),
    ],
)
def test_limits_include_their_value(quality: Quality, verdict: str) -> None:
    """The sharpness and the aspect of 320 x 240 pixels."""
    assert verdicts([measured(1)], quality) == [verdict]


def test_an_image_that_was_not_measured_is_kept() -> None:
    """A validator of other people's need not measure anything."""
    assert verdicts([image(1)], Quality(min_sharpness=900, drop=tuple(FLAGS))) == ["kept"]


def test_an_unknown_flag_is_refused() -> None:
    """A misspelt flag would drop nothing, in silence."""
    with pytest.raises(ValueError, match="blury"):
        Quality(drop=("blury",))


def test_filters_of_others_drop_under_their_names() -> None:
    """After the rules of the dataset, and before duplicates are looked for."""

    class Odd:
        def fault(self, image: Accepted) -> str:
            return "odd" if int(image.sha256) % 2 else ""

    images = [image(1), image(2), image(2), image(3, 40)]
    found = apply_filters(images, Quality(), {"odd_ones": Odd()})
    assert [one.reason if isinstance(one, Rejected) else "kept" for one in found] == [
        *("odd_ones", "kept", RejectReason.DUPLICATE, RejectReason.TOO_SMALL)
    ]


def test_a_picture_is_made_only_for_filters_that_see_it() -> None:
    """Making it costs a decode: once for each image that all other rules keep, and never without such a filter."""

    class Plain:
        def fault(self, image: Accepted) -> str:
            return "second" if image.sha256 == image_2.sha256 else ""

    class Seeing:
        def fault_of_picture(self, image: Accepted, picture: bytes) -> str:
            return f"{len(picture)} bytes" if image.sha256 == image_3.sha256 else ""

    drawn: list[Path] = []

    def preview(path: Path) -> bytes:
        drawn.append(path)
        return b"four"

    images = _, image_2, image_3, image_4 = [image(1, 40), image(2), image(3), image(4)]
    assert list(apply_filters(images, Quality(), {"plain": Plain()}, preview))[2:] == [image_3, image_4]
    assert drawn == []
    filters = {"seeing": Seeing(), "plain": Plain(), "again": Seeing()}
    found = list(apply_filters(images, Quality(), filters, preview))
    assert [one.reason if isinstance(one, Rejected) else "kept" for one in found] == [
        *(RejectReason.TOO_SMALL, "plain", "seeing", "kept")
    ]
    assert isinstance(found[2], Rejected)
    assert found[2].detail == "4 bytes"
    assert drawn == [image_3.download.path, image_4.download.path]
    with pytest.raises(InvalidRequest, match="seeing sees pictures"):
        list(apply_filters(images, Quality(), {"seeing": Seeing()}))


def test_rules_of_earlier_plans_are_read() -> None:
    """Datasets that were planned before measures and placeholders existed go on, and drop nothing by them."""
    earlier = '{"min_width": 60, "min_height": 50, "near": {"phash": 10, "dhash": 10}, "twins": "hashes"}'
    assert value(Quality, earlier) == Quality(min_width=60, twins=TwinRule.HASHES, placeholder_urls=0)
    own = Quality(min_sharpness=300, max_aspect=2.5, drop=("dark", "text"), filters=("mine",))
    assert value(Quality, text(own)) == own
