"""The search for near-duplicates by the default rule, beside numpy brute force and faiss on the same hashes.

    .venv/bin/python benchmarks/bench_duplicates.py --full
    .venv/bin/python benchmarks/bench_duplicates.py --full --join 1000000   # also the pairs of a million: minutes

The hashes are distributed like those of photographs (half of a phash's bits are set, the first one always); a tenth
are near another one. Prints medians of CPU seconds on one thread. Recall is the share of the pairs found by brute force
and faiss, which must agree, that pixcore found too. Pairs within all hashes are searched up to ``--join`` hashes; by
the other two, which compare all with all, up to 100,000.
"""

import resource
import statistics
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import TypeVar

import faiss
import numpy as np
from attrs import frozen
from figures import arguments
from numpy.typing import NDArray

from pixcore.model.quality import NearRule
from pixcore_adapters.near_search import NearIndex

T = TypeVar("T")
Hashes = NDArray[np.uint64]
Pairs = NDArray[np.intp]  # rows of two indices

SIZES = (1_000, 10_000, 100_000, 1_000_000)
CHUNK = 500
RULE = NearRule()
PEERS_JOIN = 100_000


@frozen
class Prints:
    """The hashes of images."""

    phash: Hashes
    dhash: Hashes

    def first(self, count: int) -> "Prints":
        """Return the first ``count`` of them."""
        return Prints(self.phash[:count], self.dhash[:count])


def main() -> None:
    """Measure and print."""
    args = arguments(__doc__, runs=(3, 5), join=(10_000, 100_000))
    faiss.omp_set_num_threads(1)
    rng = np.random.default_rng(0)
    everything = spread(rng, max(SIZES))
    print(f"CPU seconds, medians of {args.runs}; phash <= {RULE.phash} and dhash <= {RULE.dhash} of 64 bits")
    print(f"{'':9}  {'build':>8}  {f'{CHUNK} against all':^40}  {'all against all':^40}")
    print(
        f"{'stored':>9}  {'pixcore':>8}"
        + "".join(f"{name:>10}" for name in ("pixcore", "brute", "faiss", "recall") * 2)
    )
    for size in SIZES:
        stored = everything.first(size)
        queries = flipped(rng, stored.first(CHUNK))
        build, index = timed(partial(NearIndex, stored.phash, stored.dhash, RULE), args.runs)
        peers: list[Callable[[Prints], Pairs]] = [partial(search, stored) for search in (brute_force, faiss_flat)]
        chunk = [partial(index.near, queries.phash, queries.dhash), *(partial(peer, queries) for peer in peers)]
        cells = [f"{build:8.3f}", *compared(chunk, args.runs)]
        join: list[Callable[[], Pairs]] = [index.pairs, *(partial(joined, peer, stored) for peer in peers)]
        if size <= args.join:
            cells += compared(join if size <= PEERS_JOIN else join[:1], args.runs)
        print(f"{size:9,}  {''.join(cells)}", flush=True)
    print(f"peak memory of all this: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MiB")


def compared(searches: Sequence[Callable[[], Pairs]], runs: int) -> list[str]:
    """Return the cells of one row: the time of each search, and the recall of the first against the others."""
    seconds, found = zip(*(timed(search, runs) for search in searches), strict=True)
    cells = [f"{one:10.4f}" for one in seconds]
    if not found[1:]:
        return [*cells, f"{'-':>10}", f"{'-':>10}", f"{'-':>10}"]
    ours, *theirs = ({tuple(row) for row in pairs.tolist()} for pairs in found)
    if theirs[0] != theirs[1] or not ours <= theirs[0]:
        raise SystemExit("the searches found different pairs")
    return [*cells, f"{len(ours) / len(theirs[0]):10.3f}"]


def timed(work: Callable[[], T], runs: int) -> tuple[float, T]:
    """Return the median of this process's CPU seconds, and the result."""
    seconds = []
    for _ in range(runs):
        began = time.process_time()
        result = work()
        seconds.append(time.process_time() - began)
    return statistics.median(seconds), result


def brute_force(stored: Prints, queries: Prints) -> Pairs:
    """Compare each query with all stored hashes, by numpy."""
    rows = [np.empty((0, 2), np.intp)]
    for number, (phash, dhash) in enumerate(zip(queries.phash, queries.dhash, strict=True)):
        near = np.flatnonzero(np.bitwise_count(stored.phash ^ phash) <= RULE.phash)
        near = near[np.bitwise_count(stored.dhash[near] ^ dhash) <= RULE.dhash]
        rows.append(np.stack((np.full(len(near), number), near), axis=1))
    return np.concatenate(rows)


def faiss_flat(stored: Prints, queries: Prints) -> Pairs:
    """Search by faiss's index of phashes, then compare dhashes."""
    index = faiss.IndexBinaryFlat(64)
    index.add(stored.phash.view(np.uint8).reshape(-1, 8))
    limits, _, found = index.range_search(
        queries.phash.view(np.uint8).reshape(-1, 8), RULE.phash + 1
    )  # the limit is exclusive
    query = np.repeat(np.arange(len(queries.phash)), np.diff(limits.astype(np.int64)))
    near = np.bitwise_count(queries.dhash[query] ^ stored.dhash[found]) <= RULE.dhash
    return np.stack((query[near], found[near]), axis=1)


def joined(search: Callable[[Prints], Pairs], stored: Prints) -> Pairs:
    """Search all hashes against all; keep each pair once, without pairs of an image with itself."""
    pairs = search(stored)
    return pairs[pairs[:, 0] < pairs[:, 1]]


def spread(rng: np.random.Generator, count: int) -> Prints:
    """Create hashes of ``count`` images; one in ten is near the one before it."""
    half = np.broadcast_to(np.repeat([True, False], (31, 32)), (count, 63))
    bits = np.packbits(np.insert(rng.permuted(half, axis=1), 0, True, axis=1), axis=1)
    phash = np.ascontiguousarray(bits).view(">u8").ravel().astype(np.uint64)
    prints = Prints(phash, rng.integers(0, 2**64, count, np.uint64))
    near = flipped(rng, Prints(prints.phash[0::10], prints.dhash[0::10]))
    prints.phash[1::10], prints.dhash[1::10] = near.phash, near.dhash
    return prints


def flipped(rng: np.random.Generator, prints: Prints) -> Prints:
    """Flip up to 10 bits of each hash, as crops and recompression do."""

    def flip(hashes: Hashes) -> Hashes:
        bits = rng.permuted(np.arange(64) < rng.integers(0, 10, (len(hashes), 1), endpoint=True), axis=1)
        return hashes ^ np.packbits(bits, axis=1).view(np.uint64).ravel()

    return Prints(flip(prints.phash), flip(prints.dhash))


if __name__ == "__main__":
    main()
