"""Group the near-duplicates among many fingerprints.

The pairs are joined by union-find while the search finds them, and only the nearest ones of each group are kept.
Images with equal fingerprints are one item of the search. So the cost of thousands of images with one fingerprint
grows with their number, not with the number of their pairs.
"""

from collections.abc import Iterable, Iterator, Mapping
from itertools import chain, combinations, islice, product

import numpy as np
from attrs import define, field, frozen
from numpy.typing import NDArray

from pixcore.model.quality import NearRule
from pixcore.ports.seen_images import NearGroup, NearPair, SeenImage
from pixcore_adapters.near_search import Hashes, Indices, NearIndex

_HELD = 1 << 18  # pairs that are held before those that are not among the nearest of their groups are removed


@frozen(eq=False)
class Group:
    """Images that are linked by near pairs.

    Attributes:
        images: Their indices, in ascending order.
        pairs: The nearest pairs, each with the lower index first.
        count: The number of all pairs.
    """

    images: tuple[int, ...]
    pairs: tuple[tuple[int, int], ...]
    count: int


@define(eq=False)
class Forest:
    """A disjoint-set forest over the numbers below ``size``. The root of a set is its smallest number."""

    size: int
    _parents: Indices = field(init=False)

    def __attrs_post_init__(self) -> None:
        self._parents = np.arange(self.size)

    def join(self, ones: Indices, others: Indices) -> None:
        """Unite the sets of each one and its other."""
        while len(ones):
            ones, others = self.roots(ones), self.roots(others)
            apart = ones != others
            ones, others = ones[apart], others[apart]
            # a root of several pairs gets one of the parents here, and the others in the next rounds
            self._parents[np.maximum(ones, others)] = np.minimum(ones, others)

    def roots(self, items: Indices) -> Indices:
        """Return the root of each item, and make it its parent."""
        while True:
            found = self._parents[items]
            above = self._parents[found]
            if np.array_equal(above, found):
                return found
            self._parents[items] = above  # halves the paths, so that their lengths cost little


def groups(phash: Hashes, dhash: Hashes, rule: NearRule, most: int) -> Iterator[Group]:
    """Yield the groups of near-duplicates, each with at most ``most`` pairs. Deterministic."""
    order = np.lexsort((dhash, phash))
    starts = _starts(phash[order], dhash[order])
    sizes = np.diff(starts, append=len(order))
    first = order[starts]  # one image for each fingerprint
    index, forest = NearIndex(phash[first], dhash[first], rule), Forest(len(first))
    nearest = _Nearest(forest, most)
    counts = sizes * (sizes - 1) // 2  # pairs, by their first fingerprint
    repeated = np.flatnonzero(sizes > 1)
    nearest.add(repeated, repeated, np.zeros(len(repeated), np.intp))
    for found in index.pairs():
        one, other = found.T
        forest.join(one, other)
        np.add.at(counts, one, sizes[one] * sizes[other])
        distances = np.bitwise_count(index.phash[one] ^ index.phash[other]).astype(np.intp)
        nearest.add(one, other, distances + np.bitwise_count(index.dhash[one] ^ index.dhash[other]))
    roots = forest.roots(np.arange(len(first)))
    totals, images = np.zeros((2, len(first)), np.intp)
    np.add.at(totals, roots, counts)
    np.add.at(images, roots, sizes)
    members = np.split(order, starts[1:])
    pairs = nearest.by_root()
    in_groups = np.flatnonzero(images[roots] > 1)
    for same in _split(in_groups, roots[in_groups]):
        root = int(roots[same[0]])
        listed = chain.from_iterable(
            _image_pairs(members[one], members[other], one == other) for one, other in pairs[root]
        )
        yield Group(
            tuple(sorted(np.concatenate([members[fingerprint] for fingerprint in same]).tolist())),
            tuple(islice(listed, most)),
            int(totals[root]),
        )


def arranged(found: Iterable[Group], images: Mapping[int, SeenImage]) -> list[NearGroup]:
    """Return the groups with their images, ordered by their first ones; ``images`` lacks those that no longer count."""
    made = []
    for group in found:
        present = sorted((images[index] for index in group.images if index in images), key=_order)
        listed = [(images[one], images[other]) for one, other in group.pairs if one in images and other in images]
        pairs = sorted((NearPair(*sorted(two, key=_order)) for two in listed), key=_pair_order)
        if pairs:
            made.append(NearGroup(tuple(present), tuple(pairs), group.count - len(group.pairs) + len(pairs)))
    return sorted(made, key=lambda group: _order(group.images[0]))


@define(eq=False)
class _Nearest:
    """The nearest pairs of each set of a forest, at most ``most``; more between two removals."""

    forest: Forest
    most: int
    _held: list[Indices] = field(init=False, factory=list[Indices])  # rows of a distance and two items
    _size: int = field(init=False, default=0)
    _limit: int = field(init=False)
    _farthest: Indices = field(init=False)  # by root: no pair of its set is kept beyond this distance

    def __attrs_post_init__(self) -> None:
        self._farthest = np.full(self.forest.size, np.iinfo(np.intp).max)
        self._limit = _HELD

    def add(self, ones: Indices, others: Indices, distances: Indices) -> None:
        """Add pairs, which the forest has joined."""
        near = distances <= self._farthest[self.forest.roots(ones)]
        self._held.append(np.stack((distances[near], ones[near], others[near]), axis=1))
        self._size += int(near.sum())
        if self._size > self._limit:
            roots, rows = self._sorted()
            last = np.append(_starts(roots)[1:], len(roots)) - 1
            full = last[np.diff(last, prepend=-1) == self.most]
            self._farthest[roots[full]] = rows[full, 0]
            self._held, self._size = [rows], len(rows)
            self._limit = max(_HELD, 2 * self._size)  # so that all removals together cost little more than the last

    def by_root(self) -> Mapping[int, list[tuple[int, int]]]:
        """Return the pairs of each set by its root, the nearest first."""
        roots, rows = self._sorted()
        return {
            int(self.forest.roots(part[:1, 1])[0]): list(map(tuple, part[:, 1:].tolist()))
            for part in _split(rows, roots)
        }

    def _sorted(self) -> tuple[Indices, Indices]:
        """Return the nearest pairs of each set, sorted by its root and by distance; and the roots."""
        rows = np.concatenate(self._held)
        roots = self.forest.roots(rows[:, 1])
        order = np.lexsort((rows[:, 2], rows[:, 1], rows[:, 0], roots))
        roots, rows = roots[order], rows[order]
        starts = _starts(roots)
        rank = np.arange(len(roots)) - np.repeat(starts, np.diff(starts, append=len(roots)))
        return roots[rank < self.most], rows[rank < self.most]


def _image_pairs(ones: Indices, others: Indices, same: bool) -> Iterator[tuple[int, int]]:
    """Yield the pairs of the images of two fingerprints, or of one."""
    if same:
        yield from combinations(ones.tolist(), 2)
    else:
        yield from ((min(two), max(two)) for two in product(ones.tolist(), others.tolist()))


def _starts(*columns: NDArray[np.generic]) -> Indices:
    """Return where runs of equal rows begin."""
    if not len(columns[0]):
        return np.empty(0, np.intp)
    changes = np.logical_or.reduce([column[1:] != column[:-1] for column in columns])
    return np.concatenate(([0], np.flatnonzero(changes) + 1))


def _split(rows: Indices, keys: Indices) -> Iterator[Indices]:
    """Yield the rows of each key, in their order."""
    order = np.argsort(keys, kind="stable")
    yield from (part for part in np.split(rows[order], _starts(keys[order])[1:]) if len(part))


def _order(image: SeenImage) -> tuple[int, str, str]:
    return image.chunk.id, image.url, image.sha256


def _pair_order(pair: NearPair) -> tuple[tuple[int, str, str], tuple[int, str, str]]:
    return _order(pair.one), _order(pair.other)
