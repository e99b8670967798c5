"""Find out whether this machine and the services can run chunks: work directory, decoder, status database and store."""

import hashlib
import os
from base64 import b64decode
from contextlib import closing, suppress
from datetime import UTC, datetime
from pathlib import Path

from pixcore import (
    Accepted,
    BlobStore,
    Candidate,
    CandidateKey,
    ChunkKey,
    Download,
    MachineUnfit,
    PixcoreError,
    SeenImages,
    StatusRepo,
    StoreConflict,
    StoreDenied,
    Validator,
)
from pixcore.chunk.workspace import local_disk, workspace
from pixcore.errors import one_line
from pixcore.model.chunks import Claim

FOLDER = "pixcore-check"  # a folder that no dataset uses
_KEY = f"{FOLDER}/worker"
_NOBODY = Claim(ChunkKey(FOLDER, 0), "pixcore check", 0)

# A JPEG of 16 x 16 pixels, which every decoder can decode.
_IMAGE = b64decode(
    "/9j/4AAQSkZJRgABAQAAAQABAAD/2wBDABALDA4MChAODQ4SERATGCgaGBYWGDEjJR0oOjM9PDkzODdASFxOQERXRTc4UG1RV19iZ2hnPk1xeXBk"
    "eFxlZ2P/wAALCAAQABABAREA/8QAHwAAAQUBAQEBAQEAAAAAAAAAAAECAwQFBgcICQoL/8QAtRAAAgEDAwIEAwUFBAQAAAF9AQIDAAQRBRIhMUEG"
    "E1FhByJxFDKBkaEII0KxwRVS0fAkM2JyggkKFhcYGRolJicoKSo0NTY3ODk6Q0RFRkdISUpTVFVWV1hZWmNkZWZnaGlqc3R1dnd4eXqDhIWGh4iJ"
    "ipKTlJWWl5iZmqKjpKWmp6ipqrKztLW2t7i5usLDxMXGx8jJytLT1NXW19jZ2uHi4+Tl5ufo6erx8vP09fb3+Pn6/9oACAEBAAA/AOb0T+GvQNE/"
    "hrz/AET+GvQNE/hr/9k="
)


def find_fault(
    folder: Path,
    validator: Validator,
    status: StatusRepo,
    seen: SeenImages,
    store: BlobStore,
    *,
    room: int = 0,
    store_room: int = 0,
) -> PixcoreError | None:
    """Return the first thing that does not work, or None. Removes what it writes.

    Args:
        folder: The setting ``work``.
        validator: Must accept a good image.
        status: Must be readable.
        seen: Must be writable; it is in the status database.
        store: Must accept a blob.
        room: How many bytes must be free in ``folder``.
        store_room: How many bytes the blob has.
    """
    try:
        with workspace(folder, _left_behind) as made:
            write_work(made, room)
            decode(validator, made)
            use_status(status, seen)
            _use_store(store, made / "blob", store_room)
    except PixcoreError as error:
        return error
    return None


def write_work(folder: Path, room: int = 0) -> None:
    """Write into the work directory; require ``room`` free bytes.

    Raises:
        WorkspaceFull, MachineUnfit: As ``local_disk`` raises them.
    """
    doing = f"writing {room} bytes into the work directory" if room else "writing into the work directory"
    path = folder / "room"
    with local_disk(doing):
        try:
            with path.open("wb") as file:
                file.write(b"probe")
                if room:
                    os.posix_fallocate(file.fileno(), 0, room)
        except OSError as error:
            error.filename = folder.parent  # the system names no file
            raise
        finally:
            path.unlink(missing_ok=True)


def decode(validator: Validator, folder: Path) -> None:
    """Require that the validator accepts a good image.

    Raises:
        MachineUnfit: It does not, or no decoder can be started.
        WorkspaceFull: The image cannot be written.
    """
    path = folder / "image.jpg"
    with local_disk("writing into the work directory"):
        path.write_bytes(_IMAGE)
    candidate = Candidate(CandidateKey(FOLDER, "", 0), path.name)
    with closing(validator.validate([Download(candidate, path, len(_IMAGE), datetime.now(UTC))])) as verdicts:
        verdict = next(verdicts)
    if not isinstance(verdict, Accepted):
        raise MachineUnfit(
            f"the decoder rejects a good image ({verdict.reason}: {verdict.detail}); install pixcore's packages again"
        )


def use_status(status: StatusRepo, seen: SeenImages) -> None:
    """Read from the status database, and write to it without any effect.

    Raises:
        PixcoreError: As its methods raise it.
    """
    _ = status.identity
    seen.release(_NOBODY)  # the claim holds nothing, but releasing it needs permission to write


def _use_store(store: BlobStore, source: Path, size: int) -> None:
    """Create a blob of ``size`` bytes and delete it. One that a probe could not delete shows that the store works."""
    with local_disk("writing into the work directory"):
        source.touch()
        os.truncate(source, size)
        with source.open("rb") as file:
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    with suppress(StoreConflict):
        store.put(_KEY, source, sha256=sha256, size=size, content_type="text/plain", metadata={"made_by": "pixcore"})
    with suppress(StoreDenied):  # chunks need no right to delete
        store.delete(_KEY)


def _left_behind(path: Path, error: OSError) -> None:
    raise MachineUnfit(
        f"{path} cannot be removed ({one_line(error)}); remove it by hand, and check the permissions of its folder"
    )
