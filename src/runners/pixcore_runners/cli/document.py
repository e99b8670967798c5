"""The JSON document of ``--json``, and the exit code of a dataset."""

import json
from collections.abc import Iterable, Iterator, Sequence
from textwrap import indent
from typing import Any

from attrs import asdict

from pixcore import ChunkRecord, TwinPair
from pixcore.ports.seen_images import NearGroup, SeenImage
from pixcore_runners.cli.commands import DONE, NOTHING, PARTIAL
from pixcore_runners.planning.advice import Ending

VERSION = 1


def document(dataset: str, records: Sequence[ChunkRecord]) -> dict[str, Any]:
    """Return the state of a dataset's chunks, in order of their index. The same state gives the same document."""
    return {"version": VERSION, "dataset": dataset, "chunks": [_chunk(record) for record in records]}


def document_text(dataset: str, records: Iterable[ChunkRecord]) -> Iterator[str]:
    """Yield ``document`` as indented JSON, a chunk at a time."""
    yield json.dumps({"version": VERSION, "dataset": dataset, "chunks": []}, indent=2).removesuffix("]\n}")
    first = True
    for record in records:
        yield "\n" if first else ",\n"
        yield indent(json.dumps(_chunk(record), indent=2), "    ")
        first = False
    yield "]\n}\n" if first else "\n  ]\n}\n"


def near_document(dataset: str, groups: Iterable[NearGroup], twins: Sequence[TwinPair] = ()) -> Iterator[str]:
    """Yield the document of a dataset's near-duplicates as text, a group a line. Deterministic.

    ``twins`` are the copies that chunks compared and kept.
    """
    pairs = [asdict(pair) for pair in twins]
    start = json.dumps({"version": VERSION, "dataset": dataset, "twins": pairs, "groups": []})
    yield start.removesuffix("]}")
    for number, group in enumerate(groups):
        yield f"{',' if number else ''}\n{json.dumps(_group(group))}"
    yield "\n]}\n"


def exit_code(ending: Ending) -> int:
    """Return 0 if every chunk is full or exhausted, 4 if no image was collected, else 3."""
    if ending.chunks and not ending.archives:
        return NOTHING
    return PARTIAL if ending.lacking or ending.running else DONE


def _chunk(record: ChunkRecord) -> dict[str, Any]:
    """Describe what is stored; without an archive, the counts of the last attempt with 0 accepted images."""
    result = record.result
    counts = result.progress if result else record.progress
    return {
        "id": record.chunk.id,
        "status": record.status,
        "keyword": record.chunk.request.keyword,
        "url": result.url if result else "",
        "sha256": result.sha256 if result else "",
        "bytes": result.bytes if result else 0,
        "target": record.chunk.request.target,
        "accepted": result.progress.accepted if result else 0,
        "shortfall": _shortfall(record),
        "rejected": dict(sorted(counts.rejected.items())),
        "missed": dict(sorted(counts.missed.items())),
        "conversion": dict(result.tally.get("conversion", {})) if result else {},
        "taken": [asdict(slice_) for slice_ in record.chunk.taken],
        "attempt": record.attempt,
        "seconds": dict(result.seconds) if result else {},
        "error": record.error,
    }


def _group(group: NearGroup) -> dict[str, Any]:
    """Describe a group: the number of its pairs, of which at most ``LISTED_PAIRS`` are listed.

    The ``images`` of a pair are indices into the group's ``images``; distances are bits of 64.
    """
    places = {image.sha256: place for place, image in enumerate(group.images)}
    return {
        "images": [_seen(image) for image in group.images],
        "pairs": [
            {
                "images": [places[pair.one.sha256], places[pair.other.sha256]],
                "phash_bits": pair.phash,
                "dhash_bits": pair.dhash,
            }
            for pair in group.pairs
        ],
        "pair_count": group.count,
    }


def _seen(image: SeenImage) -> dict[str, Any]:
    """Describe an image with the names and formats of its row."""
    return {
        "chunk": image.chunk.id,
        "url": image.url,
        "sha256": image.sha256,
        "phash": f"{image.fingerprint.phash:016x}",
        "dhash": f"{image.fingerprint.dhash:016x}",
        "hash_method": image.fingerprint.method,
    }


def _shortfall(record: ChunkRecord) -> int:
    return record.result.shortfall if record.result else record.chunk.request.target
