"""List the pairs of images that the page shows side by side."""

import json
from collections.abc import Iterable

from pixcore.ports.seen_images import NearPair

MOST = 5_000


def near_document(pairs: Iterable[NearPair]) -> bytes:
    """Return the nearest pairs as JSON, each as ``[sha256, sha256, detail]``, and how many there are in all."""
    found = sorted(pairs, key=lambda pair: pair.phash + pair.dhash)
    listed = [
        [pair.one.sha256, pair.other.sha256, f"similar hashes: {pair.phash} bits (phash), {pair.dhash} bits (dhash)"]
        for pair in found[:MOST]
    ]
    return json.dumps({"pairs": listed, "in_all": len(found)}).encode()
