"""Boats under sail on an open sea, with islands or a lighthouse in the background."""

import numpy as np

from pixcore_runners.demo.canvas import (
    Canvas,
    Field,
    Floats,
    Points,
    below,
    box,
    curve,
    ellipse,
    mix,
    noise,
    rgb,
    ribbon,
    smooth,
    tinted,
)
from pixcore_runners.demo.scenes.light import Light, hour, sky, water

_HULLS = (0xF2F0E8, 0x8C2B2B, 0x1F3556, 0x2E5E4E, 0xD9A441, 0x3A3230)
_SAILS = (0xFAF6EA, 0xFAF6EA, 0xF3E3C3, 0xC8553D, 0xE8B04A, 0x7FA6B8)


def sailing_boat(canvas: Canvas, rng: np.random.Generator) -> None:
    """Paint a sea with one boat or several."""
    light, horizon = hour(rng), rng.uniform(0.35, 0.72)
    sky(canvas, rng, light, horizon)
    for _ in range(rng.integers(0, 3)):
        _island(canvas, rng, light, horizon)
    if rng.random() < 0.3:  # noqa: PLR2004 - a share of the pictures
        _lighthouse(canvas, rng, light, horizon)
    water(canvas, rng, light, horizon, rng.uniform(0.5, 1))
    _glitter(canvas, rng, light, horizon)
    boats = int(rng.choice((1, 1, 1, 2, 3, 5)))
    size = rng.uniform(0.35, 0.8) / boats**0.5
    # a farther boat is higher in the picture, and is painted first
    for nearness in np.sort(rng.uniform(0.1, 0.9, boats)):
        line = horizon + (0.97 - horizon) * float(nearness)
        _boat(
            canvas, rng, light, (rng.uniform(0.12, 0.88) * canvas.aspect, line), size * (0.45 + 0.75 * float(nearness))
        )
    _gulls(canvas, rng, horizon)


def _island(canvas: Canvas, rng: np.random.Generator, light: Light, horizon: float) -> None:
    centre, spread, rise = rng.uniform(-0.1, 1.1) * canvas.aspect, rng.uniform(0.15, 0.5), rng.uniform(0.04, 0.2)
    x = np.linspace(centre - 2 * spread, centre + 2 * spread, 200)
    rough = noise(rng, 3, 1, 5)(x.astype(np.float32)[None, :], np.zeros((1, 1), np.float32))[0]
    top = horizon - rise * np.clip(np.exp(-(((x - centre) / spread) ** 2)) * (1 + 0.4 * rough) - 0.06, 0, None)
    colour = mix(light.haze, light.on(tinted(rng, rgb(0x55684E))), rng.uniform(0.25, 0.8))
    relief = noise(rng, 9, 14, 4)
    canvas.fill([below(x, top, horizon + 0.005)], lambda px, py: colour * (1 + 0.2 * relief(px, py))[..., None])


def _lighthouse(canvas: Canvas, rng: np.random.Generator, light: Light, horizon: float) -> None:
    x, height = rng.uniform(0.1, 0.9) * canvas.aspect, rng.uniform(0.18, 0.32)
    foot, top, wide = horizon - 0.01, horizon - height, height * 0.09
    canvas.fill([ellipse(x, horizon + 0.01, height * 0.5, height * 0.12)], light.on(rgb(0x4A4642)))
    tower = np.array([(x - wide, foot), (x - wide * 0.6, top), (x + wide * 0.6, top), (x + wide, foot)])
    red, white = light.on(rgb(0xB23A34)), light.on(rgb(0xF4F1EA))

    def stripes(px: Floats, py: Floats) -> Floats:
        band = (np.sin((py - top) / height * 2 * np.pi * 2.5) > 0) + 0 * px
        return mix(white, red, band) * (1 - 0.35 * smooth(x - wide, x + wide, px + 0 * py))[..., None]

    canvas.fill([tower], stripes)
    lamp = height * 0.1
    canvas.fill([box(x - wide * 0.5, top - lamp, x + wide * 0.5, top)], rgb(0xFFE9A0))
    roof = np.array([(x - wide * 0.8, top - lamp), (x, top - lamp * 2), (x + wide * 0.8, top - lamp)])
    canvas.fill([roof, box(x - wide * 0.8, top - 0.004, x + wide * 0.8, top + 0.004)], light.on(rgb(0x4A1F1F)))


def _glitter(canvas: Canvas, rng: np.random.Generator, light: Light, horizon: float) -> None:
    waves, path, spread = noise(rng, 14, 10, 3), rng.uniform(0, canvas.aspect), rng.uniform(0.1, 0.6)

    def crests(x: Floats, y: Floats) -> Floats:
        away = np.log(np.maximum(y - horizon, 0) + np.float32(0.02))
        lane = np.exp(-(((x - path) / np.float32(spread)) ** 2))
        crest = smooth(0.25, 0.7, waves(x, away * np.float32(2.5) + 12))
        bright: Floats = crest * (0.15 + 0.6 * lane) * (y > horizon)
        return bright

    canvas.wash(mix(light.horizon, light.sun, 0.7), crests)


def _boat(canvas: Canvas, rng: np.random.Generator, light: Light, at: tuple[float, float], size: float) -> None:
    heading, lean, broad = rng.choice((-1, 1)), rng.uniform(-0.12, 0.12), rng.uniform(0.8, 1.15)

    def place(shape: Points, mirrored: bool) -> Points:
        # moves a point of a boat of height 1 at (0, 0) to the boat's heading, lean, size and position
        x, y = shape.T
        heel = heading * x * broad - lean * y
        return np.column_stack([at[0] + heel * size, at[1] + (-0.8 if mirrored else 1) * y * size])

    hull_colour, sail_colour = (light.on(rgb(int(rng.choice(codes)))) for codes in (_HULLS, _SAILS))
    jib_colour = light.on(rgb(int(rng.choice(_SAILS))))
    hull = np.concatenate(
        [
            curve((-0.36, -0.12), (-0.1, -0.07), (0.46, -0.14)),
            curve((0.46, -0.14), (0.36, 0.03), (0.2, 0.035)),
            curve((0.2, 0.035), (-0.2, 0.045), (-0.32, 0.0)),
        ]
    )
    full = rng.uniform(0.02, 0.09)
    main = np.concatenate(
        [
            curve((-0.005, -0.97), (-0.12 - full, -0.55), (-0.4, -0.2)),
            curve((-0.4, -0.2), (-0.2, -0.17), (-0.005, -0.19)),
        ]
    )
    jib = np.concatenate(
        [
            curve((0.02, -0.88), (0.16 + full, -0.45), (0.42, -0.16)),
            curve((0.42, -0.16), (0.2, -0.2), (0.04, -0.2)),
            curve((0.04, -0.2), (0.1, -0.5), (0.02, -0.88)),
        ]
    )
    mast, boom = box(-0.008, -1.0, 0.008, -0.1), box(-0.41, -0.195, 0.0, -0.18)
    cabin = np.array([(-0.14, -0.1), (-0.12, -0.155), (0.12, -0.155), (0.17, -0.1)])
    wood, side = light.on(rgb(0x5A4632)), at[0] + 0.2 * size

    def shaded(colour: Floats) -> Field:
        return lambda x, y: colour * (1.05 - 0.3 * smooth(side - 0.7 * size, side, x + 0.15 * (y - at[1])))[..., None]

    layers: list[tuple[list[Points], Floats]] = [
        ([mast, boom], wood),
        ([main], sail_colour),
        ([jib], jib_colour),
        ([cabin], light.on(rgb(0xE8E2D4))),
        ([hull], hull_colour),
    ]
    for shapes, colour in layers:
        canvas.fill([place(shape, mirrored=True) for shape in shapes], colour, 0.3, blur=0.006)
    for shapes, colour in layers:
        canvas.fill([place(shape, mirrored=False) for shape in shapes], shaded(colour))
    foam = ribbon(curve((-0.5, 0.02), (0.0, 0.05), (0.42, 0.02)), 0.012, 0.02)
    canvas.fill([place(foam, mirrored=False)], mix(light.horizon, rgb(0xFFFFFF), 0.6), 0.6, blur=0.003)


def _gulls(canvas: Canvas, rng: np.random.Generator, horizon: float) -> None:
    wings = []
    for x, y, span in rng.uniform((0, 0.05, 0.012), (canvas.aspect, horizon * 0.8, 0.035), (rng.integers(0, 7), 3)):
        tilt = rng.uniform(-0.4, 0.4) * span
        wings += [
            ribbon(curve((x, y), (x - span * 0.5, y - span * 0.7), (x - span, y + tilt)), span * 0.16, 0.001),
            ribbon(curve((x, y), (x + span * 0.5, y - span * 0.7), (x + span, y - tilt)), span * 0.16, 0.001),
        ]
    if wings:
        canvas.fill(wings, rgb(0x3A3F48), 0.8)
