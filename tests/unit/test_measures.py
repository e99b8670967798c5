"""Measures of pictures, and the flags that follow."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from attrs import evolve
from pictures import encoded, photo
from PIL import Image, ImageDraw, ImageFilter, ImageFont

from pixcore.model.measures import FLAGS, Measures
from pixcore_adapters.validator.decode import decode
from pixcore_adapters.validator.picture import Limits, Picture

WORDS = "lorem ipsum dolor sit amet consectetur adipiscing elit sed do"
Measure = Callable[..., Measures]


@pytest.fixture
def measured(tmp_path: Path) -> Measure:
    """Return a function that measures a picture in a file of a format."""

    def measured(image: Image.Image, name: str = "PNG") -> Measures:
        path = tmp_path / "file"
        path.write_bytes(encoded(image, name))
        picture = decode(path, Limits())
        assert isinstance(picture, Picture)
        return picture.measures

    return measured


def scene(seed: int, width: int = 480, height: int = 360) -> Image.Image:
    """Return a photograph with edges: soft shapes, and objects in front of them."""
    image, chance = photo(seed, width, height), np.random.default_rng(seed)
    drawing = ImageDraw.Draw(image)
    for _ in range(25):
        x, y = chance.integers(0, (width, height)).tolist()
        w, h = chance.integers(10, 90, 2).tolist()
        drawing.ellipse((x, y, x + w, y + h), fill=tuple(chance.integers(0, 256, 3).tolist()))
    return image


def page(lines: int, ground: str = "white", ink: str = "black") -> Image.Image:
    """Return a page of prose."""
    image = Image.new("RGB", (600, 60 + 26 * lines), ground)
    drawing, font = ImageDraw.Draw(image), ImageFont.load_default(16)
    for line in range(lines):
        words = WORDS[9 * (line % 3) :]
        drawing.text((30, 30 + 26 * line), words, fill=ink, font=font)
    return image


@pytest.mark.parametrize("name", ["PNG", "JPEG"])
@pytest.mark.parametrize("seed", range(5))
def test_sharpness_measures_a_slight_and_a_strong_blur(measured: Measure, name: str, seed: int) -> None:
    """The small picture for the hashes would not show a blur of 2 pixels."""
    sharp, slight, strong = (
        measured(scene(seed).filter(ImageFilter.GaussianBlur(radius)), name) for radius in (0, 2, 12)
    )
    assert sharp.sharpness > 500
    assert 350 > slight.sharpness > 1.3 * strong.sharpness
    assert ["blurry" in one.flags for one in (sharp, slight, strong)] == [False, True, True]


def test_sharpness_does_not_depend_on_contrast(measured: Measure) -> None:
    """A faded photograph is as sharp as it was."""
    whole, faded = measured(scene(1)), measured(scene(1).point(lambda level: 100 + level // 3))
    assert abs(whole.sharpness - faded.sharpness) < 120
    assert whole.contrast > 2.5 * faded.contrast


def test_one_sharp_part_is_enough(measured: Measure) -> None:
    """Photographers blur the background of a face on purpose."""
    image = scene(2).filter(ImageFilter.GaussianBlur(12))
    image.paste(scene(3).crop((100, 100, 260, 260)), (160, 100))
    assert "blurry" not in measured(image).flags


def test_a_large_picture_is_measured_scaled(measured: Measure) -> None:
    """The scale must be the same for every format."""
    image = scene(4, 1600, 1200)
    assert abs(measured(image).sharpness - measured(image, "JPEG").sharpness) < 120


@pytest.mark.parametrize(
    ("image", "flags"),
    [
        (scene(1), set()),
        (scene(1).point(lambda level: level // 4), {"dark"}),
        (scene(1).point(lambda level: 244 + level // 25), {"light", "low_information"}),
        (scene(1).convert("L"), {"grayscale"}),
        (scene(1).convert("L").convert("RGB"), {"grayscale"}),
        (Image.new("RGB", (300, 300), "teal"), {"low_information"}),
        (Image.new("L", (300, 300), 0), {"dark", "low_information", "grayscale"}),
        (scene(1, 900, 300), {"odd_aspect"}),
        (scene(1, 300, 900), {"odd_aspect"}),
        (scene(1, 840, 300), set()),
        (page(20), {"low_information", "grayscale", "text"}),
        (page(20, "navy", "yellow"), {"low_information", "text"}),
        (page(4), {"low_information", "grayscale", "odd_aspect"}),
    ],
)
def test_each_odd_picture_has_its_flag_alone(measured: Measure, image: Image.Image, flags: set[str]) -> None:
    """A plain photograph has no flag."""
    assert set(measured(image).flags) == flags


def test_measures_of_known_pictures(measured: Measure) -> None:
    """The scale of each measure is part of the interface."""
    halves = Image.new("RGB", (160, 80), "black")
    halves.paste("white", (72, 0, 152, 80))
    assert measured(halves) == Measures(1000, 0, 255, 1275, 1000, 0, 2000, 0)
    colour = measured(Image.new("RGB", (100, 50), "red"))
    assert colour.colourfulness == round(10 * 0.3 * np.hypot(255, 127.5))
    ramp = measured(Image.linear_gradient("L"))
    assert (ramp.darkest, ramp.lightest) == pytest.approx((12, 252), abs=3)
    assert ramp.information == pytest.approx(6400, abs=200)


def test_measures_are_what_their_formulas_say(measured: Measure) -> None:
    """Written again in floating point, window by window."""
    pixels = np.random.default_rng(0).integers(0, 256, (70, 53, 3), np.uint8)
    image = Image.fromarray(pixels)
    grey = np.asarray(image.convert("L"), np.float64)
    red, green, blue = np.moveaxis(pixels.astype(np.float64), 2, 0)
    one, other = red - green, (red + green) / 2 - blue
    lines = [*grey[::8], *grey.T[::8]]
    windows = [line[place : place + 16] for line in lines for place in range(0, len(line) - 15, 16)]
    steepness = [np.abs(np.diff(window)).max() / np.ptp(window) for window in windows if np.ptp(window) >= 32]
    found = measured(image)
    assert found.contrast == round(10 * grey.std())
    assert found.colourfulness == round(
        10 * (np.hypot(one.std(), other.std()) + 0.3 * np.hypot(one.mean(), other.mean()))
    )
    assert found.sharpness == pytest.approx(1000 * np.quantile(steepness, 0.9), abs=10)


@pytest.mark.parametrize("lines", [0, 1, 6, 15])
@pytest.mark.parametrize("name", ["PNG", "JPEG"])
def test_lines_of_text_are_counted(measured: Measure, lines: int, name: str) -> None:
    """Horizontal lines on an even ground are counted."""
    assert measured(page(lines), name).text_lines == lines


@pytest.mark.parametrize("seed", range(10))
def test_a_photograph_has_no_text(measured: Measure, seed: int) -> None:
    """A drawing has none either."""
    assert "text" not in measured(scene(seed)).flags
    drawing = Image.new("RGB", (400, 300), "white")
    drawing.paste(scene(seed, 150, 150), (100, 70))
    assert "text" not in measured(drawing).flags


@pytest.mark.parametrize("flag", FLAGS)
def test_every_flag_is_raised_by_its_measure(flag: str) -> None:
    """The flag begins at the threshold that the documents name."""
    plain = Measures(700, 20, 230, 500, 7000, 400, 1333, 0)
    last, first = {
        "dark": ({"lightest": 82}, {"lightest": 81}),
        "light": ({"darkest": 242, "lightest": 255}, {"darkest": 243, "lightest": 255}),
        "blurry": ({"sharpness": 350}, {"sharpness": 349}),
        "low_information": ({"information": 3000}, {"information": 2999}),
        "grayscale": ({"colourfulness": 20}, {"colourfulness": 19}),
        "odd_aspect": ({"aspect": 2857}, {"aspect": 2858}),
        "text": ({"text_lines": 4}, {"text_lines": 5}),
    }[flag]
    assert plain.flags == evolve(plain, **last).flags == ()
    assert evolve(plain, **first).flags == (flag,)
