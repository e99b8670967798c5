"""Flowers in front of a garden that is out of focus."""

from collections.abc import Callable

import numpy as np

from pixcore_runners.demo.canvas import (
    Canvas,
    Field,
    Floats,
    Points,
    curve,
    ellipse,
    mix,
    noise,
    rgb,
    ribbon,
    smooth,
    tinted,
)

_BACKDROPS = (
    (0x2F4F2A, 0xA9C47F),
    (0x1E3B34, 0x6FA08A),
    (0x7FB2D6, 0xCFE3B4),
    (0x4B5A2A, 0xE8D58A),
    (0x3A2F4A, 0xB48FA8),
    (0xD8C9A8, 0xF5EFDC),
    (0x15241C, 0x3F5E3C),
)
_PETALS = (0xFFFFFF, 0xF6C22D, 0xE4572E, 0xD7263D, 0xF29CB7, 0x8E6BBF, 0x5C80D6, 0xFF8C42, 0xB5179E, 0xFFF1C1)
_HEARTS = (0xE9B824, 0x5B3A1E, 0xD98E04, 0x3B2A3F, 0xC7D36F)

Flower = Callable[[Canvas, np.random.Generator, tuple[float, float], float, Floats], None]


def garden_flower(canvas: Canvas, rng: np.random.Generator) -> None:
    """Paint one flower or several."""
    _backdrop(canvas, rng)
    count = int(rng.choice((1, 1, 2, 3, 4, 6, 9, 14)))
    size = rng.uniform(0.26, 0.4) / count**0.42
    flower = (_daisy, _daisy, _rose, _tulip)[rng.integers(4)]
    colours = [tinted(rng, rgb(int(code))) for code in rng.choice(_PETALS, 2, replace=False)]
    places = _spaced(rng, canvas.aspect, count, size)
    green = tinted(rng, rgb(0x4E7A33))
    for at in places:
        _stem(canvas, rng, at, size, green)
    for at in sorted(places, key=lambda place: place[1]):
        flower(canvas, rng, at, size * rng.uniform(0.8, 1.15), tinted(rng, colours[rng.integers(2)], 0.04))


def _spaced(rng: np.random.Generator, aspect: float, count: int, size: float) -> list[tuple[float, float]]:
    """Return positions for ``count`` flowers; each is the farthest from the others of a few random ones."""
    places: list[tuple[float, float]] = []
    edge = min(size * 0.6, 0.3)
    for _ in range(count):
        trials = rng.uniform((edge, edge), (aspect - edge, 0.8), (12 if places else 1, 2))
        gaps = [min((np.hypot(x - px, y - py) for px, py in places), default=0.0) for x, y in trials]
        x, y = trials[int(np.argmax(gaps))].tolist()
        places.append((x, y))
    return places


def _backdrop(canvas: Canvas, rng: np.random.Generator) -> None:
    dark, bright = (tinted(rng, rgb(code)) for code in _BACKDROPS[rng.integers(len(_BACKDROPS))])
    blots, (dx, dy) = noise(rng, 1.3, 1.3, 2), rng.uniform(-0.7, 0.7, 2)
    canvas.wash(
        lambda x, y: mix(dark, bright, np.clip(0.5 + dx * (x - 0.6) + dy * (y - 0.5) + 0.6 * blots(x, y), 0, 1))
    )
    for x, y, radius in rng.uniform((0, 0, 0.02), (canvas.aspect, 1, 0.12), (rng.integers(10, 28), 3)):
        colour = mix(bright, rgb(int(rng.choice((0xFFFFFF, *_PETALS)))), 0.25)
        canvas.fill([ellipse(x, y, radius, radius)], colour, rng.uniform(0.1, 0.4), blur=0.006)
    blades = []
    for x, lean, tall in rng.uniform((0, -0.2, 0.15), (canvas.aspect, 0.2, 0.6), (rng.integers(0, 30), 3)):
        blades.append(ribbon(curve((x, 1.02), (x, 1 - tall / 2), (x + lean, 1 - tall)), 0.018, 0.001))
    if blades:
        canvas.fill(blades, mix(dark, bright, 0.35), 0.7, blur=0.004)


def _stem(canvas: Canvas, rng: np.random.Generator, at: tuple[float, float], size: float, green: Floats) -> None:
    (x, y), foot = at, at[0] + rng.uniform(-0.15, 0.15)
    spine = curve(at, (x, (1 + y) / 2), (foot, 1.05))
    leaves = []
    for turn in (-1, 1):
        joint = spine[int(rng.integers(8, 22))]
        tip = joint + np.array([turn * size * rng.uniform(0.5, 1.0), -size * rng.uniform(0.2, 0.7)])
        bend = (joint + tip) / 2
        upper = curve(tuple(joint), (bend[0], bend[1] - size * 0.3), tuple(tip))
        lower = curve(tuple(tip), (bend[0], bend[1] + size * 0.22), tuple(joint))
        leaves.append(np.concatenate([upper, lower]))
    veins = noise(rng, 18, 18, 2)
    canvas.fill([ribbon(spine, size * 0.07, size * 0.1)], green * np.float32(0.8))
    canvas.fill(leaves, lambda px, py: green * (0.9 + 0.3 * veins(px, py) + 0.25 * (0.6 - py))[..., None])


def _petal(at: tuple[float, float], turn: float, start: float, end: float, wide: float) -> Points:
    # built along the x axis, then turned about the flower's centre
    outline = np.concatenate(
        [
            curve((start, 0), (start + (end - start) * 0.45, wide), (end, wide * 0.75), (end, 0)),
            curve((end, 0), (end, -wide * 0.75), (start + (end - start) * 0.45, -wide), (start, 0)),
        ]
    )
    cos, sin = np.cos(turn), np.sin(turn)
    turned: Points = outline @ np.array([[cos, sin], [-sin, cos]]) + at
    return turned


def _petal_paint(at: tuple[float, float], size: float, colour: Floats, bright: float) -> Field:
    def paint(x: Floats, y: Floats) -> Floats:
        away = np.hypot(x - np.float32(at[0]), y - np.float32(at[1])) / np.float32(size)
        light = 0.62 + 0.42 * smooth(0.1, 1.0, away) - 0.12 * (y - np.float32(at[1])) / np.float32(size)
        return colour * (light * np.float32(bright))[..., None]

    return paint


def _ring(
    canvas: Canvas, rng: np.random.Generator, at: tuple[float, float], size: float, colour: Floats, *, count: int
) -> None:
    first = rng.uniform(0, 2 * np.pi)
    for n in range(count):
        turn = first + 2 * np.pi * n / count + rng.uniform(-0.06, 0.06)
        petal = _petal(at, turn, size * 0.08, size * rng.uniform(0.92, 1.06), size * min(0.55, 2.6 / count))
        canvas.fill([petal + size * 0.02], rgb(0x101010), 0.2, blur=size * 0.03)
        canvas.fill([petal], _petal_paint(at, size, colour, rng.uniform(0.9, 1.08)))


def _heart(canvas: Canvas, rng: np.random.Generator, at: tuple[float, float], size: float) -> None:
    (x, y), colour = at, rgb(int(rng.choice(_HEARTS)))
    canvas.fill([ellipse(x, y, size, size)], _petal_paint((x - size * 0.3, y - size * 0.3), -size * 3, colour, 1.4))
    turn, away = (
        np.arange(60) * 2.39996,
        size * 0.93 * np.sqrt(np.arange(60) / 60),
    )  # the golden angle, at which seeds grow
    seeds = [
        ellipse(x + r * np.cos(t), y + r * np.sin(t), size * 0.06, size * 0.06) for t, r in zip(turn, away, strict=True)
    ]
    canvas.fill(seeds, colour * np.float32(0.6), 0.6)


def _daisy(canvas: Canvas, rng: np.random.Generator, at: tuple[float, float], size: float, colour: Floats) -> None:
    count = int(rng.integers(5, 18))
    _ring(canvas, rng, at, size, colour * np.float32(0.88), count=count)
    _ring(canvas, rng, at, size * 0.86, colour, count=count)
    _heart(canvas, rng, at, size * rng.uniform(0.2, 0.36))


def _rose(canvas: Canvas, rng: np.random.Generator, at: tuple[float, float], size: float, colour: Floats) -> None:
    for scale, count in ((1.0, 5), (0.84, 5), (0.68, 5), (0.52, 5), (0.36, 4), (0.2, 4)):
        _ring(canvas, rng, at, size * scale, mix(colour, colour * np.float32(0.75), 1 - scale), count=count)


def _tulip(canvas: Canvas, rng: np.random.Generator, at: tuple[float, float], size: float, colour: Floats) -> None:
    foot, streaks = (at[0], at[1] + size * 0.7), noise(rng, 30, 3, 3)
    for lean, bright in ((-0.42, 0.8), (0.42, 0.84), (0.0, 0.72), (-0.22, 0.95), (0.24, 1.0), (0.0, 1.08)):
        turn, tall = lean - np.pi / 2 + rng.uniform(-0.05, 0.05), size * rng.uniform(1.35, 1.55)
        petal = _petal(foot, turn, 0, tall, size * 0.52)
        canvas.fill([petal + size * 0.015], rgb(0x101010), 0.18, blur=size * 0.03)
        canvas.fill([petal], _streaked(_petal_paint(foot, size * 1.5, colour, bright), streaks))


def _streaked(plain: Field, streaks: Field) -> Field:
    return lambda x, y: plain(x, y) * (1 + 0.14 * streaks(x, y))[..., None]
