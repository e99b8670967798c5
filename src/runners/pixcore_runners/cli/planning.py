"""The arguments that say what is wanted, shared by ``run`` and ``plan``."""

from pathlib import Path

import rich_click as click
from attrs import evolve

from pixcore import InvalidRequest
from pixcore_runners.cli.shell import Shell, adding
from pixcore_runners.planning.dataset_file import read
from pixcore_runners.planning.dataset_plan import DatasetSpec, KeywordSpec, usable_sources
from pixcore_runners.settings import Settings
from pixcore_runners.settings.source_names import FORMS, LICENSES, caution

# The command gets `keyword`, `count` and `dataset`; the others are settings.
wanting = adding(
    click.argument("keyword", metavar="[KEYWORD | DATASET.toml]", default=""),
    click.option(
        "--source",
        multiple=True,
        metavar="SOURCE",
        help=f"Where images come from: {', '.join(FORMS)}. Repeatable; openverse and commons by default.",
    ),
    click.option(
        "--count",
        type=int,
        metavar="N",
        help="How many images you want; for folders and lists by default all that they hold.",
    ),
    click.option("--license", metavar="SLUGS", help=f"Only images under these licences, of {', '.join(LICENSES)}."),
    click.option("--chunk-size", type=int, metavar="N", help="Images in a chunk, 500 by default."),
    click.option("--dataset", default="", metavar="NAME", help="By default called as the keyword."),
    click.option("--keep-pages", metavar="DIR", help="Keep the pages of sources that could not be read in DIR."),
)


def wanted(shell: Shell, keyword: str, count: int | None, dataset: str) -> DatasetSpec:
    """What these arguments mean, with the names left out filled in; says what the person should know of it.

    Raises:
        InvalidRequest: Something is missing or impossible, or a flag repeats what the DATASET.toml says.
    """
    settings = _with_usual_sources(shell)
    if keyword.endswith(".toml"):
        flags = {"count": count, "dataset": dataset}
        flags |= {name: shell.loaded.origins[name] == "flag" for name in ("source", "license", "chunk_size")}
        if given := [name.replace("_", "-") for name, value in flags.items() if value]:
            raise InvalidRequest(f"--{given[0]} is for a keyword on the command line; write it into {keyword}")
        wish = read(Path(keyword), settings)
    else:
        one = KeywordSpec(settings.source, keyword, count, licenses=settings.license)
        wish = DatasetSpec((one,), settings.chunk_size, dataset, settings.quality)
    wish = wish.with_names()
    if left_out := set(shell.settings.source) - set(settings.source) - set(wish.sources):
        shell.say(f"{min(left_out)} is left out: it answers only those who say how to reach them; set user_agent")
    if told := caution(wish.sources):
        shell.say(told)
    return wish


def _with_usual_sources(shell: Shell) -> Settings:
    """The settings; where nobody named a source, without those that the user agent keeps from answering."""
    settings = shell.settings
    return (
        settings if shell.loaded.origins["source"] != "default" else evolve(settings, source=usable_sources(settings))
    )
