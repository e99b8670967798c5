"""List the pairs of images that the page shows side by side."""

import json
from collections.abc import Iterable

from pixcore.ports.seen_images import NearGroup, NearPair

MOST = 5_000


def near_document(groups: Iterable[NearGroup]) -> bytes:
    """Return the nearest pairs as JSON, each as ``[sha256, sha256, detail]``, and how many there are in all."""
    found, in_all = list[NearPair](), 0
    for group in groups:
        found += group.pairs
        in_all += group.count
    found.sort(key=lambda pair: pair.phash + pair.dhash)
    listed = [
        [pair.one.sha256, pair.other.sha256, f"similar hashes: {pair.phash} bits (phash), {pair.dhash} bits (dhash)"]
        for pair in found[:MOST]
    ]
    return json.dumps({"pairs": listed, "in_all": in_all}).encode()
