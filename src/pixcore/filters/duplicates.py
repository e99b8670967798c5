"""Drop duplicates within a chunk: images with equal bytes, and images whose perceptual hashes are near."""

from collections.abc import Generator, Iterable

from pixcore.model.decisions import Decided
from pixcore.model.images import Accepted, Rejected, RejectReason
from pixcore.model.quality import NearRule


def drop_duplicates(
    verdicts: Iterable[Accepted | Rejected], rule: NearRule | None, decided: Decided = Decided()
) -> Generator[Accepted | Rejected]:
    """Reject each accepted image that duplicates an earlier one; keep the order and all other verdicts.

    Exact duplicates have the same sha256. Near-duplicates are those that ``rule`` finds; None finds none. The first of
    two duplicates stays. An image that ``decided`` includes is nobody's near-duplicate.
    """
    exact: dict[str, Accepted] = {}
    kept: list[tuple[int, Accepted]] = []
    for verdict in verdicts:
        if isinstance(verdict, Rejected):
            yield verdict
        elif twin := exact.get(verdict.sha256):
            detail = f"same bytes as {twin.download.candidate.url}"
            yield Rejected(verdict.download, RejectReason.DUPLICATE, detail, verdict, twin)
        elif decided.includes(verdict.sha256):
            exact[verdict.sha256] = verdict
            yield verdict
        elif rule and (twin := _near(verdict, kept, rule)):
            bits = (verdict.fingerprint.phash ^ twin.fingerprint.phash).bit_count()
            detail = f"differs from {twin.download.candidate.url} in {bits} of 64 phash bits"
            yield Rejected(verdict.download, RejectReason.NEAR_DUPLICATE, detail, verdict, twin)
        else:
            exact[verdict.sha256] = verdict
            kept.append((verdict.fingerprint.phash, verdict))
            yield verdict


def _near(image: Accepted, kept: Iterable[tuple[int, Accepted]], rule: NearRule) -> Accepted | None:
    """Return the first kept image that is a near-duplicate of this one, or None. ``kept`` has each with its phash."""
    # A chunk makes some hundred thousand comparisons. Comparing the phashes inline, without calling rule.holds, decides
    # almost all of them.
    phash, most = image.fingerprint.phash, rule.phash
    for other, twin in kept:
        if (other ^ phash).bit_count() <= most and rule.holds(image.fingerprint, twin.fingerprint):
            return twin
    return None
