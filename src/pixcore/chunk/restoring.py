"""Restore the images of a chunk's last archive, so that another attempt does not fetch them again."""

import gzip
import json
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from attrs import evolve

from pixcore.chunk.context import AttemptContext
from pixcore.chunk.fetching import fetch_blob
from pixcore.chunk.workspace import local_disk
from pixcore.errors import InvalidRequest, StoreNotFound
from pixcore.model.archives import StoredBlob
from pixcore.model.images import CandidateKey, Download, Transfer
from pixcore.model.originals import original
from pixcore.model.outcomes import OUTCOMES, PREVIEWS, REJECTED
from pixcore.model.positions import candidate_number, from_text, listed_key
from pixcore.model.rows import candidate, complete, fetched_at


def earlier_outcomes(context: AttemptContext, into: Path) -> Iterable[tuple[CandidateKey, bytes]] | None:
    """Return the lines of the candidates of lists in the outcomes that the last complete attempt stored.

    Return no lines if it stored no outcomes, and None if they are missing now or differ from their record.

    Raises:
        StoreDenied, StoreUnavailable, WorkspaceFull, TransientError: They cannot be fetched now.
    """
    result = context.claimed.result
    if result is None or result.outcomes is None:
        return ()
    file = into / "earlier-outcomes"
    return _lines(context, file) if _fetched(context, OUTCOMES, result.outcomes, file) else None


def earlier_previews(context: AttemptContext, into: Path) -> Iterator[tuple[str, bytes]]:
    """Yield the previews that the last complete attempt stored, each with the sha256 of its image.

    Raises:
        StoreDenied, StoreUnavailable, WorkspaceFull, TransientError: They cannot be fetched now.
    """
    result, file = context.claimed.result, into / "earlier-previews"
    if result and _fetched(context, PREVIEWS, result.previews, file):
        yield from pictures(file)


def pictures(previews: Path) -> Iterator[tuple[str, bytes]]:
    """Yield the previews of a stored file of previews, each with the sha256 of its image."""
    with local_disk("reading the earlier previews"), zipfile.ZipFile(previews) as packed:
        for name in packed.namelist():
            yield name.removesuffix(".webp"), packed.read(name)


def earlier_rejects(context: AttemptContext, into: Path) -> Iterator[tuple[dict[str, object], bytes]]:
    """Yield the row and the bytes of each rejected image that the last complete attempt kept.

    Raises:
        StoreDenied, StoreUnavailable, WorkspaceFull, TransientError: They cannot be fetched now.
    """
    archiver, result = context.using.archiver, context.claimed.result
    file = into / f"earlier-rejects{archiver.suffix}"
    if result and _fetched(context, f"{REJECTED}{archiver.suffix}", result.rejected, file):
        contents = archiver.contents(file)
        rows = {row["file_name"]: row for row in contents.rows}
        for name, data in contents.files:
            yield complete(rows[name]), data


def _fetched(context: AttemptContext, suffix: str, recorded: StoredBlob | None, file: Path) -> bool:
    """Fetch a blob about the chunk's candidates; return whether it is the one that was recorded."""
    if recorded is None:
        return False
    using, key = context.using, context.claim.chunk.outcomes_key(suffix)
    try:
        fetched = context.retrying(using.policies.upload)(fetch_blob, using.store, key, file, recorded.size)
    except (StoreNotFound, InvalidRequest):
        return False
    return fetched == (recorded.size, recorded.sha256)


def _lines(context: AttemptContext, file: Path) -> Iterator[tuple[CandidateKey, bytes]]:
    slices = context.chunk.slices
    with local_disk("reading the earlier outcomes"), gzip.open(file) as lines:
        for line in lines:
            values = json.loads(line)
            key = CandidateKey(values["source"], values["query"], values["position"])
            number = candidate_number(slices, key)
            if number is not None and listed_key(slices, number):
                yield key, line
    file.unlink(missing_ok=True)


def restored(
    context: AttemptContext, into: Path, transfers: Mapping[CandidateKey, Transfer]
) -> Iterator[tuple[int, Download]]:
    """Yield the images of lists that the last archive holds, in its order, each with its candidate's number.

    ``transfers`` says how they were fetched.

    Yield none if the archive differs from its record. Leave out images of searches: a search may give other results at
    the same positions.

    Raises:
        StoreDenied, StoreUnavailable, WorkspaceFull, TransientError: The archive cannot be fetched now.
    """
    using, result = context.using, context.claimed.result
    if result is None or not result.kept or not result.url.endswith(using.archiver.suffix):
        return
    key = context.claim.chunk.blob_key(using.archiver.suffix)
    archive = into / f"earlier{using.archiver.suffix}"
    try:
        fetched = context.retrying(using.policies.upload)(fetch_blob, using.store, key, archive, result.bytes)
    except (StoreNotFound, InvalidRequest):
        return
    if fetched != (result.bytes, result.sha256):
        return
    contents = using.archiver.contents(archive)
    rows = {row["file_name"]: (number, row) for number, row in enumerate(contents.rows)}
    numbers = from_text(result.kept)
    for name, data in contents.files:
        place, row = rows[name]
        if key_ := listed_key(context.chunk.slices, numbers[place]):
            path = into / f"earlier-{place:06d}"
            with local_disk("writing an image"):
                path.write_bytes(data)
            values = complete(row)
            known = original(values), _transfer(values, transfers.get(key_))
            yield numbers[place], Download(candidate(values, key_), path, len(data), fetched_at(values), *known)
    archive.unlink(missing_ok=True)


def _transfer(values: Mapping[str, object], known: Transfer | None) -> Transfer | None:
    """Return how the image of a stored row was fetched. The row alone says whether there were redirects."""
    final = str(values["final_url"])
    return evolve(known or Transfer(final), redirected=True) if final else known
