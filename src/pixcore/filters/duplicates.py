"""Drop duplicates within a chunk: equal bytes, and pictures whose perceptual hashes are near."""

from collections.abc import Generator, Iterable

from pixcore.model.images import Accepted, Rejected, RejectReason
from pixcore.model.quality import NearRule


def drop_duplicates(verdicts: Iterable[Accepted | Rejected], rule: NearRule | None) -> Generator[Accepted | Rejected]:
    """Turn each accepted image that equals an earlier accepted one into a rejection; keep order and everything else.

    Exact duplicates go by sha256; near ones by ``rule``, or not at all when it is None. The first of two twins stays.
    """
    exact: dict[str, Accepted] = {}
    kept: list[tuple[int, Accepted]] = []
    for verdict in verdicts:
        if isinstance(verdict, Rejected):
            yield verdict
        elif twin := exact.get(verdict.sha256):
            yield Rejected(verdict.download, RejectReason.DUPLICATE, f"same bytes as {twin.download.candidate.url}")
        elif rule and (twin := _near(verdict, kept, rule)):
            bits = (verdict.fingerprint.phash ^ twin.fingerprint.phash).bit_count()
            yield Rejected(
                verdict.download,
                RejectReason.NEAR_DUPLICATE,
                f"{bits} of 64 phash bits from {twin.download.candidate.url}",
            )
        else:
            exact[verdict.sha256] = verdict
            kept.append((verdict.fingerprint.phash, verdict))
            yield verdict


def _near(image: Accepted, kept: Iterable[tuple[int, Accepted]], rule: NearRule) -> Accepted | None:
    """The first of those kept, each with its phash, that the image nearly equals."""
    # the phash alone settles almost all of the hundred thousand comparisons of a chunk, without a call
    phash, most = image.fingerprint.phash, rule.phash
    for other, twin in kept:
        if (other ^ phash).bit_count() <= most and rule.holds(image.fingerprint, twin.fingerprint):
            return twin
    return None
