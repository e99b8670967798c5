"""Mountains in layers of haze, conifers, and a lake that reflects them."""

import numpy as np

from pixcore_runners.demo.canvas import Canvas, Floats, Points, below, mix, noise, rgb, smooth, tinted
from pixcore_runners.demo.scenes.light import Light, hour, sky, water


def mountain_lake(canvas: Canvas, rng: np.random.Generator) -> None:
    """Paint one view of one lake."""
    light, shore = hour(rng), rng.uniform(0.45, 0.8)
    sky(canvas, rng, light, shore)
    ranges = int(rng.integers(2, 5))
    for nearness in np.linspace(0.25, 0.95, ranges):
        _range(canvas, rng, light, shore, float(nearness))
    _forest(canvas, rng, light, shore, (0.02, 0.06))
    water(canvas, rng, light, shore, rng.uniform(0, 0.35))
    if rng.random() < 0.6:  # noqa: PLR2004 - a share of the pictures
        _bank(canvas, rng, light)


def _range(canvas: Canvas, rng: np.random.Generator, light: Light, shore: float, nearness: float) -> None:
    x = np.linspace(-0.05, canvas.aspect + 0.05, 300)
    jags = noise(rng, rng.uniform(1.2, 2.6), 1, 6)(x.astype(np.float32)[None, :], np.zeros((1, 1), np.float32))[0]
    peak, spread = rng.uniform(0, canvas.aspect), rng.uniform(0.3, 0.8)
    rise = rng.uniform(0.35, 0.8) * shore * (1.15 - nearness)
    ridge = shore - rise * (0.35 + 0.65 * np.exp(-(((x - peak) / spread) ** 2))) * (1 + 0.45 * jags)
    rock = light.on(tinted(rng, rgb(0x5E6B62) if rng.random() < nearness else rgb(0x6A6C80)))
    colour, bright = mix(light.haze, rock, nearness), mix(light.horizon, light.sun, 0.6)
    relief, snowline = noise(rng, 5, 4, 5), shore - rise * rng.uniform(0.5, 1.1)

    def paint(px: Floats, py: Floats) -> Floats:
        slope = relief(px + np.float32(0.012), py + np.float32(0.006)) - relief(px, py)
        stone = mix(colour, bright, np.clip(slope * 0.9, 0, 0.4)) * (1 + np.clip(slope, -0.5, 0) * 0.8)[..., None]
        snow = smooth(snowline + 0.03, snowline - 0.03, py + relief(px, py) * np.float32(0.12))
        white = mix(light.haze, rgb(0xFFFFFF), 0.75 * light.shade) * (1 + np.clip(slope, -0.4, 0.1))[..., None]
        foot = smooth(shore - 0.12, shore, py + 0 * px) * np.float32(0.55)
        return mix(mix(stone, white, snow * np.float32(0.9 - 0.5 * nearness)), light.haze, foot)

    canvas.fill([below(x, ridge, shore + 0.01)], paint)


def _conifer(x: float, foot: float, height: float) -> Points:
    tiers = np.arange(1, 8)
    reach = height * 0.035 * tiers
    down = foot - height + height * 0.13 * tiers
    right = np.column_stack([np.repeat(x + reach, 2), np.repeat(down, 2)])
    right[1::2] += np.column_stack([-reach * 0.55, -0 * reach])
    left = right[::-1] * (-1, 1) + (2 * x, 0)
    return np.concatenate([[(x, foot - height)], right, [(x, foot)], left])


def _forest(canvas: Canvas, rng: np.random.Generator, light: Light, foot: float, heights: tuple[float, float]) -> None:
    start = rng.uniform(-0.3, 0.8) * canvas.aspect
    stop = start + rng.uniform(0.3, 1.0) * canvas.aspect
    count = int((stop - start) / heights[1] * 3)
    trees = [
        _conifer(x, foot + rng.uniform(0, 0.006), h)
        for x, h in rng.uniform((start, heights[0]), (stop, heights[1]), (count, 2))
    ]
    if trees:
        canvas.fill(trees, mix(light.haze, light.on(rgb(0x1F3A2C)), 0.85))


def _bank(canvas: Canvas, rng: np.random.Generator, light: Light) -> None:
    side, x = rng.choice((-1, 1)), np.linspace(-0.05, canvas.aspect + 0.05, 200)
    rough = noise(rng, 3, 1, 5)(x.astype(np.float32)[None, :], np.zeros((1, 1), np.float32))[0]
    tilt = side * (x - canvas.aspect / 2) / canvas.aspect
    ground = 0.97 - rng.uniform(0.15, 0.35) * tilt + 0.03 * rough
    grass, blades = light.on(tinted(rng, rgb(0x39482C))) * np.float32(0.6), noise(rng, 40, 12, 3)
    trees = []
    for place in rng.uniform(0, canvas.aspect, rng.integers(2, 9)):
        foot = float(np.interp(place, x, ground))
        if foot < 1:
            trees.append(_conifer(float(place), foot + 0.01, rng.uniform(0.15, 0.55)))
    if trees:
        canvas.fill(trees, light.on(rgb(0x14261E)) * np.float32(0.6))
    canvas.fill(
        [below(x, ground, 1.05)], lambda px, py: mix(grass, light.sun, np.clip(0.1 + 0.12 * blades(px, py), 0, 1))
    )
