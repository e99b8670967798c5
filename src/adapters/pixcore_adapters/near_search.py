"""Which of a million fingerprints are near-duplicates: exactly, by multi-index hashing in numpy.

A phash is four parts of 16 bits. Each part has a radius, such that the radii, each plus one, add up to more than the
rule's distance. Two phashes within that distance then differ in some part by at most its radius: if every part differed
by more, all of them would by more than the distance. So only those are compared as a whole that some part brings
together. For the default rule the radii are 2, 2, 2 and 1, which makes 428 probes a hash; they meet 0.7 % of evenly
spread hashes. Three parts of about 21 bits meet five times fewer by eight times the probes, and were slower at every
size up to a million.

How the hashes are spread changes the time and nothing else. Flat pictures are for the caller to leave out.
"""

from collections.abc import Iterator

import numpy as np
from attrs import define, field, frozen
from numpy.typing import NDArray

from pixcore.model.quality import NearRule

Hashes = NDArray[np.uint64]
Places = NDArray[np.intp]

_PARTS = 4
_VALUES = np.arange(1 << 16, dtype=np.uint16)  # all that a part can be

_BLOCK = 1 << 16  # probes, or comparisons, of one step: few enough to stay in the processor's cache
_MEETINGS = 1 << 18  # hashes met by the probes of one step, before any is compared; bounds memory

# What a probe and a hash that it meets cost, in comparisons of the brute force that is the other way (measured).
_PROBE, _MEETING = 16, 5


@frozen(eq=False)
class _Part:
    """One part of all phashes: those with the value ``v`` are at ``starts[v]`` to ``starts[v + 1]`` of ``order``."""

    number: int
    probes: NDArray[np.uint16]  # differences within the radius
    starts: NDArray[np.int32]
    order: NDArray[np.int32]
    phash: Hashes  # in that order


@define(eq=False)
class NearIndex:
    """Fingerprints prepared for being searched by one rule, which takes 48 bytes each; a pair found takes 16.

    Attributes:
        phash, dhash: Those of one image at the same place.
        rule: When two are near.
    """

    phash: Hashes
    dhash: Hashes
    rule: NearRule
    _radii: NDArray[np.int64] = field(init=False)
    _parts: tuple[_Part, ...] = field(init=False)

    def __attrs_post_init__(self) -> None:
        self._radii = _radii(self.rule.phash)
        probes = [_VALUES[np.bitwise_count(_VALUES) <= radius] for radius in self._radii]
        cost = sum(map(len, probes)) * (_PROBE + _MEETING * len(self.phash) / len(_VALUES))
        dear = cost >= len(self.phash)  # then there are no parts, and all is compared
        self._parts = () if dear else tuple(_part(self.phash, n, near) for n, near in enumerate(probes) if near.size)

    def near(self, phash: Hashes, dhash: Hashes) -> Places:
        """What of the index is near these: rows of (place among these, place in the index), ascending, each once."""
        if not self._parts:
            return _rows(self._compared(phash, dhash, after=False))
        return _rows(found for part in self._parts for found in self._probed(part, phash, dhash, after=False))

    def pairs(self) -> Places:
        """The near pairs within the index: rows of two places, the lower one first, ascending, each once."""
        if not self._parts:
            return _rows(self._compared(self.phash, self.dhash, after=True))
        return _rows(
            np.sort(np.stack((part.order[found[:, 0]], found[:, 1]), axis=1), axis=1)
            for part in self._parts
            for found in self._probed(part, part.phash, self.dhash[part.order], after=True)
        )

    def _probed(self, part: _Part, phash: Hashes, dhash: Hashes, *, after: bool) -> Iterator[Places]:
        """What of the index this part, and none before it, finds; with ``after``, the hashes are those of the part.

        Each of them then meets only those that come after it.
        """
        values, probes = _parts_of(phash)[:, part.number], len(part.probes)
        step = max(1, _BLOCK // probes)
        for at in range(0, len(phash), step):
            wanted = values[at : at + step, None] ^ part.probes
            first, end = part.starts[wanted], part.starts[1:][wanted]
            if after:
                first = np.maximum(first, np.arange(at + 1, at + 1 + len(wanted), dtype=np.int32)[:, None])
            first, count = first.ravel(), np.maximum(end - first, 0).ravel()
            meeting = np.flatnonzero(count)
            for some in _in_runs(meeting, count[meeting]):
                query = np.repeat(at + some // probes, count[some])
                place = _ranges(first[some], count[some])
                close = np.bitwise_count(phash[query] ^ part.phash[place]) <= self.rule.phash
                query, place = query[close], part.order[place[close]]
                within = np.bitwise_count(_parts_of(phash[query] ^ self.phash[place])) <= self._radii
                yield self._by_dhash(query, place, dhash, within.argmax(axis=1) == part.number)

    def _compared(self, phash: Hashes, dhash: Hashes, *, after: bool) -> Iterator[Places]:
        """What of the index is near, by comparing all; with ``after``, each of its own with those after it."""
        step = max(1, _BLOCK // max(1, len(self.phash)))
        for at in range(0, len(phash), step):
            behind = at if after else 0
            distance = np.bitwise_count(phash[at : at + step, None] ^ self.phash[behind:])
            query, place = np.nonzero(distance <= self.rule.phash)
            query, place = query + at, place + behind
            yield self._by_dhash(query, place, dhash, (place > query) if after else np.True_)

    def _by_dhash(
        self, query: NDArray[np.integer], place: NDArray[np.integer], dhash: Hashes, wanted: NDArray[np.bool] | np.bool
    ) -> Places:
        near = wanted & (np.bitwise_count(dhash[query] ^ self.dhash[place]) <= self.rule.dhash)
        return np.stack((query[near], place[near]), axis=1).astype(np.intp)


def _radii(distance: int) -> NDArray[np.int64]:
    """As even as can be, so that the sum of each plus one is the distance plus one; -1 for a part of no use."""
    return (distance + 1 + np.arange(_PARTS)[::-1]) // _PARTS - 1


def _part(phash: Hashes, number: int, probes: NDArray[np.uint16]) -> _Part:
    values = _parts_of(phash)[:, number]
    order = np.argsort(values, kind="stable").astype(np.int32)
    starts = np.zeros(len(_VALUES) + 1, np.int32)
    np.cumsum(np.bincount(values, minlength=len(_VALUES)), out=starts[1:])
    return _Part(number, probes, starts, order, phash[order])


def _parts_of(phash: Hashes) -> NDArray[np.uint16]:
    """The parts of each hash, a row each; which is which depends on the machine, and nothing depends on that."""
    return np.ascontiguousarray(phash).view(np.uint16).reshape(-1, _PARTS)


def _in_runs(items: Places, sizes: NDArray[np.int32]) -> Iterator[Places]:
    """The items in runs whose sizes add up to about ``_MEETINGS``, or to one item's size where that is more."""
    total = np.cumsum(sizes, dtype=np.int64)
    if total.size:
        cuts = np.searchsorted(total, np.arange(_MEETINGS, total[-1], _MEETINGS))
        yield from (run for run in np.split(items, cuts) if run.size)


def _ranges(first: NDArray[np.int32], count: NDArray[np.int32]) -> Places:
    """The numbers from each first on, so many as the count says, one range behind the other."""
    end = np.cumsum(count)
    return np.repeat(first - (end - count), count) + np.arange(end[-1])


def _rows(found: Iterator[Places]) -> Places:
    rows = np.concatenate([np.empty((0, 2), np.intp), *found])
    return rows[np.lexsort((rows[:, 1], rows[:, 0]))]
