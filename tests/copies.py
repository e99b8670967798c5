"""Copies of a picture that show the same, and pages that differ only in their text."""

import random
from collections.abc import Callable, Mapping

import numpy as np
from pictures import photo
from PIL import Image, ImageDraw, ImageEnhance, ImageOps


def scene(seed: int, width: int = 640, height: int = 480) -> Image.Image:
    """Draw a picture with as much detail as a photograph: shapes of all sizes over soft colours, with grain."""
    rng = np.random.default_rng(seed)
    image = photo(seed, width, height)
    draw = ImageDraw.Draw(image, "RGBA")
    for _ in range(220):
        x, y = rng.integers(0, width), rng.integers(0, height)
        across, down = rng.integers(3, 60, 2)
        colour = tuple(int(level) for level in rng.integers(0, 256, 3))
        (draw.ellipse if rng.random() < 0.5 else draw.rectangle)((x, y, x + across, y + down), fill=(*colour, 200))
    grain = np.random.default_rng(seed + 1000).normal(0, 3, (height, width, 3))
    return Image.fromarray((np.asarray(image, np.float64) + grain).clip(0, 255).astype(np.uint8))


def page(seed: int, lines: int = 34) -> Image.Image:
    """Draw a page of words; all pages have the same layout."""
    words = random.Random(seed)  # noqa: S311 (no secret)
    image = Image.new("L", (850, 1100), 245)
    draw = ImageDraw.Draw(image)
    for line in range(lines):
        text = " ".join("".join(words.choices("aeiobdlnrst", k=words.randint(2, 9))) for _ in range(14))
        draw.text((100, 90 + 28 * line), text[:72], 25, font_size=18)
    return image


def _cropped(image: Image.Image, left: float, top: float, right: float, bottom: float) -> Image.Image:
    width, height = image.size
    return image.crop(
        (round(width * left), round(height * top), round(width * (1 - right)), round(height * (1 - bottom)))
    )


def _captioned(image: Image.Image) -> Image.Image:
    sheet = Image.new("RGB", (image.width, image.height + image.height // 12), "white")
    sheet.paste(image)
    ImageDraw.Draw(sheet).text((4, image.height + 4), "Photo: somebody, 2024", "black", font_size=20)
    return sheet


def _watermarked(image: Image.Image) -> Image.Image:
    copy = image.copy()
    middle = image.width / 2, image.height / 2
    ImageDraw.Draw(copy, "RGBA").text(
        middle, "sample.com", (255, 255, 255, 140), font_size=image.width // 9, anchor="mm", stroke_width=1
    )
    return copy


def _overwritten(image: Image.Image) -> Image.Image:
    copy, top = image.copy(), image.height - image.height // 13
    draw = ImageDraw.Draw(copy)
    draw.rectangle((0, top, image.width, image.height), fill="black")
    draw.text((4, top), "Photo: somebody, 2024", "white", font_size=image.height // 18)
    return copy


COPIES: Mapping[str, Callable[[Image.Image], Image.Image]] = {
    "smaller": lambda image: image.resize((image.width // 2, image.height // 2), Image.Resampling.LANCZOS),
    "grey": lambda image: image.convert("L"),
    "brighter": lambda image: ImageEnhance.Brightness(image).enhance(1.2),
    "cropped evenly": lambda image: _cropped(image, 0.05, 0.05, 0.05, 0.05),
    "cropped on one side": lambda image: _cropped(image, 0.1, 0, 0, 0),
    "border": lambda image: ImageOps.expand(image, round(0.03 * image.width), "white"),
    "turned": lambda image: image.rotate(2, Image.Resampling.BICUBIC, fillcolor=(120, 120, 120)),
    "mirrored": ImageOps.mirror,
    "caption": _captioned,
    "watermark": _watermarked,
    "caption over it": _overwritten,
}
