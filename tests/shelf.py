"""Create completed chunks of given pictures, packed, published and recorded like those of the pipeline."""

import hashlib
from collections.abc import Sequence
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path

from attrs import define, field, frozen
from PIL import Image

from pixcore import (
    Accepted,
    Archiver,
    BlobStore,
    ChunkRecord,
    ChunkRequest,
    ChunkResult,
    Download,
    Progress,
    Quality,
    Slice,
)
from pixcore.chunk.publish import publish
from pixcore.model.claims import Claimed
from pixcore.model.images import Candidate, CandidateKey, Provenance
from pixcore.model.quality import Fingerprint
from pixcore.model.rows import COLUMN_TYPES, row, tally
from pixcore.stored.archives import StoredArchives
from pixcore_adapters.archiver.tar import TarArchiver
from pixcore_adapters.archiver.zip import ZipArchiver
from pixcore_adapters.blob_store.local import LocalBlobStore
from pixcore_adapters.seen_images.memory import MemorySeenImages
from pixcore_adapters.status_repo.memory import MemoryStatusRepo


@frozen
class Picture:
    """A picture, with the title, hash, format and hash method of its row, and its sha256 if it is not the true one."""

    data: bytes
    title: str = ""
    phash: int = 0
    format: str = "JPEG"
    method: str = "test"
    sha256: str = ""


@define
class Shelf:
    """A dataset named ``cats`` in the folder ``root``/store."""

    root: Path
    archiver: Archiver = field(factory=ZipArchiver)
    store: BlobStore = field(init=False)
    status: MemoryStatusRepo = field(init=False, factory=MemoryStatusRepo)
    seen: MemorySeenImages = field(init=False)

    def __attrs_post_init__(self) -> None:
        self.store = LocalBlobStore(self.root / "store")
        self.seen = MemorySeenImages(self.status)

    @property
    def archives(self) -> StoredArchives:
        """Fetch the archives, without a wait between retries."""
        return StoredArchives(self.store, (ZipArchiver(), TarArchiver()), self.root / "work", sleep=lambda _: None)

    def records(self) -> list[ChunkRecord]:
        """Return all chunks."""
        return list(self.status.find("cats"))

    def add(
        self, pictures: Sequence[Picture], keyword: str = "cat", label: str = "", quality: Quality | None = None
    ) -> ChunkRecord:
        """Create a completed chunk of these pictures; return its record."""
        index = len(self.records())
        (chunk,) = self.status.ensure(
            [
                ChunkRequest(
                    index,
                    keyword,
                    len(pictures),
                    (Slice("memory", "q", 0, len(pictures)),),
                    dataset="cats",
                    label=label,
                    quality=quality or Quality(),
                )
            ]
        )
        claimed = self.status.claim(chunk.key, "owner", 60)
        assert isinstance(claimed, Claimed)
        return self.finish(claimed, pictures)

    def finish(self, claimed: Claimed, pictures: Sequence[Picture]) -> ChunkRecord:
        """Complete a claimed chunk with these pictures; return its record."""
        accepted = []
        for number, picture in enumerate(pictures):
            path = self.root / f"{claimed.chunk.id}-{number}"
            path.write_bytes(picture.data)
            accepted.append(_accepted(path, number, picture))
        return self.complete(claimed, accepted)

    def complete(self, claimed: Claimed, accepted: Sequence[Accepted]) -> ChunkRecord:
        """Complete a claimed chunk with these accepted images; return its record."""
        chunk, attempt = claimed.chunk, claimed.claim.attempt
        self.seen.hold(claimed.claim, accepted)
        images = [(row(number, one, chunk.request), one.download.path) for number, one in enumerate(accepted)]
        archive = self.archiver.pack(images, self.root / f"chunk-{chunk.id}")
        blob = publish(
            self.store,
            archive,
            key=chunk.key.blob_key(self.archiver.suffix),
            content_type=self.archiver.content_type,
            claim=claimed.claim,
            identity=self.status.identity,
        )
        result = ChunkResult(
            blob.url,
            archive.sha256,
            archive.size,
            len(accepted),
            attempt,
            Progress(accepted=len(accepted)),
            {},
            tally(one for one, _ in images),
            columns=dict(chunk.request.columns) | COLUMN_TYPES,
            archive_version=archive.version,
        )
        self.status.complete(claimed.claim, result)
        return self.status.get(chunk.key)


def _accepted(path: Path, number: int, picture: Picture) -> Accepted:
    candidate = Candidate(CandidateKey("memory", "q", number), f"{path.name}.jpg", Provenance(title=picture.title))
    width, height = _size(picture.data)
    return Accepted(
        Download(candidate, path, len(picture.data), datetime(2020, 1, 1, tzinfo=UTC)),
        picture.sha256 or hashlib.sha256(picture.data).hexdigest(),
        width,
        height,
        picture.format,
        Fingerprint(picture.phash, picture.phash, picture.method, flat=False),
    )


def _size(data: bytes) -> tuple[int, int]:
    try:
        with Image.open(BytesIO(data)) as image:
            return image.size
    except OSError:
        return 1, 1
