"""The arguments that say what is wanted, shared by ``run`` and ``plan``."""

import rich_click as click

from pixcore_runners.cli.shell import adding
from pixcore_runners.datasets import Wanted
from pixcore_runners.settings import Settings

# The command gets `keyword`, `count` and `dataset`; the others are settings.
wanting = adding(
    click.argument("keyword", default=""),
    click.option(
        "--source", multiple=True, metavar="SOURCE", help="Where images come from: folder:DIR or urls:LIST. Repeatable."
    ),
    click.option(
        "--count", type=int, metavar="N", help="How many images you want; by default all that the sources hold."
    ),
    click.option("--chunk-size", type=int, metavar="N", help="Images in a chunk, 500 by default."),
    click.option("--dataset", default="", metavar="NAME", help="By default called as the keyword."),
)


def wanted(settings: Settings, keyword: str, count: int | None, dataset: str) -> Wanted:
    """What these arguments mean, with the names left out filled in."""
    return Wanted(
        sources=settings.source, chunk_size=settings.chunk_size, keyword=keyword, dataset=dataset, count=count
    ).named()
