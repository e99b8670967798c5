"""Towers with lit windows, seen across a river or over the trees of a park."""

import numpy as np

from pixcore_runners.demo.canvas import (
    Canvas,
    Field,
    Floats,
    Points,
    box,
    ellipse,
    mix,
    noise,
    rgb,
    ribbon,
    smooth,
    tinted,
)
from pixcore_runners.demo.scenes.light import Light, hour, sky, water

_WALLS = (0x6B6F78, 0x8A7F74, 0x4E5A66, 0xA08A72, 0x7C4B3E, 0x93A3AD, 0x5B5048)


def city_skyline(canvas: Canvas, rng: np.random.Generator) -> None:
    """Paint one city at one hour."""
    light, ground = hour(rng), rng.uniform(0.55, 0.92)
    sky(canvas, rng, light, ground)
    centre, spread = rng.uniform(0.1, 0.9) * canvas.aspect, rng.uniform(0.25, 0.9)
    tall = rng.uniform(0.45, 0.95) * ground
    for nearness in (0.3, 0.6, 1.0):
        x = rng.uniform(-0.1, 0)
        while x < canvas.aspect:
            wide = rng.uniform(0.05, 0.13) * (0.6 + 0.6 * nearness)
            crest = 0.25 + 0.75 * np.exp(-(((x - centre) / spread) ** 2))
            height = tall * crest * rng.uniform(0.35, 1.0) * (1.15 - 0.45 * nearness)
            _building(canvas, rng, light, box(x, ground - height, x + wide, ground + 0.01), nearness)
            x += wide + rng.choice((0, 0, 0.004, rng.uniform(0.01, 0.09)))
    if rng.random() < 0.65:  # noqa: PLR2004 - a share of the pictures
        water(canvas, rng, light, ground, rng.uniform(0.1, 0.7))
        if rng.random() < 0.35:  # noqa: PLR2004 - a share of the pictures
            _bridge(canvas, rng, light, ground)
    else:
        _park(canvas, rng, light, ground)


def _building(canvas: Canvas, rng: np.random.Generator, light: Light, walls: Points, nearness: float) -> None:
    (left, top), (right, bottom) = walls[0].tolist(), walls[2].tolist()
    wide, lit_side = right - left, rng.choice((-1, 1))
    wall = mix(light.haze, light.on(tinted(rng, rgb(int(rng.choice(_WALLS))))), 0.25 + 0.65 * nearness)

    def shaded(x: Floats, y: Floats) -> Floats:
        across = (x - left) / np.float32(wide)
        foot = smooth(bottom - 0.3, bottom, y + 0 * x) * np.float32(0.25)
        return mix(wall * (1 + 0.15 * lit_side * (across - 0.5) + 0 * y)[..., None], light.haze, foot)

    canvas.fill([walls, *_roof(rng, left, top, wide)], shaded)
    if nearness < 0.5:  # noqa: PLR2004 - the farthest row shows no windows
        return
    columns, pitch = max(3, round(wide / rng.uniform(0.011, 0.018))), rng.uniform(0.014, 0.024)
    cell = wide / (columns + 0.6)
    lit: list[Points] = []
    unlit: list[Points] = []
    for row in range(int((bottom - top) / pitch) - 1):
        for column in range(columns):
            x, y = left + cell * (column + 0.5), top + pitch * (row + 0.7)
            (lit if rng.random() < (0.45 if light.dark else 0.06) else unlit).append(
                box(x, y, x + cell * 0.62, y + pitch * 0.6)
            )
    if unlit:
        canvas.fill(unlit, mix(wall * np.float32(0.6), light.zenith, 0.3), 0.75)
    if lit:
        canvas.fill(lit, tinted(rng, rgb(0xFFD98A)), 0.4 + 0.5 * nearness)


def _roof(rng: np.random.Generator, left: float, top: float, wide: float) -> list[Points]:
    middle = left + wide / 2
    match rng.integers(7):
        case 0:
            return [np.array([(left, top + 0.002), (middle, top - wide * 0.7), (left + wide, top + 0.002)])]
        case 1:
            mast = ribbon(np.array([(middle, top), (middle, top - 0.06), (middle, top - 0.11)]), 0.008, 0.001)
            return [mast, box(left + wide * 0.25, top - 0.02, left + wide * 0.75, top + 0.002)]
        case 2:
            return [ellipse(middle, top, wide * 0.42, wide * 0.4)]
        case 3:
            steps = (0.12, 0.24, 0.36)
            return [box(left + wide * s, top - 0.1 * s, left + wide * (1 - s), top + 0.002) for s in steps]
        case 4:
            return [np.array([(left, top + 0.002), (left + wide, top - wide * 0.5), (left + wide, top + 0.002)])]
        case _:
            hut = rng.uniform(0.1, 0.6)
            return [box(left + wide * hut, top - 0.012, left + wide * (hut + 0.25), top + 0.002)]


def _bridge(canvas: Canvas, rng: np.random.Generator, light: Light, ground: float) -> None:
    deck, piers = min(0.93, ground + rng.uniform(0.05, 0.15)), int(rng.integers(2, 5))
    stone, gap = light.on(rgb(0x6E655A)) * np.float32(0.75), canvas.aspect / piers
    x = np.linspace(0, canvas.aspect, 200)
    hang = deck - 0.02 - rng.uniform(0.1, 0.2) * np.abs(np.cos(np.pi * x / gap)) ** 3
    towers = [box(gap * n - 0.012, deck - 0.22, gap * n + 0.012, deck + 0.1) for n in range(piers + 1)]
    ropes = [
        box(at - 0.001, float(np.interp(at, x, hang)), at + 0.001, deck) for at in np.arange(0, canvas.aspect, 0.025)
    ]
    road = box(-0.1, deck, canvas.aspect + 0.1, deck + 0.025)
    canvas.fill([*ropes, ribbon(np.column_stack([x, hang]), 0.005, 0.005)], stone * np.float32(0.8))
    canvas.fill([*towers, road], stone)


def _park(canvas: Canvas, rng: np.random.Generator, light: Light, ground: float) -> None:
    leaf, tufts, grass = light.on(tinted(rng, rgb(0x4C6B3C))), noise(rng, 24, 24, 3), noise(rng, 25, 90, 3)
    lawn = box(-0.1, ground, canvas.aspect + 0.1, 1.1)
    sunny, lawn_top = mix(leaf, light.sun, 0.25), np.float32(ground)
    canvas.fill([lawn], lambda x, y: mix(sunny, leaf, 3 * (y - lawn_top)) * (0.95 + 0.12 * grass(x, y))[..., None])
    for foot in np.sort(rng.uniform(ground, 1.0, rng.integers(3, 14))):
        x, size = rng.uniform(0, canvas.aspect), rng.uniform(0.04, 0.1) * (0.8 + 2.5 * (foot - ground))
        crown = [
            ellipse(x + dx * size, foot - size * 1.3 + dy * size, r * size, r * size)
            for dx, dy, r in rng.uniform((-0.6, -0.5, 0.35), (0.6, 0.5, 0.6), (9, 3))
        ]
        trunk = ribbon(np.array([(x, foot), (x, foot - size), (x, foot - size * 1.4)]), size * 0.14, size * 0.05)
        canvas.fill([ellipse(x, foot, size * 0.8, size * 0.12)], leaf * np.float32(0.35), 0.55, blur=0.006)
        canvas.fill([trunk], light.on(rgb(0x4A3828)))
        shade = tinted(rng, leaf, 0.06)
        canvas.fill(crown, _leaves(shade, tufts, foot - size * 1.3, size))


def _leaves(colour: Floats, tufts: Field, middle: float, size: float) -> Field:
    def paint(x: Floats, y: Floats) -> Floats:
        lit = 1.15 - 0.45 * (y - np.float32(middle)) / np.float32(size) + 0.5 * tufts(x, y)
        return colour * np.float32(0.8) * lit[..., None]

    return paint
