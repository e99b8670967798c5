"""Propose images of a chunk that may show the same picture, because their hashes are near in some pose.

Two images are compared in both directions: the poses of each with the plain hashes of the other. So crops, borders,
small rotations and mirrored copies are found, from the small grey pictures alone. The parts of both without a strip at
one side are compared, too, because a caption over such a strip changes all plain hashes.
"""

from collections.abc import Sequence

import numpy as np
from attrs import define, field
from numpy.typing import NDArray

from pixcore_adapters.twins.hashing import SIDE, WAYS, Hashes, hashes
from pixcore_adapters.twins.poses import PARTS

# Largest distance in bits of 64, for each of the two hashes. None of 499,500 pairs of different photographs is as near;
# 98 to 100 % of the copies are.
_NEAR = 10
_FAR = 2 * 64

# The same for the hashes of two parts. Of 150 photographs with a caption over one side, the plain hashes of 12 are
# farther than ``_NEAR``; the parts of 9 of these are within 5. More bits find few more, and many pairs of pages.
_NEAR_PARTS = 5

# Smallest standard deviation in levels of grey. The hashes of a flatter picture mean nothing.
_FLAT = 2.0

_FIRST_ROOM = 64  # images
_ALL, _PLAIN = slice(None), slice(0, 1)  # of the hashes of an image


def _room(images: int) -> Hashes:
    return np.empty((images, WAYS), np.uint64)


@define
class Proposer:
    """The hashes of a chunk's images, numbered from 0 in the order in which they are added. Takes 0.5 kB an image."""

    _phash: Hashes = field(factory=lambda: _room(_FIRST_ROOM))
    _dhash: Hashes = field(factory=lambda: _room(_FIRST_ROOM))
    _flat: NDArray[np.bool_] = field(factory=lambda: np.empty(_FIRST_ROOM, np.bool_))
    _count: int = 0

    def add(self, greys: Sequence[NDArray[np.uint8]]) -> list[list[int]]:
        """Add images; return for each the numbers of the earlier ones that may be its twins, the nearest first.

        Each grey is 32 x 32 levels. Equally near images come in the order in which they were added. Flat pictures
        are in no proposal. The result does not depend on how the images are grouped into calls.
        """
        if not greys:
            return []
        start, stop = self._count, self._count + len(greys)
        self._grow(stop)
        group = np.stack(greys).reshape(-1, SIDE, SIDE)
        self._phash[start:stop], self._dhash[start:stop] = hashes(group)
        self._flat[start:stop] = group.std((1, 2)) < _FLAT
        self._count = stop
        return [self._near(number) for number in range(start, stop)]

    def _near(self, number: int) -> list[int]:
        if self._flat[number] or not number:
            return []
        found = np.full(number, _FAR, np.uint8)
        for own, other, most in ((_ALL, _PLAIN, _NEAR), (_PLAIN, _ALL, _NEAR), (PARTS, PARTS, _NEAR_PARTS)):
            far = _bits(self._phash[number, own], self._phash[:number, other])
            if not (far <= most).any():  # as for nearly all photographs
                continue
            fine = _bits(self._dhash[number, own], self._dhash[:number, other])
            both = np.where((far <= most) & (fine <= most), far + fine, _FAR)
            found = np.minimum(found, both.min(axis=1))
        found[self._flat[:number]] = _FAR
        numbers = np.flatnonzero(found < _FAR)
        return [int(each) for each in numbers[np.argsort(found[numbers], kind="stable")]]

    def _grow(self, images: int) -> None:
        if images > len(self._flat):
            more = max(images, 2 * len(self._flat)) - len(self._flat)
            self._phash = np.concatenate([self._phash, _room(more)])
            self._dhash = np.concatenate([self._dhash, _room(more)])
            self._flat = np.concatenate([self._flat, np.empty(more, np.bool_)])


def _bits(one: Hashes, others: Hashes) -> NDArray[np.uint8]:
    differing: NDArray[np.uint8] = np.bitwise_count(one ^ others)
    return differing
