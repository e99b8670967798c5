"""The light of an hour of the day: its colours, the sky, and the water that reflects it."""

import numpy as np
from attrs import evolve, frozen

from pixcore_runners.demo.canvas import Canvas, Floats, ellipse, mix, noise, rgb, smooth, tinted


@frozen
class Light:
    """The colours of one hour. Distant objects fade to ``haze``; ``shade`` is a brightness from 0 (black) to 1."""

    zenith: Floats
    horizon: Floats
    sun: Floats
    haze: Floats
    shade: float

    def on(self, colour: Floats) -> Floats:
        """Return the colour that a nearby object has in this light."""
        return mix(colour * np.float32(self.shade), self.haze, 0.12)

    @property
    def dark(self) -> bool:
        """Whether it is dark enough for stars and lit lamps."""
        return self.shade < 0.6  # noqa: PLR2004 - the darker half of the hours below


_HOURS = (
    Light(rgb(0x6F8FC0), rgb(0xF8C9A0), rgb(0xFFF0C8), rgb(0xD9B7B0), 0.8),
    Light(rgb(0x3F86CF), rgb(0xDCECF4), rgb(0xFFFBE6), rgb(0xBCD2E2), 1.0),
    Light(rgb(0x4A6FA5), rgb(0xF9B15C), rgb(0xFFE9A8), rgb(0xE6AE84), 0.75),
    Light(rgb(0x2B2A5C), rgb(0xE0697A), rgb(0xFFD0A0), rgb(0x8A5A84), 0.5),
    Light(rgb(0x7F8FA0), rgb(0xD7DCDC), rgb(0xF4F4EE), rgb(0xB4BEC4), 0.85),
    Light(rgb(0x0A1230), rgb(0x35507E), rgb(0xF2F2E0), rgb(0x263A62), 0.35),
    Light(rgb(0x14505C), rgb(0xF4D8A4), rgb(0xFFF3CF), rgb(0x86A79C), 0.6),
)


def hour(rng: np.random.Generator) -> Light:
    """Return the light of a random hour."""
    light = _HOURS[rng.integers(len(_HOURS))]
    return evolve(
        light, zenith=tinted(rng, light.zenith), horizon=tinted(rng, light.horizon), haze=tinted(rng, light.haze)
    )


def sky(canvas: Canvas, rng: np.random.Generator, light: Light, horizon: float) -> None:
    """Cover the canvas with a sky: a gradient, stars at night, the sun or the moon, and clouds."""
    bend = rng.uniform(0.6, 1.6)
    canvas.wash(lambda x, y: mix(light.zenith, light.horizon, np.clip(y / horizon, 0, 1) ** bend + 0 * x))
    if light.dark:
        stars = [
            ellipse(x, y * horizon * 0.8, r, r)
            for x, y, r in rng.uniform((0, 0, 0.0005), (canvas.aspect, 1, 0.002), (90, 3))
        ]
        canvas.fill(stars, rgb(0xFFFFFF), 0.7)
    _sun(canvas, rng, light, horizon)
    _clouds(canvas, rng, light, horizon)


def _sun(canvas: Canvas, rng: np.random.Generator, light: Light, horizon: float) -> None:
    across, height = rng.uniform(0.08, 0.92) * canvas.aspect, rng.uniform(0.15, 1.0) * horizon
    radius, reach = rng.uniform(0.025, 0.085), rng.uniform(0.15, 0.5)

    def glow(x: Floats, y: Floats) -> Floats:
        shine: Floats = 0.75 * np.exp(-np.hypot(x - across, y - height) / np.float32(reach))
        return shine

    canvas.wash(light.sun, glow)
    canvas.fill([ellipse(across, height, radius, radius)], light.sun, 0.95, blur=0.002)


def _clouds(canvas: Canvas, rng: np.random.Generator, light: Light, horizon: float) -> None:
    shapes = noise(rng, rng.uniform(0.8, 2.5), rng.uniform(3, 8), 5)
    least, density = rng.uniform(-0.3, 0.5), rng.uniform(0.3, 0.9)
    white = mix(light.horizon, rgb(0xFFFFFF), 0.5 * light.shade)

    def cover(x: Floats, y: Floats) -> Floats:
        low = smooth(horizon * 1.05, horizon * 0.7, y)
        return smooth(least, least + 0.6, shapes(x, y)) * low * np.float32(density)

    def lit(x: Floats, y: Floats) -> Floats:
        # a cloud is darker where there is more cloud just above
        return mix(white, light.haze * np.float32(0.85), smooth(-0.2, 0.8, shapes(x, y - np.float32(0.03))))

    canvas.wash(lit, cover)


def water(canvas: Canvas, rng: np.random.Generator, light: Light, shore: float, rough: float) -> None:
    """Replace everything below ``shore`` by water that reflects the rest. ``rough`` is from 0 (a mirror) to 1 (sea)."""
    height, width, _ = canvas.pixels.shape
    edge = round(shore * height)
    deep = mix(light.zenith * np.float32(0.5), rgb(0x12405A) * np.float32(light.shade), 0.5)
    x = (np.arange(width, dtype=np.float32) / height)[None, :]
    y = ((np.arange(height - edge, dtype=np.float32) + 0.5) / height)[:, None]
    # the logarithm of the distance makes the ripples grow towards the viewer
    ripples = noise(rng, rng.uniform(2, 5), rng.uniform(9, 14), 4)(
        x, np.log(y + np.float32(0.02)) * np.float32(1.5) + 9
    )
    sway = ripples * (np.float32(0.01) + y * np.float32(0.12)) * np.float32(0.3 + rough)
    source = np.clip((edge - 1 - (y + sway) * height * 0.95).astype(int), 0, max(edge - 1, 0))
    column = np.clip((np.arange(width)[None, :] + sway * height * 0.25).astype(int), 0, width - 1)
    mirrored = canvas.pixels[source, column]
    depth = np.clip(np.float32(0.15 + 0.3 * rough) + y * np.float32(0.7), 0, 0.8) + ripples * np.float32(
        0.1 + 0.15 * rough
    )
    canvas.pixels[edge:] = mix(mirrored, deep, np.clip(depth, 0, 1))
