"""Measure the common part of two aligned pictures, tile by tile: fine detail, brightness and colour."""

import numpy as np
from attrs import frozen
from numpy.typing import NDArray

from pixcore_adapters.twins.planes import Plane, blurred, inside, warp
from pixcore_adapters.twins.poses import Pose

Picture = NDArray[np.float32]  # n x n x 3: luma, Cb, Cr of 255 levels
_Tiles = NDArray[np.float32]

_DETAIL = 3  # pixels, the radius of fine detail
_UNLIKE, _HARDLY = 0.5, 0.8  # correlations below which a tile is different, or not surely the same
_MUCH_MORE = 2.0  # ratio of squared detail from which an overlay explains the difference
_HALF = 0.5  # share that two pictures must have in common
_FEWEST = 4  # tiles; figures of fewer mean nothing
_CURVED = 4.0, 8  # spread of levels, and number of tiles, above which a curve is fitted
_GREY, _COLOURED = (
    5,
    10,
)  # chroma of the most colourful tiles: the maximum of a grey picture, the minimum of a coloured one


@frozen(eq=False)
class Tiles:
    """The measurements of both pictures in square tiles over their common part, as arrays of tiles."""

    counted: NDArray[np.bool_]  # at least half of the tile is common
    overlap: float
    likeness: float  # correlation of fine detail, over all tiles
    detail: tuple[_Tiles, _Tiles]  # standard deviation of fine detail
    correlation: _Tiles
    luma: tuple[_Tiles, _Tiles]  # means
    chroma: tuple[_Tiles, _Tiles]  # means less 128, 2 x n


def tiled(one: Picture, other: Picture, pose: Pose, tiles: int) -> Tiles:
    """Warp ``other`` at the pose and compare it with ``one`` in ``tiles`` x ``tiles`` tiles."""
    side = len(one)
    step = side // tiles
    common = inside(pose, side, 1.0)
    share = common.astype(np.float32)
    placed = [warp(other[..., channel], pose) for channel in range(3)]
    first, second = blurred(one[..., 0], 1), blurred(np.where(common, placed[0], one[..., 0]), 1)
    fine = [(plane - blurred(plane, _DETAIL)) * share for plane in (first, second)]
    pixels = _sums(share, step)
    counted = pixels >= 0.5 * step * step
    pixels = np.maximum(pixels, 1)
    squares = [_sums(plane * plane, step) for plane in fine]
    products = _sums(fine[0] * fine[1], step)
    total = float(np.sqrt(squares[0].sum() * squares[1].sum()))

    def means(plane: Plane) -> _Tiles:
        return _sums(plane * share, step) / pixels

    return Tiles(
        counted=counted,
        overlap=float(share.mean()),
        likeness=float(products.sum()) / (total + 1e-6),
        detail=(np.sqrt(squares[0] / pixels), np.sqrt(squares[1] / pixels)),
        correlation=products / (np.sqrt(squares[0] * squares[1]) + 1e-3 * pixels),
        luma=(means(first), means(second)),
        chroma=(
            np.stack([means(one[..., channel]) for channel in (1, 2)]) - 128,
            np.stack([means(placed[channel]) for channel in (1, 2)]) - 128,
        ),
    )


def likeness(one: Plane, other: Plane, pose: Pose) -> float:
    """Return the correlation of fine detail of two small luma planes; -1 if at most half is common."""
    common = inside(pose, len(one), 1.0).astype(np.float32)
    if common.mean() <= _HALF:
        return -1.0
    placed = np.where(common > 0, warp(other, pose), one)
    first, second = ((plane - blurred(plane, _DETAIL)) * common for plane in (one, placed))
    return float((first * second).sum() / (np.sqrt((first * first).sum() * (second * second).sum()) + 1e-6))


def _sums(plane: Plane, step: int) -> _Tiles:
    tiles = len(plane) // step
    return np.asarray(plane.reshape(tiles, step, tiles, step).sum((1, 3)), np.float32)


@frozen
class Tones:
    """The brightness and colour of some tiles of both pictures. Levels are 0 to 255.

    Attributes:
        slope: Slope of the straight line through the lumas of the one over those of the other.
        luma_off: Mean difference of luma.
        luma_far: 95th percentile of the difference of luma.
        luma_bent: 90th percentile of the difference from a parabola through the lumas.
        luma_worst: Largest difference from the straight line.
        greyer, colourful: Chroma of the most colourful tiles, of the less and of the more colourful picture.
        cast: Length of the median difference of chroma.
        saturation: Slope of the chromas of the one over those of the other, each less its mean.
        colours_vary: Standard deviation of chroma, of the picture in which it is smaller.
        chroma_far: 95th percentile of the distance of chromas, without cast and saturation.
        chroma_worst: The largest such distance.
    """

    slope: float
    luma_off: float
    luma_far: float
    luma_bent: float
    luma_worst: float
    greyer: float
    colourful: float
    cast: float
    saturation: float
    colours_vary: float
    chroma_far: float
    chroma_worst: float

    @property
    def one_is_grey(self) -> bool:
        """Whether one picture has colours and the other has none."""
        return self.greyer < _GREY and self.colourful >= _COLOURED


@frozen
class Figures:
    """The figures from which ``judged`` decides. "The one" and "the other" are the two pictures.

    Attributes:
        overlap: Share of the one picture that is common.
        likeness: Correlation of fine detail over the common part.
        textured: How many tiles hold fine detail.
        alike: How many textured tiles are surely the same.
        unlike: Share of the textured tiles that are different.
        hardly: Share of the textured tiles that are not surely the same.
        quarter, middle: The first quartile and the median of the correlations of the textured tiles.
        unlike_at_edge: There are unlike tiles, and all lie in the upper or the lower fifth.
        box: Share of the picture that a rectangle around all unlike tiles covers.
        alike_outside: How many textured tiles outside that rectangle, and not next to it, are surely the same.
        hardly_outside: Share of the textured tiles there that are not surely the same.
        laid_on: Which picture has far more detail than the other in the unlike tiles: 1, 2, or 0 for neither.
        contrast: Detail of the one over that of the other.
        tones: Brightness and colour of all tiles.
        tones_outside: The same of the tiles outside that rectangle, and not next to it. If the unlike tiles are at
            the edge, the rectangle takes the whole width. ``tones`` if nearly nothing is outside.
    """

    overlap: float
    likeness: float
    textured: int
    alike: int
    unlike: float
    hardly: float
    quarter: float
    middle: float
    unlike_at_edge: bool
    box: float
    alike_outside: int
    hardly_outside: float
    laid_on: int
    contrast: float
    tones: Tones
    tones_outside: Tones


def figures(tiles: Tiles, least_detail: float, share_of_median: float) -> Figures | None:
    """Return the figures of the tiles, or None if fewer than four count.

    A tile holds fine detail if it has more than ``least_detail`` levels, and more than ``share_of_median`` times the
    detail of the median tile.
    """
    counted = tiles.counted
    if counted.sum() < _FEWEST:
        return None
    detail = np.maximum(*tiles.detail)
    textured = counted & (detail > max(least_detail, share_of_median * float(np.median(detail[counted]))))
    count = int(textured.sum())
    correlation = tiles.correlation
    unlike = textured & (correlation < _UNLIKE)
    hardly = textured & (correlation < _HARDLY)
    rows = np.arange(len(counted))
    middle = (rows >= len(rows) / 5) & (rows < len(rows) * 4 / 5)
    at_edge = bool(unlike.any()) and not unlike[middle].any()
    box, near = _boxes(unlike)
    outside = textured & ~near
    squares = [float((each[textured] ** 2).sum()) for each in tiles.detail]
    tones = _tones(tiles, counted)
    rest = counted & ~(near.any(axis=1, keepdims=True) if at_edge else near)
    return Figures(
        overlap=tiles.overlap,
        likeness=tiles.likeness,
        textured=count,
        alike=count - int(hardly.sum()),
        unlike=float(unlike.sum()) / max(1, count),
        hardly=float(hardly.sum()) / max(1, count),
        quarter=float(np.percentile(correlation[textured], 25)) if count else 0.0,
        middle=float(np.median(correlation[textured])) if count else 0.0,
        unlike_at_edge=at_edge,
        box=float(box.mean()),
        alike_outside=int((outside & ~hardly).sum()),
        hardly_outside=float((outside & hardly).sum()) / max(1, int(outside.sum())),
        laid_on=_laid_on(*(each[unlike] for each in tiles.detail)),
        contrast=float(np.sqrt(squares[0] / (squares[1] + 1e-6))) if count else 1.0,
        tones=tones,
        tones_outside=_tones(tiles, rest) if near.any() and rest.sum() >= _FEWEST else tones,
    )


def _boxes(marked: NDArray[np.bool_]) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Return the rectangle around all marked tiles, and the one that also holds the tiles next to it."""
    box, near = np.zeros_like(marked), np.zeros_like(marked)
    if marked.any():
        (top, left), (bottom, right) = (each(np.nonzero(marked), axis=1) for each in (np.min, np.max))
        box[top : bottom + 1, left : right + 1] = True
        near[max(0, top - 1) : bottom + 2, max(0, left - 1) : right + 2] = True
    return box, near


def _laid_on(one: _Tiles, other: _Tiles) -> int:
    first, second = (float((each * each).sum()) for each in (one, other))
    return 1 if first > _MUCH_MORE * second else 2 if second > _MUCH_MORE * first else 0


def _tones(tiles: Tiles, counted: NDArray[np.bool_]) -> Tones:
    return Tones(
        **_luma(*(plane[counted] for plane in tiles.luma)), **_chroma(*(plane[:, counted] for plane in tiles.chroma))
    )


def _luma(one: _Tiles, other: _Tiles) -> dict[str, float]:
    varied = min(float(one.std()), float(other.std())) > 1
    line = np.polyfit(other, one, 1) if varied else np.array([1.0, one.mean() - other.mean()])
    curve = np.polyfit(other, one, 2) if float(other.std()) > _CURVED[0] and len(one) > _CURVED[1] else line
    apart = np.abs(one - other)
    return {
        "slope": float(line[0]),
        "luma_off": float(apart.mean()),
        "luma_far": float(np.percentile(apart, 95)),
        "luma_bent": float(np.percentile(np.abs(one - np.polyval(curve, other)), 90)),
        "luma_worst": float(np.abs(one - np.polyval(line, other)).max()),
    }


def _chroma(one: _Tiles, other: _Tiles) -> dict[str, float]:
    greyer, colourful = sorted(float(np.percentile(np.hypot(*each), 95)) for each in (one, other))
    cast = float(np.hypot(*np.median(one - other, axis=1)))
    first, second = (each - each.mean(1, keepdims=True) for each in (one, other))
    saturation = float((first * second).sum() / ((second * second).sum() + 1.0))
    rest = one - min(1.5, max(1 / 1.5, saturation)) * other
    far = np.hypot(*(rest - np.median(rest, axis=1, keepdims=True)))
    return {
        "greyer": greyer,
        "colourful": colourful,
        "cast": cast,
        "saturation": saturation,
        "colours_vary": min(float(np.sqrt((each * each).sum(0).mean())) for each in (first, second)),
        "chroma_far": float(np.percentile(far, 95)),
        "chroma_worst": float(far.max()),
    }
