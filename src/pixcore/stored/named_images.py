"""Find the images of a dataset that a person names: by sha256, URL or path."""

from collections.abc import Generator, Iterable, Iterator, Mapping

from attrs import evolve, frozen

from pixcore.model.chunks import ChunkRecord
from pixcore.model.images import DOUBTFUL, EQUAL_BYTES
from pixcore.model.originals import collected_sha256
from pixcore.model.outcomes import ACCEPTED
from pixcore.model.rows import complete
from pixcore.stored.archives import StoredArchives
from pixcore.stored.naming import recognise
from pixcore.stored.outcomes import has_outcomes, outcome_lines


@frozen
class NamedImage:
    """A candidate that somebody named.

    Attributes:
        chunk: The id of its chunk.
        outcome: What became of it.
        sha256: Of the collected image; ``""`` if it was not fetched or is not an image.
        phash, dhash: Its hashes, 16 hex digits each, or ``""``.
        url: Its address or path, or ``""``.
        is_stored: Whether its bytes are stored: in the archive, or among the kept rejects of its chunk.
    """

    chunk: int
    outcome: str
    sha256: str
    phash: str
    dhash: str
    url: str
    is_stored: bool

    @property
    def is_overrulable(self) -> bool:
        """Whether it is a sound image that the dataset has not, so that a decision may bring it in."""
        return bool(self.sha256) and self.outcome not in DOUBTFUL | EQUAL_BYTES | {ACCEPTED}


def named_images(
    names: Iterable[str], records: Iterable[ChunkRecord], archives: StoredArchives
) -> Mapping[str, list[NamedImage]]:
    """Find the candidates that each name means. A name without any has an empty list.

    ``recognise`` says what a name may be. Of chunks without stored outcomes, the images of the archive are found. Reads
    the outcomes of each chunk once, whatever the number of names.

    Raises:
        Exception: As ``outcome_lines`` and ``StoredArchives.rows``.
    """
    found: dict[str, list[NamedImage]] = {name: [] for name in names}
    recognised = recognise(found)
    for record in records:
        for line in _lines(record, archives):
            for name in recognised(line):
                found[name].append(_image(record, line))
    return found


def _lines(record: ChunkRecord, archives: StoredArchives) -> Iterator[Mapping[str, object]]:
    if has_outcomes(record, archives) or record.result is None:
        return outcome_lines(record, archives)
    return _of_archive(record, archives)


def _of_archive(record: ChunkRecord, archives: StoredArchives) -> Generator[Mapping[str, object]]:
    """Yield lines like outcomes for the images of a chunk that an earlier version of pixcore completed."""
    for row in map(complete, archives.rows(record)):
        stored = row["sha256"]
        yield {**row, "outcome": ACCEPTED, "sha256": collected_sha256(row), "stored_sha256": stored}


def _image(record: ChunkRecord, line: Mapping[str, object]) -> NamedImage:
    outcome, sha256, phash, dhash, url = (
        str(line.get(key, "")) for key in ("outcome", "sha256", "phash", "dhash", "url")
    )
    image = NamedImage(record.chunk.id, outcome, sha256, phash, dhash, url, is_stored=outcome == ACCEPTED)
    keeps = record.chunk.request.quality.keep_rejected and bool(record.result and record.result.rejected)
    return evolve(image, is_stored=True) if image.is_overrulable and keeps else image
