"""Apply the rules of a dataset to the images that the validator accepted. Each rule has a module of its own."""

from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from functools import lru_cache, partial
from pathlib import Path

from pixcore.errors import InvalidRequest
from pixcore.filters.aspect import too_long
from pixcore.filters.duplicates import drop_duplicates
from pixcore.filters.flags import flagged
from pixcore.filters.rule import Fault, Filter, PictureFilter, Rule
from pixcore.filters.sharpness import not_sharp
from pixcore.filters.size import too_small
from pixcore.model.decisions import Decided
from pixcore.model.images import Accepted, Rejected, RejectReason
from pixcore.model.quality import Quality, TwinRule

_RULES = (too_small, too_long, not_sharp, flagged)


def apply_filters(
    verdicts: Iterable[Accepted | Rejected],
    quality: Quality,
    filters: Mapping[str, Filter | PictureFilter] | None = None,
    preview: Callable[[Path], bytes] | None = None,
    decided: Decided = Decided(),
) -> Generator[Accepted | Rejected]:
    """Reject each accepted image that breaks a rule; keep the order and all other verdicts.

    ``filters`` are those of other distributions, by name. Rejections are counted under the name. ``preview`` makes the
    pictures for those that see one: at most one for each image, after all other rules.

    ``decided`` comes first: an excluded image and a known placeholder are rejected as such, an included image passes
    all rules, but not the check for equal bytes.

    The cheap rules come first. Duplicates are compared with kept images only: an image that another rule rejects must
    not displace an equal one.

    Raises:
        InvalidRequest: A filter sees pictures, and ``preview`` is None.
    """
    rules: list[Rule] = [partial(rule, quality=quality) for rule in _RULES]
    named = (filters or {}).items()
    rules += [partial(_fault, name, own) for name, own in named if not isinstance(own, PictureFilter)]
    seeing = [(name, own) for name, own in named if isinstance(own, PictureFilter)]
    if seeing and preview is None:
        raise InvalidRequest(f"the filter {seeing[0][0]} sees pictures; run the chunk with a previewer")
    if preview:
        latest = lru_cache(1)(preview)  # several filters see one picture
        rules += [partial(_fault_of_picture, name, own, latest) for name, own in seeing]
    near = quality.near if quality.twins is TwinRule.HASHES else None
    return drop_duplicates(_kept(_not_excluded(verdicts, decided, quality), rules, decided), near, decided)


def _not_excluded(
    verdicts: Iterable[Accepted | Rejected], decided: Decided, quality: Quality
) -> Generator[Accepted | Rejected]:
    for verdict in verdicts:
        if isinstance(verdict, Accepted) and (why := decided.placeholder(verdict.sha256)):
            yield Rejected(verdict.download, RejectReason.PLACEHOLDER, why, verdict)
        elif isinstance(verdict, Accepted) and (
            detail := decided.exclusion(verdict.sha256, verdict.fingerprint, quality.near)
        ):
            yield Rejected(verdict.download, RejectReason.EXCLUDED, detail, verdict)
        else:
            yield verdict


def _kept(
    verdicts: Iterable[Accepted | Rejected], rules: Sequence[Rule], decided: Decided
) -> Generator[Accepted | Rejected]:
    for verdict in verdicts:
        if not isinstance(verdict, Accepted) or decided.includes(verdict.sha256):
            yield verdict
        elif fault := next(filter(None, (rule(verdict) for rule in rules)), None):
            yield Rejected(verdict.download, fault.reason, fault.detail, verdict)
        else:
            yield verdict


def _fault(name: str, own: Filter, image: Accepted) -> Fault | None:
    detail = own.fault(image)
    return Fault(name, detail) if detail else None


def _fault_of_picture(name: str, own: PictureFilter, preview: Callable[[Path], bytes], image: Accepted) -> Fault | None:
    detail = own.fault_of_picture(image, preview(image.download.path))
    return Fault(name, detail) if detail else None
