"""What the common part of two aligned pictures says, tile by tile: fine detail, brightness, colour."""

import numpy as np
from attrs import frozen
from numpy.typing import NDArray

from pixcore_adapters.twins.planes import Plane, blurred, inside, warp
from pixcore_adapters.twins.poses import Pose

Picture = NDArray[np.float32]  # n x n x 3: luma, Cb, Cr of 255 levels
_Tiles = NDArray[np.float32]

_DETAIL = 3  # pixels, the radius of what is taken for fine detail
_UNLIKE, _HARDLY = 0.5, 0.8  # correlation of a tile below which it is another one, or not surely the same
_MUCH_MORE = 2.0  # times the squared detail, that something laid over a picture adds
_HALF = 0.5  # of a picture, that two must have in common
_FEWEST = 4  # tiles that are worth counting
_CURVED = 4.0, 8  # spread of levels, and tiles, that a curve can be fitted to
_GREY, _COLOURED = 5, 10  # chroma of the most colourful tiles: of a grey picture at most, of a coloured one at least


@frozen(eq=False)
class Tiles:
    """Both pictures in square tiles over their common part, as arrays of tiles."""

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
    """Return the correlation of fine detail of two small luma planes; -1 where less than half is common."""
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
class Figures:
    """The figures that a decision is made of. Levels are of 255.

    Attributes:
        overlap: Share of the one picture that is common.
        likeness: Correlation of fine detail over the common part.
        textured: How many tiles hold fine detail.
        alike: How many of those are surely the same.
        unlike: Share of those that are others.
        hardly: Share of those that are not surely the same.
        quarter, middle: The correlations that a quarter and a half of those are below.
        unlike_at_edge: All unlike tiles lie in the upper or the lower fifth, and there are some.
        box: Share of the picture that a rectangle around all unlike tiles covers.
        alike_outside: How many tiles outside that rectangle, and not next to it, are surely the same.
        hardly_outside: Share of the tiles with fine detail there that are not surely the same.
        laid_on: Which picture has far more detail than the other in the unlike tiles: 1, 2, or 0 for neither.
        contrast: Detail of the one over that of the other.
        slope: Luma of the one over that of the other, by a straight line.
        luma_off: Mean difference of luma.
        luma_far: Difference of luma that a twentieth of the tiles exceed.
        luma_bent: Difference to a curve through the lumas that a tenth of the tiles exceed.
        luma_worst: Largest difference to the straight line.
        greyer, colourful: Chroma of the most colourful tiles, of the less and of the more colourful picture.
        cast: Distance of the middle chromas.
        saturation: Chroma of the one over that of the other, as it varies over the picture.
        colours_vary: By how much chroma varies in the picture in which it varies less.
        chroma_far: Distance of chromas, less cast and saturation, that a twentieth of the tiles exceed.
        chroma_worst: The largest such distance.
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


def figures(tiles: Tiles, least_detail: float, share_of_median: float) -> Figures | None:
    """Sum the tiles up; None where fewer than four count.

    A tile holds fine detail above ``least_detail`` levels and above that share of the median tile's.
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
    box, near = _boxes(unlike)
    outside = textured & ~near
    squares = [float((each[textured] ** 2).sum()) for each in tiles.detail]
    return Figures(
        overlap=tiles.overlap,
        likeness=tiles.likeness,
        textured=count,
        alike=count - int(hardly.sum()),
        unlike=float(unlike.sum()) / max(1, count),
        hardly=float(hardly.sum()) / max(1, count),
        quarter=float(np.percentile(correlation[textured], 25)) if count else 0.0,
        middle=float(np.median(correlation[textured])) if count else 0.0,
        unlike_at_edge=bool(unlike.any()) and not unlike[middle].any(),
        box=float(box.mean()),
        alike_outside=int((outside & ~hardly).sum()),
        hardly_outside=float((outside & hardly).sum()) / max(1, int(outside.sum())),
        laid_on=_laid_on(*(each[unlike] for each in tiles.detail)),
        contrast=float(np.sqrt(squares[0] / (squares[1] + 1e-6))) if count else 1.0,
        **_luma(*(plane[counted] for plane in tiles.luma)),
        **_chroma(*(plane[:, counted] for plane in tiles.chroma)),
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
