"""A canvas to paint on: smooth-edged shapes, coloured by functions of position. One unit is the picture's height."""

from collections.abc import Callable, Sequence
from itertools import pairwise

import numpy as np
from attrs import define
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

Floats = NDArray[np.float32]
Points = NDArray[np.float64]  # one (x, y) a row
Field = Callable[[Floats, Floats], Floats]  # a function of x, given as a row, and y, given as a column
Paint = Floats | Field  # one colour, or the colour at each position

_OVERSAMPLED = 2  # shapes are drawn this many times larger and scaled down, for smooth edges
_LATTICE = 64  # values on each side of a noise lattice, which repeats


@define
class Canvas:
    """A picture in progress. ``pixels`` has the shape (height, width, 3), with red, green and blue from 0 to 1."""

    pixels: Floats

    @classmethod
    def blank(cls, width: int, height: int) -> "Canvas":
        """Create a black canvas of width x height pixels."""
        return cls(np.zeros((height, width, 3), np.float32))

    @property
    def aspect(self) -> float:
        """The width in units; the height is one unit."""
        height, width, _ = self.pixels.shape
        return float(width / height)

    def wash(self, paint: Paint, opacity: Field | float = 1.0) -> None:
        """Paint the whole canvas; ``opacity`` is from 0 to 1, one number or a function of position."""
        height, width, _ = self.pixels.shape
        x, y = _grid(0, width, height), _grid(0, height, height).T
        share = opacity(x, y) if callable(opacity) else opacity
        self.pixels = mix(self.pixels, paint(x, y) if callable(paint) else paint, share)

    def fill(self, shapes: Sequence[Points], paint: Paint, opacity: float = 1.0, blur: float = 0.0) -> None:
        """Paint the inside of the polygons. They form one mask, so overlaps are painted once. ``blur`` is in units."""
        height, width, _ = self.pixels.shape
        corners = np.concatenate(shapes) * height
        margin = 1 + 3 * blur * height
        left, top = np.maximum(np.floor(corners.min(0) - margin), 0).astype(int).tolist()
        right, bottom = np.minimum(np.ceil(corners.max(0) + margin), (width, height)).astype(int).tolist()
        if left >= right or top >= bottom:
            return
        stencil = Image.new("L", ((right - left) * _OVERSAMPLED, (bottom - top) * _OVERSAMPLED))
        draw = ImageDraw.Draw(stencil)
        for shape in shapes:
            draw.polygon(((shape * height - (left, top)) * _OVERSAMPLED).ravel().tolist(), fill=255)
        stencil = stencil.reduce(_OVERSAMPLED)
        if blur:
            stencil = stencil.filter(ImageFilter.GaussianBlur(blur * height))
        x, y = _grid(left, right, height), _grid(top, bottom, height).T
        window = self.pixels[top:bottom, left:right]
        share = np.asarray(stencil, np.float32) * np.float32(opacity / 255)
        self.pixels[top:bottom, left:right] = mix(window, paint(x, y) if callable(paint) else paint, share)

    def image(self, rng: np.random.Generator) -> Image.Image:
        """Return the picture in 8 bits, with the darker corners and the fine grain of a photograph."""
        height, width, _ = self.pixels.shape
        x, y = _grid(0, width, height) / self.aspect - 0.5, _grid(0, height, height).T - 0.5
        corners = 1 - 0.45 * (x * x + y * y)
        grain = rng.standard_normal((height, width), np.float32) * np.float32(rng.uniform(0.004, 0.012))
        developed = self.pixels * corners[..., None] + grain[..., None]
        return Image.fromarray((np.clip(developed, 0, 1) * 255 + 0.5).astype(np.uint8))


def _grid(start: int, stop: int, height: int) -> Floats:
    centres: Floats = ((np.arange(start, stop) + 0.5) / height).astype(np.float32)
    return centres[None, :]


def mix(one: Floats, other: Floats, share: Floats | float) -> Floats:
    """Blend two colours: share 0 gives the first, share 1 the second. An array of shares gives one for each pixel."""
    mixed: Floats = one + (other - one) * np.asarray(share, np.float32)[..., None]
    return mixed


def rgb(code: int) -> Floats:
    """Return the colour with the code 0xRRGGBB."""
    return np.frombuffer(code.to_bytes(3), np.uint8).astype(np.float32) / np.float32(255)


def tinted(rng: np.random.Generator, colour: Floats, amount: float = 0.05) -> Floats:
    """Return a random colour close to this one."""
    return np.clip(colour + rng.uniform(-amount, amount, 3), 0, 1).astype(np.float32)


def smooth(start: float, stop: float, at: Floats) -> Floats:
    """Interpolate smoothly (smoothstep) from 0 at ``start`` to 1 at ``stop``. If ``stop < start``, it falls."""
    t = np.clip((at - start) / (stop - start), 0, 1)
    rising: Floats = t * t * (3 - 2 * t)
    return rising


def noise(rng: np.random.Generator, across: float, down: float, octaves: int = 4) -> Field:
    """Create fractal noise, mostly within ±0.6. The largest features are ``1 / across`` by ``1 / down`` units."""
    lattices = rng.uniform(-1, 1, (octaves, _LATTICE, _LATTICE)).astype(np.float32)

    def field(x: Floats, y: Floats) -> Floats:
        total = np.zeros((y.size, x.size), np.float32)
        for octave, lattice in enumerate(lattices):
            row, below, dy = _between(y.ravel() * down * 2**octave)
            column, beside, dx = _between(x.ravel() * across * 2**octave)
            rows = lattice[row] + (lattice[below] - lattice[row]) * dy[:, None]
            near, far = rows.take(column, 1), rows.take(beside, 1)
            total += (near + (far - near) * dx) / 2**octave
        return total

    return field


def _between(at: Floats) -> tuple[NDArray[np.intp], NDArray[np.intp], Floats]:
    """Return the two lattice indices around each position, and the smooth share of the second."""
    whole = np.floor(at)
    first = whole.astype(np.intp) % _LATTICE
    return first, (first + 1) % _LATTICE, smooth(0, 1, at - whole)


def ellipse(x: float, y: float, rx: float, ry: float) -> Points:
    """Return an ellipse with the centre (x, y)."""
    turn = np.linspace(0, 2 * np.pi, 48, endpoint=False)
    return np.column_stack([x + rx * np.cos(turn), y + ry * np.sin(turn)])


def box(left: float, top: float, right: float, bottom: float) -> Points:
    """Return an upright rectangle."""
    return np.array([(left, top), (right, top), (right, bottom), (left, bottom)])


def curve(*points: tuple[float, float]) -> Points:
    """Return the Bézier curve of these control points."""
    t = np.linspace(0, 1, 24)[:, None]
    levels = [np.array(point) + 0 * t for point in points]
    while len(levels) > 1:
        levels = [one + (other - one) * t for one, other in pairwise(levels)]
    return levels[0]


def ribbon(spine: Points, start: float, end: float) -> Points:
    """Return a band along a curve; ``start`` and ``end`` are its widths at both ends."""
    along = np.gradient(spine, axis=0)
    across = np.column_stack([-along[:, 1], along[:, 0]]) / np.maximum(np.hypot(*along.T), 1e-9)[:, None]
    half = across * np.linspace(start, end, len(spine))[:, None] / 2
    return np.concatenate([spine + half, (spine - half)[::-1]])


def below(x: Points, y: Points, bottom: float) -> Points:
    """Return the area from the line through x and y down to ``bottom``."""
    return np.concatenate([np.column_stack([x, y]), [(x[-1], bottom), (x[0], bottom)]])
