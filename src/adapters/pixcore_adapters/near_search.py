"""Exact search for near-duplicates among millions of fingerprints, by multi-index hashing in numpy.

A phash is split into four parts of 16 bits. Each part has a radius. The radii, each plus one, add up to more than the
rule's distance. So if two phashes are within that distance, at least one part differs by at most its radius: if every
part differed by more, the whole hashes would differ by more than the distance. The index therefore probes, for each
part, all values within the radius, and compares only the hashes that share a probed value (the hits) as a whole. For
the default rule the radii are 2, 2, 2 and 1: 428 probes a hash, which hit 0.7 % of evenly distributed hashes. Three
parts of about 21 bits have a fifth of the hits but eight times the probes, and were slower at every size up to a
million.

The distribution of the hashes affects only the time. The caller leaves out flat pictures.
"""

from collections.abc import Iterator

import numpy as np
from attrs import define, field, frozen
from numpy.typing import NDArray

from pixcore.model.quality import NearRule

Hashes = NDArray[np.uint64]
Indices = NDArray[np.intp]

_PARTS = 4
_VALUES = np.arange(1 << 16, dtype=np.uint16)  # all values of a part

_BLOCK = 1 << 16  # probes or comparisons in one step; small enough for the processor's cache
_HITS = 1 << 18  # hits of one step that are compared at a time; bounds memory

# The costs of a probe and of a hit, in comparisons of the brute-force search (measured).
_PROBE_COST, _HIT_COST = 16, 5


@frozen(eq=False)
class _Part:
    """One part of all phashes, sorted by value: value ``v`` is at ``starts[v]`` to ``starts[v + 1]`` of ``order``."""

    number: int
    probes: NDArray[np.uint16]  # the differences within the radius, to be XORed with a value
    starts: NDArray[np.int32]
    order: NDArray[np.int32]  # indices of the hashes, sorted by the part's value
    phash: Hashes  # in the same order


@define(eq=False)
class NearIndex:
    """An index of fingerprints for one rule. It takes 48 bytes a fingerprint; the result of ``near`` 16 bytes a pair.

    Attributes:
        phash, dhash: The hashes; an image's hashes have the same index in both.
        rule: The distances within which two images are near.
    """

    phash: Hashes
    dhash: Hashes
    rule: NearRule
    _radii: NDArray[np.int64] = field(init=False)
    _parts: tuple[_Part, ...] = field(init=False)

    def __attrs_post_init__(self) -> None:
        self._radii = _radii(self.rule.phash)
        probes = [_VALUES[np.bitwise_count(_VALUES) <= radius] for radius in self._radii]
        cost = sum(map(len, probes)) * (_PROBE_COST + _HIT_COST * len(self.phash) / len(_VALUES))
        brute_force = cost >= len(self.phash)  # then there are no parts
        self._parts = (
            () if brute_force else tuple(_part(self.phash, n, near) for n, near in enumerate(probes) if near.size)
        )

    def near(self, phash: Hashes, dhash: Hashes) -> Indices:
        """Find the near pairs of these hashes and the index.

        Returns rows of (index of the query, index of the stored hash), in ascending order, each once.
        """
        if not self._parts:
            return _sorted_rows(self._brute_force(phash, dhash, after=False))
        return _sorted_rows(found for part in self._parts for found in self._probe(part, phash, dhash, after=False))

    def pairs(self) -> Iterator[Indices]:
        """Yield the near pairs within the index, each once, some at a time, in a fixed order. Bounded memory.

        Yields rows of two indices, the lower one first.
        """
        if not self._parts:
            yield from self._brute_force(self.phash, self.dhash, after=True)
        for part in self._parts:
            for found in self._probe(part, part.phash, self.dhash[part.order], after=True):
                yield np.sort(np.stack((part.order[found[:, 0]], found[:, 1]), axis=1), axis=1)

    def _probe(self, part: _Part, phash: Hashes, dhash: Hashes, *, after: bool) -> Iterator[Indices]:
        """Yield the near pairs that this part finds and no earlier part does.

        With ``after`` the queries are the part's own hashes in its order; each is compared only with later ones.
        """
        values, probes = _parts_of(phash)[:, part.number], len(part.probes)
        step = max(1, _BLOCK // probes)
        for start in range(0, len(phash), step):
            probed = values[start : start + step, None] ^ part.probes
            first, end = part.starts[probed], part.starts[1:][probed]
            if after:
                first = np.maximum(first, np.arange(start + 1, start + 1 + len(probed), dtype=np.int32)[:, None])
            first, count = first.ravel(), np.maximum(end - first, 0).ravel()
            hitting = np.flatnonzero(count)
            for batch in _batches(hitting, count[hitting]):
                query = np.repeat(start + batch // probes, count[batch])
                hit = _ranges(first[batch], count[batch])
                close = np.bitwise_count(phash[query] ^ part.phash[hit]) <= self.rule.phash
                query, stored = query[close], part.order[hit[close]]
                within = np.bitwise_count(_parts_of(phash[query] ^ self.phash[stored])) <= self._radii
                yield self._near_by_dhash(query, stored, dhash, within.argmax(axis=1) == part.number)

    def _brute_force(self, phash: Hashes, dhash: Hashes, *, after: bool) -> Iterator[Indices]:
        """Yield the near pairs, by comparing all hashes.

        With ``after`` the queries are the index's own hashes; each is compared only with later ones.
        """
        step = max(1, _BLOCK // max(1, len(self.phash)))
        for start in range(0, len(phash), step):
            offset = start if after else 0
            distance = np.bitwise_count(phash[start : start + step, None] ^ self.phash[offset:])
            query, stored = np.nonzero(distance <= self.rule.phash)
            query, stored = query + start, stored + offset
            yield self._near_by_dhash(query, stored, dhash, (stored > query) if after else np.True_)

    def _near_by_dhash(
        self, query: NDArray[np.integer], stored: NDArray[np.integer], dhash: Hashes, wanted: NDArray[np.bool] | np.bool
    ) -> Indices:
        near = wanted & (np.bitwise_count(dhash[query] ^ self.dhash[stored]) <= self.rule.dhash)
        return np.stack((query[near], stored[near]), axis=1).astype(np.intp)


def _radii(distance: int) -> NDArray[np.int64]:
    """Return radii as even as possible; each plus one, they add up to the distance plus one. -1 disables a part."""
    return (distance + 1 + np.arange(_PARTS)[::-1]) // _PARTS - 1


def _part(phash: Hashes, number: int, probes: NDArray[np.uint16]) -> _Part:
    values = _parts_of(phash)[:, number]
    order = np.argsort(values, kind="stable").astype(np.int32)
    starts = np.zeros(len(_VALUES) + 1, np.int32)
    np.cumsum(np.bincount(values, minlength=len(_VALUES)), out=starts[1:])
    return _Part(number, probes, starts, order, phash[order])


def _parts_of(phash: Hashes) -> NDArray[np.uint16]:
    """Return the parts of each hash as a row. Their order follows the machine's byte order; the search allows any."""
    return np.ascontiguousarray(phash).view(np.uint16).reshape(-1, _PARTS)


def _batches(items: Indices, sizes: NDArray[np.int32]) -> Iterator[Indices]:
    """Split the items into batches whose sizes add up to about ``_HITS``, or to one item's size if that is larger."""
    total = np.cumsum(sizes, dtype=np.int64)
    if total.size:
        cuts = np.searchsorted(total, np.arange(_HITS, total[-1], _HITS))
        yield from (batch for batch in np.split(items, cuts) if batch.size)


def _ranges(first: NDArray[np.int32], count: NDArray[np.int32]) -> Indices:
    """Concatenate ``range(f, f + c)`` for each f and c."""
    end = np.cumsum(count)
    return np.repeat(first - (end - count), count) + np.arange(end[-1])


def _sorted_rows(found: Iterator[Indices]) -> Indices:
    rows = np.concatenate([np.empty((0, 2), np.intp), *found])
    return rows[np.lexsort((rows[:, 1], rows[:, 0]))]
