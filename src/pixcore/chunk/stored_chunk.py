"""StoredChunk: the images that a chunk stores, in its archive and among the rejected ones, and their outcomes."""

import gzip
import hashlib
import json
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path

from attrs import define, field, frozen
from tenacity import Retrying

from pixcore.chunk.fetching import fetch_blob
from pixcore.chunk.publish import attempt_of, replaceable
from pixcore.chunk.workspace import local_disk
from pixcore.errors import InvalidRequest, StoreNotFound
from pixcore.model.archives import StoredBlob
from pixcore.model.chunks import Chunk, ChunkResult, Claim
from pixcore.model.images import EQUAL_BYTES, Accepted, CandidateKey, Download
from pixcore.model.originals import collected_sha256, measures_of, original
from pixcore.model.outcomes import ACCEPTED, OUTCOMES, PREVIEWS, REJECTED, Line
from pixcore.model.positions import candidate_number, from_text, listed_key
from pixcore.model.quality import Fingerprint
from pixcore.model.rows import candidate, complete, fetched_at
from pixcore.ports import Archiver, BlobStore

_Row = Mapping[str, object]


@frozen
class StoredImage:
    """An image whose bytes a chunk stores.

    Attributes:
        image: The image as it was collected, with the hashes and measures of its row. ``grey`` and ``flat`` are not
            known. ``download.path`` is where ``StoredChunk.unpack`` writes the stored file.
        values: Its row, with all columns of this version.
        number: The number of its candidate; None if it is not known, or if the candidate is in no slice.
        in_archive: Whether it is in the archive, not only among the rejected images.
    """

    image: Accepted
    values: _Row
    number: int | None
    in_archive: bool

    @property
    def sha256(self) -> str:
        """The sha256 of the collected image, which identifies it within the chunk."""
        return self.image.sha256


@frozen
class StoredBlobs:
    """Fetches what the last complete attempt at a chunk stored.

    A later attempt may have been interrupted after it had replaced some of the blobs. Then these are fetched: an
    attempt stores rejected images before it removes them from the archive, so no image is lost.

    Attributes:
        store, archiver: Where the blobs are, and what reads the archive.
        chunk: The chunk.
        result: The recorded result.
        attempt: The last attempt at the chunk.
        identity: The status database's.
        into: A folder for the files.
        retry: Retries each request as the policy for the store says.
    """

    store: BlobStore
    archiver: Archiver
    chunk: Chunk
    result: ChunkResult
    attempt: int
    identity: str
    into: Path
    retry: Retrying

    def archive(self) -> Path:
        """Fetch the archive.

        Raises:
            InvalidRequest: It is missing, or not the one that was recorded.
            StoreDenied, StoreUnavailable, WorkspaceFull, TransientError: It cannot be fetched now.
        """
        key = self.chunk.key.blob_key(self.archiver.suffix)
        found = self._fetched(key, StoredBlob(self.result.bytes, self.result.sha256), "archive")
        if found is None:
            raise InvalidRequest(f"{key} is missing; it was stored as {self.result.url}")
        return found[0]

    def beside(self, suffix: str) -> tuple[Path, StoredBlob] | None:
        """Fetch a blob about the chunk's candidates; return its file and description, or None if there is none.

        Raises:
            InvalidRequest: It was recorded, and is missing or another one.
            StoreDenied, StoreUnavailable, WorkspaceFull, TransientError: It cannot be fetched now.
        """
        recorded = {
            OUTCOMES: self.result.outcomes,
            PREVIEWS: self.result.previews,
            f"{REJECTED}{self.archiver.suffix}": self.result.rejected,
        }[suffix]
        return self._fetched(self.chunk.key.outcomes_key(suffix), recorded, f"stored{suffix}")

    def _fetched(self, key: str, recorded: StoredBlob | None, name: str) -> tuple[Path, StoredBlob] | None:
        try:
            blob = self.retry(self.store.head, key)
        except StoreNotFound as exc:
            if recorded:
                raise InvalidRequest(
                    f"{key} is missing; restore it, or make it again: pixcore verify --repair"
                ) from exc
            return None
        later = replaceable(blob, Claim(self.chunk.key, "", self.attempt), self.identity)
        expected = recorded
        if later and (attempt_of(blob) or 0) > self.result.attempt:
            expected = StoredBlob(blob.size, blob.sha256)
        if expected is None:
            return None
        file = self.into / name
        if self.retry(fetch_blob, self.store, key, file, expected.size) != (expected.size, expected.sha256):
            raise InvalidRequest(
                f"{key} is not the blob that was recorded; `pixcore verify` says what is wrong with it"
            )
        return file, expected


@define(eq=False)
class StoredChunk:
    """The images that a chunk stores, and the outcomes of its candidates.

    Attributes:
        images: The images of the archive, in its order, then the rejected ones that are not in it.
        lines: The outcomes that belong to an image, by their places among all outcomes. None if none are stored.
        owners: The place in ``lines`` of each stored image, by its sha256.
        outcomes: The file of all outcomes.
        rejected: The archive of the rejected images; None if there is none.
    """

    blobs: StoredBlobs
    images: list[StoredImage] = field(init=False, factory=list[StoredImage])
    lines: dict[int, Line] | None = field(init=False, default=None)
    owners: dict[str, int] = field(init=False, factory=dict[str, int])
    outcomes: Path | None = field(init=False, default=None)
    rejected: StoredBlob | None = field(init=False, default=None)
    _files: list[Path] = field(init=False, factory=list[Path])

    def __attrs_post_init__(self) -> None:
        """Fetch the archive, the outcomes and the rejected images, and read their rows.

        Raises:
            InvalidRequest: One of them is missing, damaged or not the one that was recorded, or they contradict each
                other.
            StoreDenied, StoreUnavailable, WorkspaceFull, TransientError: They cannot be fetched now.
        """
        blobs = self.blobs
        if found := blobs.beside(OUTCOMES):
            self.outcomes = found[0]
            self.lines = image_lines(found[0])
            self.owners = _owners(self.lines)
        self._add(blobs.archive(), in_archive=True)
        if found := blobs.beside(f"{REJECTED}{blobs.archiver.suffix}"):
            file, self.rejected = found
            self._add(file, in_archive=False)

    def unpack(self, wanted: Collection[str]) -> None:
        """Write the files of the images with these sha256 to the paths of their downloads.

        Raises:
            InvalidRequest: A file is missing, or not the one that its row describes.
            WorkspaceFull, TransientError: As ``local_disk`` raises them.
        """
        for number, archive in enumerate(self._files):
            named = {
                str(each.values["file_name"]): each
                for each in self.images
                if each.in_archive == (number == 0) and each.sha256 in wanted
            }
            for name, data in self.blobs.archiver.contents(archive).files:
                if (each := named.pop(name, None)) is None:
                    continue
                if hashlib.sha256(data).hexdigest() != each.values["sha256"]:
                    raise InvalidRequest(f"{self._key}: {name} is not the image that its row describes")
                with local_disk("writing an image"):
                    each.image.download.path.write_bytes(data)
            if named:
                raise InvalidRequest(f"{self._key}: {min(named)} has a row but no file")

    @property
    def _key(self) -> str:
        return self.blobs.chunk.key.blob_key(self.blobs.archiver.suffix)

    def _add(self, archive: Path, *, in_archive: bool) -> None:
        self._files.append(archive)
        known = {each.sha256 for each in self.images}
        numbers = from_text(self.blobs.result.kept)
        for place, stored in enumerate(self.blobs.archiver.contents(archive).rows):
            values = complete(stored)
            if (sha256 := collected_sha256(values)) in known:
                continue
            line = self.lines[self.owners[sha256]] if self.lines and sha256 in self.owners else None
            if line is None and self.lines is not None:
                raise InvalidRequest(
                    f"{self._key} holds {values['url']}, which its outcomes do not name; an attempt at chunk"
                    f" {self.blobs.chunk.key} was interrupted: repeat `pixcore retry`"
                )
            number = numbers[place] if line is None and in_archive and place < len(numbers) else None
            slices = self.blobs.chunk.slices
            if line:
                key = CandidateKey(str(line["source"]), str(line["query"]), int(line["position"]))
                number = candidate_number(slices, key)
            else:
                key = (listed_key(slices, number) if number is not None else None) or CandidateKey(
                    str(values["source"]), self.blobs.chunk.request.keyword, place
                )
            path = self.blobs.into / f"image-{len(self.images):06d}"
            self.images.append(StoredImage(collected(values, key, path), values, number, in_archive))


def image_lines(outcomes: Path) -> dict[int, Line]:
    """Return the outcomes that belong to an image, by their places among all outcomes."""
    return {place: json.loads(line) for place, line in enumerate(raw_lines(outcomes)) if b'"sha256": ' in line}


def raw_lines(outcomes: Path) -> Iterator[bytes]:
    """Yield all outcomes as they are stored."""
    with local_disk("reading the outcomes"), gzip.open(outcomes) as lines:
        yield from lines


def _owners(lines: Mapping[int, Line]) -> dict[str, int]:
    """Map each sha256 to the line of its image: the accepted one, or else the first that is no copy of another."""
    owners: dict[str, int] = {}
    for place, line in lines.items():
        sha256 = str(line["sha256"])
        if line["outcome"] == ACCEPTED:
            owners[sha256] = place
        elif line["outcome"] not in EQUAL_BYTES:
            owners.setdefault(sha256, place)
    return owners


def collected(values: _Row, key: CandidateKey, path: Path) -> Accepted:
    """Return the image that was collected, as a stored row describes it."""
    known = original(values)
    number = {name: int(str(values[name])) for name in ("width", "height", "bytes", "orientation", "frames")}
    return Accepted(
        Download(candidate(values, key), path, known.size if known else number["bytes"], fetched_at(values), known),
        sha256=known.sha256 if known else str(values["sha256"]),
        width=known.width if known else number["width"],
        height=known.height if known else number["height"],
        format=str(values["format"]),
        fingerprint=Fingerprint.parse(values["phash"], values["dhash"], values["hash_method"]),
        frames=number["frames"],
        mode=str(values["mode"]),
        orientation=number["orientation"],
        measures=measures_of(values),
    )
