"""Try everything that is configured, and remove what was written to try it."""

import hashlib
import tempfile
import time
import uuid
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, cast

from attrs import evolve, frozen

from pixcore import BlobStore, PixcoreError, StoreConflict, StoreDenied, StoreNotFound, StoreUnavailable
from pixcore.chunk.workspace import workspace
from pixcore.errors import one_line
from pixcore_runners.assembly.assembly import Assembly, require_shared
from pixcore_runners.assembly.fitness import FOLDER, decode, use_status, write_work
from pixcore_runners.assembly.imaging import validating
from pixcore_runners.assembly.pace import redis_of, try_redis

if TYPE_CHECKING:
    from pixcore.ports.blob_store import FallbackStore

_LARGE = 9 << 20  # bytes; stores send more than 4 (Azure), 5 (S3) or 8 MiB (Google) in parts


@frozen
class Probe:
    """The trial of one permission, such as ``write`` of the store.

    ``error`` is None if it works. ``note`` says how it works if that is not the usual way.
    """

    part: str
    right: str
    seconds: float
    error: PixcoreError | None
    note: str = ""


def probes(assembly: Assembly, runners: Iterable[str] = ()) -> Iterator[Probe]:
    """Try every permission in turn; skip those that need a permission that is missing. Removes what it writes."""
    work = _tried("work", "write", lambda: _work(assembly.settings.work))
    yield work
    if not work.error:
        yield _tried("decoder", "decode", lambda: _decode(assembly))
    status = _tried("status", "read", assembly.status.summary)
    yield status
    if not status.error:
        yield _tried("status", "write", lambda: use_status(assembly.status, assembly.seen))
    yield from _store(assembly.store)
    if redis := redis_of(assembly.settings):
        yield _tried("pace", "share", partial(try_redis, redis))
    if assembly.settings.broker:
        yield _tried("settings", "for workers", partial(require_shared, assembly.settings))
        for name in runners:
            yield _tried(f"{name} queue", "one store", partial(assembly.require_queue, name))


def _tried(part: str, right: str, attempt: Callable[[], object]) -> Probe:
    began = time.perf_counter()
    error = None
    try:
        attempt()
    except PixcoreError as exc:
        error = exc
    return Probe(part, right, time.perf_counter() - began, error)


def _work(folder: Path) -> None:
    def left_behind(path: Path, error: OSError) -> None:
        raise StoreUnavailable(
            f"{path} cannot be removed ({one_line(error)}); remove it by hand, and check the permissions of its folder"
        )

    with workspace(folder, left_behind) as made:
        write_work(made)


def _decode(assembly: Assembly) -> None:
    with (
        validating(assembly.settings) as validator,
        workspace(assembly.settings.work, lambda _path, _error: None) as made,
    ):
        decode(validator, made)


def _store(store: BlobStore) -> Iterator[Probe]:
    key = f"{FOLDER}/{uuid.uuid4()}"
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder, "probe")
        put = partial(_put, store, key, source)
        written = _noted(store, "write", lambda: put(b"first"))
        yield written
        if written.error:
            return
        yield _tried("store", "read", lambda: _read(store, key, b"first"))
        yield _tried("store", "list", lambda: _listed(store, key))
        yield _tried("store", "create only", lambda: _refused(put, b"second"))
        yield _tried("store", "replace", lambda: _replaced(store, key, put))
        yield _tried("store", "delete", lambda: _deleted(store, key))
        # stores send large blobs in another way than small ones
        yield _noted(store, "write large", lambda: _large(store, f"{key}-large", source))


def _noted(store: BlobStore, right: str, attempt: Callable[[], object]) -> Probe:
    """Try a permission; note what the store does in another way than usual since then."""

    def fallbacks() -> set[str]:
        return {*cast("FallbackStore", store).fallbacks} if hasattr(store, "fallbacks") else set()

    known = fallbacks()
    probe = _tried("store", right, attempt)
    return evolve(probe, note="; ".join(sorted(fallbacks() - known)))


def _large(store: BlobStore, key: str, source: Path) -> None:
    _put(store, key, source, bytes(_LARGE))
    with suppress(StoreDenied):  # the probe of deletes names it
        store.delete(key)


def _put(store: BlobStore, key: str, source: Path, data: bytes, replacing: str | None = None) -> None:
    source.write_bytes(data)
    store.put(
        key,
        source,
        sha256=hashlib.sha256(data).hexdigest(),
        size=len(data),
        content_type="text/plain",
        metadata={"made_by": "pixcore_check"},
        replacing=replacing,
    )


def _read(store: BlobStore, key: str, data: bytes) -> None:
    with store.open(key) as blob:
        if blob.read() != data:
            raise StoreDenied(
                "the store returned other bytes than were written; check the proxies between here and the store"
            )


def _listed(store: BlobStore, key: str) -> None:
    if key not in (blob.key for blob in store.list(FOLDER)):
        raise StoreDenied("a new blob is not listed; use a store whose listings are consistent")


def _refused(put: Callable[..., None], data: bytes, replacing: str | None = None) -> None:
    try:
        put(data, replacing=replacing)
    except StoreConflict:
        return
    raise StoreDenied("one writer can overwrite another; use a store that enforces conditional writes")


def _replaced(store: BlobStore, key: str, put: Callable[..., None]) -> None:
    first = store.head(key).etag
    put(b"second", replacing=first)
    _refused(put, b"third", replacing=first)


def _deleted(store: BlobStore, key: str) -> None:
    store.delete(key)
    try:
        store.head(key)
    except StoreNotFound:
        return
    raise StoreDenied("a deleted blob still exists; use a store whose deletes are consistent")
