"""Compare two pictures as a viewer shows them: first at 128 x 128 pixels, then, if that is promising, at 384 x 384.

Pictures of every shape are scaled to these squares. So the poses of stretched copies are affine like all others, and
all pictures cost the same.
"""

from functools import cached_property

import numpy as np
from attrs import frozen
from numpy.typing import NDArray
from PIL import Image

from pixcore.model.comparison import Comparison
from pixcore_adapters.twins.aligning import Alignment, Described, aligned, described, refined
from pixcore_adapters.twins.features import features
from pixcore_adapters.twins.judging import Kind, judged, kind_of
from pixcore_adapters.twins.measuring import Figures, Picture, figures, tiled
from pixcore_adapters.twins.planes import shrunk
from pixcore_adapters.twins.poses import distance
from pixcore_adapters.twins.seeing import FINE

COARSE = 128
_TILE = 16  # pixels
_HALF = 192
_SURE = 0.9

_FEWER = 0.8  # share of the pixels of a side below which a picture lacks fine detail

# Likeness at the coarse side, and correlation of the middle tile, below which the fine pictures are not compared.
_WORTH, _WORTH_IN_MOST = 0.55, 0.75


@frozen(eq=False)
class Prepared:
    """A picture in all forms that comparing needs, each made when it is first used. Takes at most 1.2 MB.

    Attributes:
        fine: FINE x FINE x 3: luma, Cb, Cr.
        size: Width and height of the upright picture.
        frames: Frames or pages of its file.
    """

    fine: NDArray[np.uint8]
    size: tuple[int, int]
    frames: int = 1

    @cached_property
    def coarse(self) -> Picture:
        """The picture at ``COARSE`` x ``COARSE`` pixels."""
        return shrunk(self.fine.astype(np.float32), COARSE)

    @cached_property
    def described(self) -> Described:
        """The descriptors of its poses."""
        return described(self.coarse[..., 0])

    @cached_property
    def kind(self) -> Kind:
        """Its kind. Several frames follow the rule for graphics, because they may differ in a single page."""
        return Kind.GRAPHIC if self.frames > 1 else kind_of(np.rint(self.coarse[..., 0]).astype(np.uint8))


@frozen(eq=False)
class Look:
    """The alignment of two pictures, and their figures at the coarse side."""

    alignment: Alignment
    figures: Figures

    @property
    def promising(self) -> bool:
        """Whether the fine pictures are worth comparing."""
        return self.figures.likeness >= _WORTH or self.figures.middle >= _WORTH_IN_MOST


def coarse_look(one: Prepared, other: Prepared) -> Look | None:
    """Align two pictures and compare them at 128 pixels a side; return None if they have too little in common."""
    overlays = max(one.kind, other.kind) is Kind.PHOTOGRAPH
    found = aligned(one.described, other.described, overlays=overlays)
    if found is None:
        return None
    picture = _flipped(one.coarse, found.mirrored)
    steps = (64, 10), (COARSE, 6)
    better = refined(picture[..., 0], other.coarse[..., 0], found.pose, steps, overlays=overlays)
    best: Look | None = None
    for pose in (better, found.pose):
        if pose is None:
            continue
        measured = figures(tiled(picture, other.coarse, pose, COARSE // _TILE), 3.0, 0.25)
        if measured and (best is None or measured.likeness > best.figures.likeness):
            best = Look(Alignment(pose, found.mirrored), measured)
        if best and best.figures.likeness > _SURE:
            break
    return best


def fine_look(one: Prepared, other: Prepared, look: Look) -> Comparison:
    """Compare two aligned pictures finely, at up to 384 pixels a side, and decide whether they are the same."""
    flipped = look.alignment.mirrored
    kind = max(one.kind, other.kind)
    side = FINE if kind is Kind.GRAPHIC else _side(one.size, other.size)
    picture = shrunk(_flipped(_as_coarse_as(other, one), flipped), side)
    target = shrunk(_as_coarse_as(one, other), side)
    steps = ((min(side, _HALF), 6),)
    overlays = kind is Kind.PHOTOGRAPH
    pose = refined(picture[..., 0], target[..., 0], look.alignment.pose, steps, overlays=overlays)
    if pose is None:
        pose = look.alignment.pose
    least, share = (3.0, 0.25) if kind is Kind.GRAPHIC else (5.0, 0.4)
    measured = figures(tiled(picture, target, pose, side // _TILE), least, share)
    if measured is None:
        return Comparison(False, difference="too little in common")
    decided = judged(look.figures, measured, kind=kind, mirrored=flipped, moved=distance(pose))
    agreement = max(0, round(100 * measured.likeness))
    if not decided.same:
        return Comparison(False, agreement, mirrored=flipped, difference=decided.fault)
    first, second = features(picture, target, pose, measured)
    return Comparison(True, agreement, first, second, mirrored=flipped)


def _as_coarse_as(smaller: Prepared, picture: Prepared) -> Picture:
    """Return the fine picture without the detail that a smaller copy cannot show."""
    pixels, own = (float(np.sqrt(each.size[0] * each.size[1])) for each in (smaller, picture))
    if pixels < _FEWER * FINE and pixels < _FEWER * own:
        width, height = (min(FINE, max(1, side)) for side in smaller.size)
        small = Image.fromarray(picture.fine, "YCbCr").resize((width, height), Image.Resampling.LANCZOS)
        return np.asarray(small.resize((FINE, FINE), Image.Resampling.BICUBIC), np.float32)
    return picture.fine.astype(np.float32)


def _side(*sizes: tuple[int, int]) -> int:
    """Return the largest side to which neither picture has to be enlarged much: enlarging adds no fine detail."""
    pixels = min(float(np.sqrt(width * height)) for width, height in sizes)
    return next((side for side in (FINE, _HALF) if pixels >= _FEWER * side), COARSE)


def _flipped(picture: Picture, flipped: bool) -> Picture:
    return picture[:, ::-1] if flipped else picture
