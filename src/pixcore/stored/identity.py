"""The identity of a store: a UUID that is stored in it, as the blob ``pixcore-store.json``.

A store has different URLs on different machines, and different stores may have equal ones. The identity tells them
apart, and stays when a store is copied to another place.
"""

import hashlib
import json
from contextlib import closing, suppress
from pathlib import Path
from tempfile import NamedTemporaryFile
from uuid import uuid4

from pixcore.chunk.workspace import local_disk
from pixcore.errors import StoreConflict, StoreNotFound
from pixcore.ports import BlobStore

KEY = "pixcore-store.json"
_LONGEST = 1 << 12  # bytes


def identity_of(store: BlobStore) -> str:
    """Return the identity of a store; ``""`` if it has none yet.

    Raises:
        StoreDenied, StoreUnavailable: As ``BlobStore.open`` raises them.
        StoreConflict: The blob is there, but pixcore did not write it.
    """
    try:
        with closing(store.open(KEY)) as blob:
            text = blob.read(_LONGEST)
    except StoreNotFound:
        return ""
    with suppress(ValueError, TypeError, KeyError):
        return str(json.loads(text)["identity"])
    raise StoreConflict(f"the blob {KEY} does not hold the identity of the store; move it elsewhere")


def identify(store: BlobStore) -> str:
    """Return the identity of a store. Give it one if it has none; of several callers at once, one wins.

    Raises:
        StoreDenied, StoreNotFound, StoreUnavailable, StoreConflict: As ``BlobStore.put`` and ``identity_of`` raise
            them.
        WorkspaceFull, MachineUnfit: A temporary file cannot be written.
    """
    if existing := identity_of(store):
        return existing
    text = json.dumps({"identity": str(uuid4())}).encode()
    with local_disk("writing a temporary file", temporary=True), NamedTemporaryFile() as file:
        file.write(text)
        file.flush()
        with suppress(StoreConflict):  # another process was faster
            store.put(
                KEY,
                Path(file.name),
                sha256=hashlib.sha256(text).hexdigest(),
                size=len(text),
                content_type="application/json",
                metadata={"made_by": "pixcore"},
            )
    return identity_of(store)
