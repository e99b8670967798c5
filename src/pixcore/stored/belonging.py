"""Which blobs of a store belong to a dataset."""

import re
from collections.abc import Iterator

from pixcore.chunk.publish import status_of
from pixcore.model.archives import Blob
from pixcore.model.chunks import ChunkKey
from pixcore.ports import BlobStore

ARCHIVE = re.compile(r"chunk_(0|[1-9][0-9]{0,17})\.[a-z]+")  # ids are 64-bit numbers
# The blobs about a chunk's candidates; see ``pixcore.model.outcomes``.
BESIDE = re.compile(r"chunk_(0|[1-9][0-9]{0,17})(\.jsonl\.gz|\.previews\.zip|\.rejected\.[a-z]+)")
# The other blobs of a dataset: its card, and the lists of what its sources held when it was planned.
OTHER = re.compile(r"README\.md|croissant\.json|lists/.+")
_CARD = ("README.md", "croissant.json")


def blobs_of(dataset: str, store: BlobStore, identity: str) -> Iterator[tuple[Blob, bool]]:
    """Yield the blobs below a dataset's name, by rising key, each with whether pixcore wrote it for this dataset.

    It did if the key is one that pixcore uses, and the blob does not name another status database than that with
    ``identity``. The card is foreign unless it names this one.

    Raises:
        StoreNotFound, StoreDenied, StoreUnavailable: As ``BlobStore.list`` raises them.
    """
    for blob in store.list(dataset):
        writers = (identity,) if is_card(blob.key) else (identity, "")
        yield blob, is_known(blob.key) and status_of(blob) in writers


def is_known(key: str) -> bool:
    """Return whether pixcore gives blobs of a dataset such a key."""
    return chunk_of(key) is not None or OTHER.fullmatch(key.partition("/")[2]) is not None


def chunk_of(key: str) -> ChunkKey | None:
    """Return the chunk whose archive or outcomes have this key; None if it is the key of no such blob."""
    dataset, _, name = key.partition("/")
    folder, _, rest = name.partition("/")
    pattern = {"data": ARCHIVE, "outcomes": BESIDE}.get(folder)
    found = pattern.fullmatch(rest) if pattern else None
    return ChunkKey(dataset, int(found[1])) if found else None


def is_card(key: str) -> bool:
    """Return whether the blob of that key is a part of a dataset's card."""
    return key.partition("/")[2] in _CARD
