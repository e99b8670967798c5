"""When a dataset's card is written: whenever one of its chunks has ended and none is left to do.

The card is ``README.md`` and ``croissant.json`` beside ``data/``. Any worker may be the one that finds the dataset
complete, and several at the same moment: each looks at what stands there before it counts, and replaces only that, so
the last counts stay.
"""

import hashlib
import logging
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from tempfile import NamedTemporaryFile

from pixcore.chunk.retry import Policies, RetryPolicy, retrying
from pixcore.chunk.workspace import local_disk
from pixcore.errors import PixcoreError, StoreConflict, StoreDenied, StoreNotFound, TransientError, one_line
from pixcore.model.archives import Blob
from pixcore.model.chunks import Status
from pixcore.ports import BlobStore, StatusRepo

_STATUS = "pixcore_status"  # as in pixcore.chunk.publish: whose blob it is

_logger = logging.getLogger("pixcore")


def refresh(
    dataset: str, status: StatusRepo, store: BlobStore, interrupts: tuple[type[BaseException], ...] = ()
) -> None:
    """Write the card if the dataset is complete; what goes wrong is a warning of the logger ``pixcore``.

    To be called after each chunk that ends, because of which it raises only ``interrupts``, those of the pipeline, and
    what is no ``Exception``: the chunk is stored, whatever becomes of the card.
    """
    try:
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
    """Write the card if every chunk is completed or has failed, and there is an archive; else do nothing.

    Idempotent, and cheap while chunks are left to do. The same records give the same card, which is not written again.

    Raises:
        StoreConflict: A file that this status database's pixcore did not write is in the way, and stays.
        StoreDenied: The store refused, as those do that cannot replace a blob: the old card stays.
        TransientError: Others kept writing it, or the local disk's fault.
        StoreNotFound, StoreUnavailable, StatusUnavailable, WorkspaceFull: As the ports and the local disk say.
    """
    if dataset and _settled(dataset, status):
        retrying(policy, sleep)(_publish, dataset, status, store)


def _settled(dataset: str, status: StatusRepo) -> bool:
    # processing first: while others work, that is answered with a row for each of them, not with a page of a thousand
    unfinished = (next(status.find(dataset, one), None) for one in (Status.PROCESSING, Status.PENDING))
    return not any(unfinished)


def _publish(dataset: str, status: StatusRepo, store: BlobStore) -> None:
    from pixcore_adapters.outputs.card import croissant, readme  # noqa: PLC0415 - no command waits for the template engine
    from pixcore_adapters.outputs.card.counts import count  # noqa: PLC0415 - likewise

    # before the chunks are counted: whoever counts later and writes sooner makes this one's put a conflict
    there = {name: _head(store, f"{dataset}/{name}") for name in ("README.md", "croissant.json")}
    counts = count(dataset, status.find(dataset))
    if counts.unsettled or not counts.archives:
        return
    foreign = {name: blob for name, blob in there.items() if blob and blob.metadata.get(_STATUS) != status.identity}
    written: dict[str, tuple[str, Iterable[bytes]]] = {
        "README.md": (readme.MEDIA_TYPE, [readme.card(counts)]),
        "croissant.json": (croissant.MEDIA_TYPE, croissant.render(counts)),
    }
    for name, (media_type, pieces) in written.items():
        if name not in foreign:
            key = f"{dataset}/{name}"
            _put(store, key, pieces, media_type=media_type, identity=status.identity, there=there[name])
    if foreign:
        urls = " and ".join(blob.url for blob in foreign.values())
        raise StoreConflict(f"{urls}: not written by pixcore from this status database, so left; move it away")


def _put(
    store: BlobStore, key: str, pieces: Iterable[bytes], *, media_type: str, identity: str, there: Blob | None
) -> None:
    with local_disk("writing the card"), NamedTemporaryFile() as file:
        digest = hashlib.sha256()
        for piece in pieces:
            file.write(piece)
            digest.update(piece)
        file.flush()
        if there and there.sha256 == digest.hexdigest():
            return
        try:
            store.put(
                key,
                Path(file.name),
                sha256=digest.hexdigest(),
                size=file.tell(),
                content_type=media_type,
                metadata={_STATUS: identity},
                replacing=there.etag if there else None,
            )
        except StoreConflict as exc:
            raise TransientError(f"{key} was written by another worker at the same moment") from exc
        except StoreDenied as exc:
            if there:
                raise StoreDenied(f"{there.url} stays as it was: {exc}") from exc
            raise


def _head(store: BlobStore, key: str) -> Blob | None:
    try:
        return store.head(key)
    except StoreNotFound:
        return None
