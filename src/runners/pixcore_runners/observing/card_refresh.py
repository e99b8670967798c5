"""Write the card of a dataset when a chunk has ended and no other is unfinished.

The card is ``README.md`` and ``croissant.json`` beside ``data/``. Any worker may find the dataset complete, and several
may at the same moment. Each reads the etags of the stored card before it counts, and replaces only that version, so the
newest counts win.
"""

import hashlib
import logging
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import TYPE_CHECKING

from pixcore.chunk.retry import Policies, RetryPolicy, retrying
from pixcore.chunk.workspace import local_disk
from pixcore.errors import PixcoreError, StoreConflict, StoreDenied, StoreNotFound, TransientError, one_line
from pixcore.model.archives import Blob
from pixcore.model.chunks import Status
from pixcore.model.overview import Overview
from pixcore.ports import BlobStore, StatusRepo

if TYPE_CHECKING:
    from pixcore_adapters.outputs.card.counts import DatasetCounts

_STATUS = "pixcore_status"  # as in pixcore.chunk.publish: the status database that the blob belongs to

_logger = logging.getLogger("pixcore")


def refresh(
    dataset: str,
    status: StatusRepo,
    store: BlobStore,
    interrupts: tuple[type[BaseException], ...] = (),
    *,
    only_if_missing: bool = False,
) -> None:
    """Write the card if the dataset is complete; log a warning if that fails.

    Call it after each attempt that ended a chunk. The chunk is stored already, so this raises only ``interrupts``,
    which are those of the pipeline, and exceptions that are no ``Exception``. With ``only_if_missing``, do nothing if
    the store has a card already.
    """
    try:
        if not (only_if_missing and _head(store, f"{dataset}/README.md")):
            publish(dataset, status, store)
    except interrupts:
        raise
    except PixcoreError as error:
        _logger.warning("the card of dataset %s is not up to date: %s", dataset, one_line(error))
    except Exception:
        _logger.warning("the card of dataset %s is not up to date", dataset, exc_info=True)


def publish(
    dataset: str,
    status: StatusRepo,
    store: BlobStore,
    *,
    policy: RetryPolicy = Policies().status,
    sleep: Callable[[float], None] = time.sleep,
) -> None:
    """Write the card if every chunk is completed or failed and there is an archive; else do nothing.

    Idempotent, and cheap while chunks are unfinished. The same records give the same card, which is not written again.
    Of a dataset that grows, only chunks are counted that came since the last card, unless others were attempted again.

    Raises:
        StoreConflict: A file of that name exists that pixcore did not write from this status database; it stays.
        StoreDenied: The store refused, for example because it cannot replace a blob; the old card stays.
        TransientError: Other workers kept writing the card, or the local disk failed.
        StoreNotFound, StoreUnavailable, StatusUnavailable, WorkspaceFull: As the ports and the local disk say.
    """
    if dataset and _settled(status.overview(dataset)):
        retrying(policy, sleep)(_publish, dataset, status, store)


def _settled(overview: Overview) -> bool:
    return not (overview.phases.keys() & {Status.PENDING, Status.PROCESSING})


def _publish(dataset: str, status: StatusRepo, store: BlobStore) -> None:
    from pixcore_adapters.outputs.card import croissant, readme  # noqa: PLC0415 - Jinja2 is slow to import

    # read etags before counting: if another worker publishes newer counts first, our put conflicts
    existing = {name: _head(store, f"{dataset}/{name}") for name in ("README.md", "croissant.json")}
    counts = _counted(dataset, status)
    if counts is None or counts.unsettled or not counts.archives:
        return
    foreign = {name: blob for name, blob in existing.items() if blob and blob.metadata.get(_STATUS) != status.identity}
    written: dict[str, tuple[str, Iterable[bytes]]] = {
        "README.md": (readme.MEDIA_TYPE, [readme.card(counts)]),
        "croissant.json": (croissant.MEDIA_TYPE, croissant.render(counts)),
    }
    for name, (media_type, parts) in written.items():
        if name not in foreign:
            key = f"{dataset}/{name}"
            _put(store, key, parts, media_type=media_type, identity=status.identity, existing=existing[name])
    if foreign:
        urls = " and ".join(blob.url for blob in foreign.values())
        raise StoreConflict(
            f"{urls} was not written by pixcore from this status database and was not replaced; move it elsewhere"
        )


def _counted(dataset: str, status: StatusRepo) -> "DatasetCounts | None":
    """Count a dataset's chunks, or only those that are newer than the kept counts; None if some are unfinished."""
    from pixcore_adapters.outputs.card.kept import from_text  # noqa: PLC0415 - cattrs is slow to import

    overview = status.overview(dataset)  # before the records, which then are as new or newer
    if not _settled(overview):
        return None
    text = status.kept_counts(dataset)
    kept = from_text(text, dataset)
    had = kept.last
    kept.add(status.newer(dataset, kept.last))
    if had and not kept.counts.unsettled and kept.attempts != overview.attempts:  # a chunk was attempted again
        kept = from_text("", dataset)
        kept.add(status.newer(dataset, 0))
    if kept.is_worth_keeping and not kept.counts.unsettled and (new := kept.text()) != text:
        status.keep_counts(dataset, new)
    return kept.counts


def _put(
    store: BlobStore, key: str, parts: Iterable[bytes], *, media_type: str, identity: str, existing: Blob | None
) -> None:
    with local_disk("writing the card", temporary=True), NamedTemporaryFile() as file:
        digest = hashlib.sha256()
        for part in parts:
            file.write(part)
            digest.update(part)
        file.flush()
        if existing and existing.sha256 == digest.hexdigest():
            return
        try:
            store.put(
                key,
                Path(file.name),
                sha256=digest.hexdigest(),
                size=file.tell(),
                content_type=media_type,
                metadata={_STATUS: identity},
                replacing=existing.etag if existing else None,
            )
        except StoreConflict as exc:
            raise TransientError(f"another worker wrote {key} at the same moment") from exc
        except StoreDenied as exc:
            if existing:
                raise StoreDenied(f"{existing.url} was not replaced: {exc}") from exc
            raise


def _head(store: BlobStore, key: str) -> Blob | None:
    try:
        return store.head(key)
    except StoreNotFound:
        return None
