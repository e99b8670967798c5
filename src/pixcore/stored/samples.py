"""A dataset as samples, one image after the other, each in its split: what every other layout is made from."""

from collections.abc import Generator, Iterable, Mapping
from contextlib import closing
from itertools import chain
from pathlib import PurePosixPath

from attrs import frozen

from pixcore.model.chunks import ChunkRecord
from pixcore.ports.seen_images import NearPair, SeenImages
from pixcore.stored.archives import Shards
from pixcore.stored.near_groups import near_groups
from pixcore.stored.splits import Splits, representatives

CLASSES = ("label", "keyword")  # the columns that may say what an image shows


@frozen
class Sample:
    """One image of an export.

    Attributes:
        split: The split that it is in.
        key: What names it within the export: letters, digits and ``-``.
        extension: What its file's name ends in, without the dot.
        row: Its row, with ``file_name`` as the file's name is here.
        data: The file.
    """

    split: str
    key: str
    extension: str
    row: Mapping[str, object]
    data: bytes


def samples(
    records: Iterable[ChunkRecord], shards: Shards, splits: Splits, near: Mapping[str, str], label: str
) -> Generator[Sample]:
    """Yield the images of completed chunks, in the order of the records and of their archives, one in memory at a time.

    Args:
        records: The chunks.
        shards: Brings their archives.
        splits: The parts of the dataset.
        near: By which other image one is placed: see ``pixcore.stored.splits.representatives``.
        label: The column, of ``CLASSES``, that fills ``label``.

    Raises:
        InvalidRequest: A chunk's archive is not the recorded one.
        StoreNotFound, StoreDenied, StoreUnavailable, WorkspaceFull, TransientError: As ``Shards.images`` says.
    """
    for record in records:
        with closing(shards.images(record)) as images:
            for row, data in images:
                sha256, path = str(row["sha256"]), PurePosixPath(str(row["file_name"]))
                key, extension = f"{record.chunk.id}-{path.stem}", path.suffix.removeprefix(".")
                described = {**row, "file_name": f"{key}.{extension}", "label": row[label]}
                yield Sample(splits.place(near.get(sha256, sha256)), key, extension, described, data)


def placed_together(dataset: str, records: Iterable[ChunkRecord], seen: SeenImages) -> dict[str, str]:
    """By which image each near-duplicate in the dataset is placed, so that none is in another split than its twin.

    What is near is as the chunks were planned with; where they differ, what any of them calls near. Memory is for the
    images that have near-duplicates.

    Raises:
        StatusUnavailable: The memory cannot be reached.
    """
    rules = {record.chunk.request.quality.near for record in records} - {None}
    pairs: Iterable[NearPair] = chain.from_iterable(seen.near(dataset, rule) for rule in rules if rule)
    return representatives(near_groups(pairs))
