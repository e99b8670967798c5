"""Make the pictures of the documents, in docs/images: terminals as SVG, pages in Chromium as WebP.

Every picture shows real output. The images are painted by the demo and served on loopback, with copies, damaged files
and dead links among them, so that no photograph of other people is in the repository. `python3 dev.py pictures` runs
this.
"""

import os
import subprocess
import sys
from base64 import b64decode
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from PIL import Image
from rich.text import Text
from terminal import picture, record

ROOT = Path(__file__).parents[2]
IMAGES = ROOT / "docs" / "images"
sys.path.insert(0, str(ROOT / "tests"))

from browser.chromium import Browser, browser  # noqa: E402 - the path above
from reader import PICTURES, network  # noqa: E402

from pixcore_runners.demo.pictures import distinct  # noqa: E402
from pixcore_runners.demo.scenes import SCENES  # noqa: E402

KEYWORD = "sailing boat"
FOUND = 240  # as many as Openverse returns for a query
LISTED = 600  # further pictures, for a list
MOST = 150_000  # bytes of a picture
SCREEN = {"viewport": {"width": 1180, "height": 1240}, "colorScheme": "light", "reducedMotion": "reduce"}
PHONE = {
    "viewport": {"width": 390, "height": 844},
    "deviceScaleFactor": 1.5,
    "colorScheme": "dark",
    "isMobile": True,
    "hasTouch": True,
}
REVIEW = {**SCREEN, "viewport": {"width": 1180, "height": 760}}


def main() -> None:
    """Make all pictures."""
    with TemporaryDirectory() as folder, TemporaryDirectory(prefix="ann", dir="/tmp") as short:
        home = Path(short)
        with network(Path(folder), painted(), KEYWORD.capitalize()) as way:
            around = {**os.environ, **way, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
            (home / "pixcore.toml").write_text('user_agent = "ann (ann@example.org)"\nsource = ["openverse"]\n')
            asked = f'"{KEYWORD}" --count 60 --license cc0,by'
            terminal("plan", record(f"pixcore plan {asked}", home, around))
            terminal("run", record(f"pixcore run {asked}", home, around, every=0.7))
            terminal("outcomes", record("pixcore outcomes sailing-boat --reason near_duplicate", home, around))
            subprocess.run(
                ["pixcore", "report", "sailing-boat", "--out", "boats.html"], cwd=home, env=around, check=True
            )
            with browser() as chromium:
                chromium.open(home / "boats.html", **SCREEN)
                page(chromium, "report")
                chromium.open(home / "boats.html", **PHONE)
                page(chromium, "report-phone")
                with serving(home, around) as link:
                    review(chromium, link)
            watch(home, around)
        [demo] = record("pixcore demo", home, {**os.environ, "PATH": around["PATH"]})
        terminal("demo", [demo[: demo.plain.index("Files made:")]])


def painted() -> list[bytes | None]:
    """Paint the files of the collection: pictures, and some copies, damaged files and dead links among them."""
    new = distinct(SCENES[KEYWORD], np.random.default_rng(1))
    good = [next(new).data for _ in range(90)]
    files: list[bytes | None] = []
    for number in range(FOUND):
        one = good[number % len(good)]  # pages of results that the keyword does not need have them again
        if number % 29 == 17:
            files.append(None)
        elif number % 23 == 13:
            files.append(one[:9000])
        elif number % 16 == 9:
            files.append(smaller(good[(number - 3) % len(good)]))
        else:
            files.append(one)
    jpegs = [data for data in good if data.startswith(b"\xff\xd8")]
    # a comment makes the bytes of each one differ
    return files + [
        jpegs[number % len(jpegs)][:2] + b"\xff\xfe\x00\x04" + number.to_bytes(2) + jpegs[number % len(jpegs)][2:]
        for number in range(LISTED)
    ]


def smaller(data: bytes) -> bytes:
    """Return a copy of a picture at two thirds of its size."""
    with Image.open(BytesIO(data)) as image:
        copy = image.convert("RGB").resize((image.width * 2 // 3, image.height * 2 // 3))
    file = BytesIO()
    copy.save(file, "JPEG", quality=80)
    return file.getvalue()


def terminal(name: str, screens: list[Text]) -> None:
    """Write the picture of a terminal."""
    few = [*screens[:-1][-3:], screens[-1]]
    write(IMAGES / f"{name}.svg", picture(few, "pixcore").encode())


def page(chromium: Browser, name: str) -> None:
    """Write the picture of what the browser shows."""
    with Image.open(BytesIO(b64decode(chromium("screenshot", {"type": "png"})))) as shown:
        file = BytesIO()
        shown.convert("RGB").save(file, "WEBP", quality=82, method=6)
    write(IMAGES / f"{name}.webp", file.getvalue())


def write(path: Path, data: bytes) -> None:
    """Write a picture that is small enough for a repository."""
    if len(data) > MOST:
        raise ValueError(f"{path.name} has {len(data)} bytes, more than {MOST}")
    path.write_bytes(data)
    print(f"{path.relative_to(ROOT)}: {len(data):,} bytes")


@contextmanager
def serving(home: Path, around: dict[str, str]) -> Iterator[str]:
    """Run a review, and yield its link."""
    with subprocess.Popen(
        ["pixcore", "review", "sailing-boat", "--by", "ann"], cwd=home, env=around, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout
        yield process.stdout.readline().strip()
        process.terminate()


def review(chromium: Browser, link: str) -> None:
    """Put two images out and give one a label, then take the picture."""
    chromium.visit(link, **REVIEW)
    chromium("waitForTimeout", 3000)
    for key in ("ArrowRight", "x", "ArrowRight", "ArrowRight", "x", "ArrowRight", "ArrowRight"):
        chromium("keyboard.press", key)
    chromium("waitForTimeout", 1000)
    page(chromium, "review")


def watch(home: Path, around: dict[str, str]) -> None:
    """Collect a list in small chunks, and watch it."""
    lines = [f"https://{PICTURES}/{number}.jpg" for number in range(FOUND, FOUND + LISTED)]
    (home / "list.txt").write_text("\n".join(lines))
    command = [
        "pixcore",
        "run",
        "--source",
        "urls:list.txt",
        "--dataset",
        "boats",
        "--chunk-size",
        "40",
        "--near",
        "off",
    ]
    with subprocess.Popen([*command, "--workers", "2", "--quiet"], cwd=home, env=around, stdout=subprocess.DEVNULL):
        screens = record("sleep 2; pixcore status boats --watch", home, around, every=2)
    middle = screens[len(screens) * 2 // 3]
    middle = Text("\n").join([Text.assemble(("$ ", "green"), "pixcore status boats --watch"), *middle.split("\n")[1:]])
    terminal("watch", [middle])


if __name__ == "__main__":
    main()
