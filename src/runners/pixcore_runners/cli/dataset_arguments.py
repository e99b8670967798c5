"""The arguments that describe a dataset, shared by ``run``, ``plan`` and ``submit``."""

from collections.abc import Mapping, Sequence

import rich_click as click

from pixcore.model.measures import FLAGS
from pixcore_runners.assembly.assembly import Assembly
from pixcore_runners.cli.conversion import conversion, conversion_options
from pixcore_runners.cli.shell import Shell, with_options
from pixcore_runners.planning.arguments import spec_of
from pixcore_runners.planning.saving import plan_and_save as save_plan
from pixcore_runners.planning.spec import DatasetSpec
from pixcore_runners.settings.source_names import FORMS, LICENSES
from pixcore_runners.settings.values import about

# Both are settings.
placeholder_options = with_options(
    click.option("--placeholder-urls", type=int, metavar="N", help=about("placeholder_urls").help),
    click.option("--placeholders", multiple=True, metavar="FILE|SHA256", help=about("placeholders").help),
)

# The command receives `keyword`, `count`, `dataset` and the options of a conversion. The others are settings.
spec_options = with_options(
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
        help="Number of images; for folders and lists, default: all that they hold.",
    ),
    click.option("--license", metavar="SLUGS", help=f"Only images under these licences: {', '.join(LICENSES)}."),
    click.option("--chunk-size", type=int, metavar="N", help="Images in a chunk. Default: 500."),
    click.option("--min-width", type=int, metavar="PIXELS", help="Reject narrower images. Default: 50."),
    click.option("--min-height", type=int, metavar="PIXELS", help="Reject shorter images. Default: 50."),
    click.option("--drop", metavar="FLAGS", help=f"Reject images with these flags: {', '.join(FLAGS)}."),
    click.option("--near", metavar="RULE", help="Copies of one picture in a chunk: drop (default), report or off."),
    click.option("--keep-rejected", is_flag=True, default=None, help=about("keep_rejected").help),
    placeholder_options,
    click.option("--dataset", default="", metavar="NAME", help="Name of the dataset. Default: the keyword."),
    *(
        click.option(f"--{name.replace('_', '-')}", metavar=metavar, help=about(name).help)
        for name, metavar in {
            "list_format": "FORMAT",
            "list_encoding": "NAME",
            "url_column": "COLUMN",
            "caption_column": "COLUMN",
            "label_column": "COLUMN",
            "license_column": "COLUMN",
            "columns": "COLUMNS",
            "keep_columns": "COLUMNS",
            "drop_columns": "COLUMNS",
            "verify_hash": "KIND:COLUMN",
            "label_from": "folder|none",
        }.items()
    ),
    click.option("--accept-junk", is_flag=True, default=None, help=about("accept_junk").help),
    conversion_options,
    click.option("--keep-pages", metavar="DIR", help="Store result pages that could not be parsed in DIR."),
)


def dataset_spec(
    shell: Shell, keyword: str, count: int | None, dataset: str, conversions: Mapping[str, object]
) -> DatasetSpec:
    """Return the dataset that the arguments describe, with missing names filled in. Prints warnings about its sources.

    Raises:
        InvalidRequest: As for ``spec_of``; or as for ``conversion``.
    """
    store_as = None if keyword.endswith(".toml") else conversion(conversions)  # the file holds its own
    return spec_of(shell.loaded, keyword, count, dataset, store_as, others=conversions, say=shell.say)


def plan_and_save(shell: Shell, spec: DatasetSpec) -> tuple[Assembly, int, Sequence[str]]:
    """Create the chunks that the dataset still lacks; see ``pixcore_runners.planning.saving.plan_and_save``."""
    return save_plan(shell.settings, spec, shell.say)
