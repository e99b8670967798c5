"""The options that convert images, which several commands share, and what a conversion did."""

from collections.abc import Iterator, Mapping
from typing import Any

import rich_click as click
from attrs import asdict

from pixcore import InvalidRequest
from pixcore.model.conversion import Conversion, Encoding, Resize
from pixcore.stored.converted import ConversionCounts
from pixcore_runners.cli.shell import with_options
from pixcore_runners.observing.logs import escaped

OPTIONS = ("size", "resize", "encode", "quality", "background")

# The command receives these options by name; ``conversion`` takes them.
conversion_options = with_options(
    click.option("--size", type=int, metavar="PIXELS", help="Resize images to this size. Default: their own."),
    click.option(
        "--resize",
        type=click.Choice([str(name) for name in Resize]),
        help="keep-ratio, the default: the shorter side becomes the size. no-upscale: only if it is longer. crop:"
        " then the middle square is cut out. border: the longer side becomes the size, and a border makes a square.",
    ),
    click.option(
        "--encode",
        type=click.Choice([str(name) for name in Encoding]),
        help="Encode images again in this format. Default with --size: jpg.",
    ),
    click.option("--quality", type=int, metavar="N", help="Of jpg, webp and avif, 1 to 100. Default: 90."),
    click.option(
        "--background", metavar="COLOUR", help="Of transparent parts and borders, such as #808080. Default: white."
    ),
)


def conversion(given: Mapping[str, object]) -> Conversion | None:
    """Return the conversion that the options name, or None if they name none.

    Raises:
        InvalidRequest: A value is out of range, or an option has no effect without another one.
    """
    named: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
    if not named:
        return None
    if not {"size", "resize", "encode"} & named.keys():
        raise InvalidRequest(f"--{next(iter(named))} has no effect alone; add --size or --encode")
    return Conversion(**named)


def document(counts: ConversionCounts) -> dict[str, Any]:
    """Return what a conversion did, as JSON values."""
    return {
        "images": counts.images,
        "changes": counts.by_change(),
        "left_out": counts.by_reason(),
        "left_out_images": [asdict(image) for image in counts.left_out],
    }


def lines(how: Conversion, counts: ConversionCounts) -> Iterator[str]:
    """Yield lines that say what a conversion did, and which images it left out."""
    yield f"converted to {how.described()}: {counts.images}"
    yield from (f"  {name}: {count}" for name, count in counts.by_change().items())
    for image in counts.left_out:
        detail = f": {image.detail}" if image.detail else ""
        yield escaped(f"left out, because it cannot be converted: {image.name} ({image.url}): {image.reason}{detail}")
    if counts.left_out:
        reasons = ", ".join(f"{reason}: {count}" for reason, count in counts.by_reason().items())
        yield f"images that were left out, because they cannot be converted: {len(counts.left_out)} ({reasons})"
