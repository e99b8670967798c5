"""The images of datasets, in memory: for tests, and for runs whose state need not outlive the process."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from threading import Lock

from attrs import define, evolve, field, frozen

from pixcore.model.chunks import ChunkKey, Claim, Status
from pixcore.model.images import Accepted
from pixcore.model.quality import NearRule
from pixcore.ports import StatusRepo
from pixcore.ports.seen_images import LISTED_PAIRS, NearGroup, SeenImage, url_key


@frozen
class _Hold:
    claim: Claim
    image: SeenImage
    checksum: str = ""


@define
class MemorySeenImages:
    """The whole port within one process. Threads may share an instance.

    Attributes:
        status: The repository of the chunks. A hold counts while its attempt is its chunk's current one there.
    """

    status: StatusRepo
    _holds: dict[tuple[str, str], _Hold] = field(init=False, factory=dict)  # by (dataset, sha256)
    _urls: dict[tuple[str, str], set[str]] = field(init=False, factory=dict)  # likewise
    _lock: Lock = field(init=False, factory=Lock)

    def hold(self, claim: Claim, images: Sequence[Accepted]) -> list[ChunkKey | None]:
        """See ``SeenImages``."""
        with self._lock:
            return [self._hold(claim, image) for image in images]

    def stated(self, claim: Claim, checksum: str) -> ChunkKey | None:
        """See ``SeenImages``."""
        with self._lock:
            holds = [hold for (dataset, _), hold in self._holds.items() if dataset == claim.chunk.dataset]
        others = (hold.claim for hold in holds if hold.claim.chunk != claim.chunk and hold.checksum == checksum != "")
        counting = (other.chunk for other in others if self._counts(other, Status.PROCESSING, Status.COMPLETED))
        return next(counting, None) if claim.chunk.dataset else None

    def keep(self, claim: Claim, since: int) -> None:
        """See ``SeenImages``."""
        with self._lock:
            for key, hold in self._holds.items():
                if hold.claim.chunk == claim.chunk and since <= hold.claim.attempt < claim.attempt:
                    self._holds[key] = evolve(hold, claim=claim)

    def release(self, claim: Claim, images: Sequence[Accepted] | None = None) -> None:
        """See ``SeenImages``."""
        only = None if images is None else {image.sha256 for image in images}
        with self._lock:
            self._holds = {
                (dataset, sha256): hold
                for (dataset, sha256), hold in self._holds.items()
                if not _same_attempt(hold.claim, claim) or (only is not None and sha256 not in only)
            }

    def led(self, dataset: str, urls: Mapping[str, Collection[str]]) -> dict[str, frozenset[str]]:
        """See ``SeenImages``."""
        known: dict[str, frozenset[str]] = {}
        with self._lock:
            for sha256, led in urls.items():
                recorded = self._urls.setdefault((dataset, sha256), set())
                recorded.update(led)
                hold = self._holds.get((dataset, sha256))
                known[sha256] = frozenset(recorded | ({url_key(hold.image.url)} if hold else set()))
        return known

    def holders(self, dataset: str, images: Collection[str]) -> dict[str, ChunkKey]:
        """See ``SeenImages``."""
        with self._lock:
            holds = {sha256: hold for sha256 in images if (hold := self._holds.get((dataset, sha256)))}
        return {
            sha256: hold.claim.chunk for sha256, hold in holds.items() if self._counts(hold.claim, Status.COMPLETED)
        }

    def near(self, dataset: str, rule: NearRule) -> Iterator[NearGroup]:
        """See ``SeenImages``."""
        import numpy as np  # noqa: PLC0415  slow to import

        from pixcore_adapters.near_grouping import arranged, groups  # noqa: PLC0415  as it imports numpy

        with self._lock:
            holds = [hold for (hold_dataset, _), hold in self._holds.items() if hold_dataset == dataset]
        completed = [hold.image for hold in holds if self._counts(hold.claim, Status.COMPLETED)]
        images = [image for image in completed if not image.fingerprint.flat]
        images.sort(key=lambda image: image.sha256)
        phash = np.array([image.fingerprint.phash for image in images], np.uint64)
        dhash = np.array([image.fingerprint.dhash for image in images], np.uint64)
        yield from arranged(groups(phash, dhash, rule, LISTED_PAIRS), dict(enumerate(images)))

    def share_urls(self, dataset: str, to: str) -> None:
        """Count the URLs of a dataset for another one too."""
        with self._lock:
            for (name, sha256), urls in list(self._urls.items()):
                if name == dataset:
                    self._urls.setdefault((to, sha256), set()).update(urls)

    def share(self, source: ChunkKey, claim: Claim, images: Collection[str] | None = None) -> None:
        """Hold the images of another chunk, all or those with these sha256, for the claim's attempt too."""
        with self._lock:
            for hold in [hold for hold in self._holds.values() if hold.claim.chunk == source]:
                if images is None or hold.image.sha256 in images:
                    shared = evolve(hold, claim=claim, image=evolve(hold.image, chunk=claim.chunk))
                    self._holds[claim.chunk.dataset, hold.image.sha256] = shared

    def forget(self, dataset: str) -> None:
        """End all holds of a dataset, and its records of URLs."""
        with self._lock:
            self._holds = {key: hold for key, hold in self._holds.items() if key[0] != dataset}
            self._urls = {key: urls for key, urls in self._urls.items() if key[0] != dataset}

    def _hold(self, claim: Claim, image: Accepted) -> ChunkKey | None:
        dataset = claim.chunk.dataset
        if not dataset:
            return None
        existing = self._holds.get((dataset, image.sha256))
        if existing and _same_attempt(existing.claim, claim):
            return None
        if existing and self._counts(existing.claim, Status.PROCESSING, Status.COMPLETED):
            return existing.claim.chunk
        seen = SeenImage(claim.chunk, image.sha256, image.download.candidate.url, image.fingerprint)
        self._holds[dataset, image.sha256] = _Hold(claim, seen, image.download.candidate.checksum)
        return None

    def _counts(self, holder: Claim, *states: Status) -> bool:
        record = self.status.get(holder.chunk)
        return record.attempt == holder.attempt and record.status in states


def _same_attempt(one: Claim, other: Claim) -> bool:
    return (one.chunk, one.attempt) == (other.chunk, other.attempt)
