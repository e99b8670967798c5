"""Collect pictures of a folder, list those that were left out, and draw the others on one sheet.

Run it with a folder: ``python examples/contact_sheet.py ./photos``. It type-checks with mypy and pyright.
"""

import sys

from PIL import Image

import pixcore as px

SIDE, COLUMNS = 128, 8


def sheet(pictures: list[px.Picture]) -> Image.Image:
    """Draw small copies of the pictures side by side."""
    rows = -(-len(pictures) // COLUMNS)
    drawn = Image.new("RGB", (COLUMNS * SIDE, rows * SIDE), "white")
    for number, picture in enumerate(pictures):
        small = picture.image.convert("RGB")
        small.thumbnail((SIDE, SIDE))
        drawn.paste(small, (number % COLUMNS * SIDE, number // COLUMNS * SIDE))
    return drawn


def main(folder: str) -> int:
    """Write sheet.png and report.html; return the exit code."""
    try:
        ds: px.Dataset = px.collect(source=f"folder:{folder}", min_width=64, min_height=64)
    except px.NoValidImages as error:
        sys.stderr.write(f"{error}\n")
        return 1
    sheet(ds[:64]).save("sheet.png")
    report = ds.report().save("report.html")
    left_out = ", ".join(f"{count} {reason}" for reason, count in ds.left_out.items())
    sys.stdout.write(f"{len(ds)} images of {', '.join(ds.labels)}; left out: {left_out or 'none'}; see {report}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
