"""Read a dataset as samples, which all layouts of an export are made of: one image after the other, with its split."""

import hashlib
from collections import Counter
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from contextlib import closing
from itertools import chain
from pathlib import PurePosixPath

from attrs import frozen

from pixcore.errors import InvalidRequest
from pixcore.model.chunks import ChunkRecord
from pixcore.model.originals import collected_sha256
from pixcore.model.rows import COLUMN_TYPES, as_text, extension_of
from pixcore.ports.seen_images import SeenImages
from pixcore.stored.archives import StoredArchives
from pixcore.stored.splits import Splits, representatives

CLASSES = ("label", "keyword")  # the columns that may name the class of an image


@frozen
class Sample:
    """One image of an export.

    Attributes:
        split: The split that it belongs to.
        key: Its name, unique within the export: letters, digits and ``-``.
        extension: The extension that loaders expect of its format, without the dot.
        row: Its row, in which ``file_name`` is the file's name within the export.
        data: The bytes of the file.
    """

    split: str
    key: str
    extension: str
    row: Mapping[str, object]
    data: bytes


def samples(
    records: Iterable[ChunkRecord],
    archives: StoredArchives,
    splits: Splits,
    near: Mapping[str, str],
    label: str,
    *,
    done: Callable[[], None] = lambda: None,
) -> Generator[Sample]:
    """Yield the images of completed chunks, in the order of the records and of their archives, one in memory at a time.

    All rows have the same columns with the same types, also if different versions of pixcore made the archives: see
    ``columns``.

    Args:
        records: The chunks; they are gone through twice.
        archives: Fetches their archives.
        splits: The splits of the dataset.
        near: For each image with near-duplicates, the image that decides its split: see
            ``pixcore.stored.splits.representatives``.
        label: The column, one of ``CLASSES``, that fills ``label``.
        done: Called after each chunk.

    Raises:
        InvalidRequest: A chunk's archive is not the recorded one, or an image is not the one that its row describes.
        StoreNotFound, StoreDenied, StoreUnavailable, WorkspaceFull, TransientError: As for
            ``StoredArchives.images``.
    """
    together = columns(records, archives)
    for record in records:
        with closing(archives.images(record)) as images:
            for row, data in images:
                path = PurePosixPath(str(row["file_name"]))
                if hashlib.sha256(data).hexdigest() != row["sha256"]:
                    raise InvalidRequest(
                        f"{archives.key(record)}: {path} is not the image that its row describes; `pixcore verify` says"
                        " what else is wrong"
                    )
                sha256 = collected_sha256(row)
                key, extension = f"{record.chunk.id}-{path.stem}", extension_of(str(row["format"]))
                described = uniform(row, together) | {"file_name": f"{key}.{extension}", "label": row[label]}
                yield Sample(splits.place(near.get(sha256, sha256)), key, extension, described, data)
        done()


def classes(records: Iterable[ChunkRecord], archives: StoredArchives, label: str) -> tuple[str, ...]:
    """Return the different values that the column ``label``, one of ``CLASSES``, has in these chunks, sorted.

    An archive whose labels were not counted is fetched to see its rows.

    Raises:
        Exception: As for ``samples``.
    """
    found: set[str] = set()
    for record in records:
        keyword = as_text(record.chunk.request.keyword)
        if label == "keyword":
            found.add(keyword)
        elif record.result and record.result.tally:
            found.update(record.result.tally.get("label", {keyword: 1}))
        else:
            found.update(str(row["label"]) for row in archives.rows(record))
    return tuple(sorted(found))


def columns(records: Iterable[ChunkRecord], archives: StoredArchives) -> dict[str, str]:
    """Return the columns of all rows of these chunks, each with its type as in ``ChunkResult.columns``.

    A column is ``"string"`` if it is one in any archive, or if it comes from a list and an archive lacks it: an integer
    cannot be missing. An archive whose columns were not recorded is fetched to see its rows.

    Raises:
        Exception: As for ``samples``.
    """
    together, listed, chunks = dict(COLUMN_TYPES), Counter[str](), 0
    for record in records:
        chunks += 1
        listed.update(column for column, _ in record.chunk.request.columns)
        recorded = record.result.columns.items() if record.result else ()
        for column, kind in recorded or _kinds(archives.rows(record)):
            together[column] = kind if together.get(column, kind) == kind else "string"
    return together | {column: "string" for column, times in listed.items() if times < chunks}


def _kinds(rows: Iterable[Mapping[str, object]]) -> Iterator[tuple[str, str]]:
    for row in rows:
        for column, value in row.items():
            yield column, "integer" if isinstance(value, int) else "string"


def uniform(row: Mapping[str, object], together: Mapping[str, str]) -> dict[str, object]:
    """Return the row with exactly those columns and types. A missing value becomes ``""`` or 0."""
    return {
        column: row.get(column, 0) if kind == "integer" else str(row.get(column, ""))
        for column, kind in together.items()
    }


def placed_together(dataset: str, records: Iterable[ChunkRecord], seen: SeenImages) -> dict[str, str]:
    """Map each image that has near-duplicates to the image that decides its split, so that they share one.

    The rule for near-duplicates is the one that the chunks were planned with. If these differ, two images are near if
    any of the rules says so. Memory grows only with the images that have near-duplicates.

    Raises:
        StatusUnavailable: The index of seen images cannot be reached.
    """
    rules = {record.chunk.request.quality.near for record in records} - {None}
    return representatives(chain.from_iterable(seen.near(dataset, rule) for rule in rules if rule))
