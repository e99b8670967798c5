"""Kinds of pictures that look alike and are all different, and copies that a person calls the same picture."""

import math
import random
from collections.abc import Callable, Iterator, Mapping
from io import BytesIO
from itertools import product

import numpy as np
from PIL import Image, ImageDraw, ImageEnhance, ImageFilter, ImageOps

from pixcore_runners.demo.pictures import paint
from pixcore_runners.demo.scenes import SCENES

_LETTERS = "aeioubcdfghlmnprst"


def _chance(seed: int) -> random.Random:
    return random.Random(seed)  # noqa: S311 (no secret)


def _words(chance: random.Random, count: int) -> str:
    return " ".join("".join(chance.choices(_LETTERS, k=chance.randint(2, 9))) for _ in range(count))


def _grain(image: Image.Image, seed: int, spread: float) -> Image.Image:
    levels = np.asarray(image, np.float32)
    levels += np.random.default_rng(seed).normal(0, spread, levels.shape)
    return Image.fromarray(levels.clip(0, 255).astype(np.uint8))


def photographs(count: int) -> Iterator[Image.Image]:
    """Paint scenes under grain; each has shapes of its own."""
    painters = list(SCENES.values())
    for seed in range(count):
        rng = np.random.default_rng(seed)
        yield detailed(paint(painters[seed % len(painters)], rng), rng)


def detailed(image: Image.Image, rng: np.random.Generator) -> Image.Image:
    """Add leaves, stones and grain: photographs have detail everywhere."""
    draw = ImageDraw.Draw(image, "RGBA")
    for _ in range(300):
        x, y = rng.integers(0, image.width), rng.integers(0, image.height)
        across, down = (int(size) for size in rng.integers(2, image.width // 12, 2))
        colour = (*(int(level) for level in rng.integers(0, 256, 3)), int(rng.integers(60, 200)))
        (draw.ellipse if rng.integers(2) else draw.rectangle)((x, y, x + across, y + down), fill=colour)
    soft = np.asarray(image.filter(ImageFilter.GaussianBlur(0.6)), np.float32)
    return Image.fromarray((soft + rng.normal(0, 3, soft.shape)).clip(0, 255).astype(np.uint8))


def _pages(count: int) -> Iterator[Image.Image]:
    """Scanned pages of one layout."""
    for seed in range(count):
        chance, image = _chance(seed), Image.new("L", (850, 1100), 245)
        draw = ImageDraw.Draw(image)
        for line in range(36):
            draw.text((100, 90 + 26 * line), _words(chance, 14)[:74], 25, font_size=17)
        yield _grain(image, seed, 3)


def _slides(count: int) -> Iterator[Image.Image]:
    """One template with other words."""
    for seed in range(count):
        chance, image = _chance(seed), Image.linear_gradient("L").resize((960, 540)).convert("RGB")
        draw = ImageDraw.Draw(image)
        draw.rectangle((0, 0, 960, 90), fill=(20, 60, 120))
        draw.text((40, 22), _words(chance, 4), "white", font_size=40)
        for line in range(chance.randint(3, 6)):
            draw.text((70, 140 + 60 * line), "- " + _words(chance, 6), (240, 240, 80), font_size=28)
        yield image


def _forms(count: int) -> Iterator[Image.Image]:
    """One form, filled in differently."""
    for seed in range(count):
        chance, same, image = _chance(seed), _chance(-1), Image.new("RGB", (800, 1000), "white")
        draw = ImageDraw.Draw(image)
        draw.rectangle((40, 40, 760, 110), fill=(20, 60, 120))
        for row in range(20):
            top = 140 + 41 * row
            draw.text((50, top), _words(same, 2), "black", font_size=16)
            draw.rectangle((300, top - 6, 760, top + 28), outline="black")
            if chance.randrange(5):
                draw.text((310, top), _words(chance, chance.randint(1, 4))[:34], (20, 20, 140), font_size=18)
        yield image


def _plots(count: int) -> Iterator[Image.Image]:
    """Curves in one frame."""
    for seed in range(count):
        rng, image = np.random.default_rng(seed), Image.new("RGB", (640, 480), "white")
        draw = ImageDraw.Draw(image)
        draw.rectangle((60, 40, 600, 420), outline="black")
        for colour in ("#1f77b4", "#ff7f0e"):
            heights = 230 + 14 * rng.normal(size=60).cumsum().clip(-13, 13)
            draw.line([(60 + 9 * x, float(y)) for x, y in enumerate(heights)], fill=colour, width=2)
        yield image


def _colours(count: int) -> Iterator[Image.Image]:
    """The same product in other colours."""
    hues = [(200, 30, 30), (30, 120, 30), (40, 60, 200), (230, 120, 20), (120, 40, 160), (20, 150, 160), (20, 20, 20)]
    for shape, colour in list(product(range(count // len(hues) + 1), hues))[:count]:
        chance, image = _chance(shape), Image.new("RGB", (512, 512), "white")
        corners = [
            (256 + radius * math.cos(turn * 0.449), 256 + radius * math.sin(turn * 0.449))
            for turn in range(14)
            for radius in (120 + 80 * chance.random(),)
        ]
        ImageDraw.Draw(image).polygon(corners, fill=colour)
        yield image.filter(ImageFilter.GaussianBlur(1))


def _letters(count: int) -> Iterator[Image.Image]:
    """One character a picture."""
    for code in range(33, min(127, 33 + count)):
        image = Image.new("L", (128, 128), 255)
        ImageDraw.Draw(image).text((64, 64), chr(code), 0, font_size=90, anchor="mm")
        yield image


def _skies(count: int) -> Iterator[Image.Image]:
    """Stars in noise."""
    for seed in range(count):
        rng = np.random.default_rng(seed)
        levels = np.abs(rng.normal(6, 2, (480, 640)))
        for _ in range(300):
            y, x = rng.integers(3, 477), rng.integers(3, 637)
            levels[y - 1 : y + 2, x - 1 : x + 2] += rng.exponential(60)
        yield Image.fromarray(levels.clip(0, 255).astype(np.uint8))


def _boards(count: int) -> Iterator[Image.Image]:
    """Positions on one board."""
    for seed in range(count):
        chance, image = _chance(seed), Image.new("RGB", (480, 480), "#eed7b0")
        draw = ImageDraw.Draw(image)
        for x, y in product(range(8), range(8)):
            if (x + y) % 2:
                draw.rectangle((60 * x, 60 * y, 60 * x + 59, 60 * y + 59), fill="#b58863")
        for square in chance.sample(range(64), 20):
            x, y = 60 * (square % 8) + 30, 60 * (square // 8) + 30
            draw.ellipse((x - 20, y - 20, x + 20, y + 20), fill=chance.choice(["black", "white"]), outline="black")
        yield image


KINDS: Mapping[str, Callable[[int], Iterator[Image.Image]]] = {
    "photographs": photographs,
    "pages": _pages,
    "slides": _slides,
    "forms": _forms,
    "plots": _plots,
    "colours": _colours,
    "letters": _letters,
    "night skies": _skies,
    "boards": _boards,
}


# -- copies -----------------------------------------------------------------------------------------------------------

Copy = Callable[[Image.Image], bytes]


def saved(image: Image.Image, format_: str = "JPEG", **options: int) -> bytes:
    """Return the file, at the quality of most pictures of the web."""
    file = BytesIO()
    image.save(file, format_, **({"quality": 90} | options if format_ == "JPEG" else options))
    return file.getvalue()


def _resized(share: float, format_: str = "JPEG") -> Copy:
    return lambda image: saved(
        image.resize((int(image.width * share), int(image.height * share)), Image.Resampling.LANCZOS), format_
    )


def _cropped(left: float, top: float, right: float, bottom: float) -> Copy:
    def crop(image: Image.Image) -> bytes:
        width, height = image.size
        box = round(width * left), round(height * top), round(width * (1 - right)), round(height * (1 - bottom))
        return saved(image.crop(box))

    return crop


def _cast(image: Image.Image) -> bytes:
    levels = np.asarray(image, np.float32) * [1.08, 1, 0.9]
    return saved(Image.fromarray(levels.clip(0, 255).astype(np.uint8)))


def _watermarked(image: Image.Image) -> bytes:
    middle = image.width / 2, image.height / 2
    copy = image.copy()
    ImageDraw.Draw(copy, "RGBA").text(
        middle, "sample.com", (255, 255, 255, 140), font_size=image.width // 9, anchor="mm", stroke_width=1
    )
    return saved(copy)


def _captioned(image: Image.Image) -> bytes:
    sheet = Image.new("RGB", (image.width, image.height + image.height // 12), "white")
    sheet.paste(image)
    ImageDraw.Draw(sheet).text((4, image.height + 2), "Photo: somebody, 2024", "black", font_size=image.height // 18)
    return saved(sheet)


def _overwritten(image: Image.Image) -> bytes:
    copy, top = image.copy(), image.height - image.height // 13
    draw = ImageDraw.Draw(copy)
    draw.rectangle((0, top, image.width, image.height), fill="black")
    draw.text((4, top), "Photo: somebody, 2024", "white", font_size=image.height // 18)
    return saved(copy)


def _turned_by_exif(image: Image.Image) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = 6
    file = BytesIO()
    image.transpose(Image.Transpose.ROTATE_90).save(file, "JPEG", quality=90, exif=exif)
    return file.getvalue()


def _rotated(image: Image.Image) -> bytes:
    red, green, blue = (int(level) for level in np.asarray(image).mean((0, 1)))
    return saved(image.rotate(2, Image.Resampling.BICUBIC, fillcolor=(red, green, blue)))


PLAIN: Mapping[str, Copy] = {
    "resize 0.5": _resized(0.5),
    "resize 0.25": _resized(0.25),
    "resize 1.4, PNG": _resized(1.4, "PNG"),
    "JPEG q40": lambda image: saved(image, quality=40),
    "JPEG q15": lambda image: saved(image, quality=15),
    "PNG": lambda image: saved(image, "PNG", compress_level=1),
    "WebP q50": lambda image: saved(image, "WEBP", quality=50),
    "EXIF orientation": _turned_by_exif,
}
COPIES: Mapping[str, Copy] = {
    **PLAIN,
    "rotation 2°": _rotated,
    "grey": lambda image: saved(image.convert("L")),
    "brightness +20 %": lambda image: saved(ImageEnhance.Brightness(image).enhance(1.2)),
    "contrast x 1.3": lambda image: saved(ImageEnhance.Contrast(image).enhance(1.3)),
    "colour cast": _cast,
    "crop 5 %": _cropped(*[0.025] * 4),
    "crop 10 %": _cropped(*[0.05] * 4),
    "crop 10 % of one side": _cropped(0.1, 0, 0, 0),
    "crop 10 % of each side": _cropped(*[0.1] * 4),
    "border 3 %": lambda image: saved(ImageOps.expand(image, round(0.03 * max(image.size)), "white")),
    "mirrored": lambda image: saved(ImageOps.mirror(image)),
    "watermark": _watermarked,
    "caption below": _captioned,
    "caption over it": _overwritten,
}


# -- pictures that have a flag ----------------------------------------------------------------------------------------


def _faded(image: Image.Image) -> Image.Image:
    return Image.blend(image, Image.new("RGB", image.size, "white"), 0.97)


CHANGES: Mapping[str, Callable[[Image.Image], Image.Image]] = {
    "as it is": lambda image: image,
    "dark": lambda image: ImageEnhance.Brightness(image).enhance(0.15),
    "light": _faded,
    "grey": lambda image: image.convert("L"),
    "strip": lambda image: image.resize((image.width, max(1, image.width // 4))),
    "even": lambda image: image.resize((1, 1)).resize(image.size),
    "blurred": lambda image: image.filter(ImageFilter.GaussianBlur(6)),
}
