"""The arguments that describe a dataset, shared by ``run``, ``plan`` and ``submit``."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path

import rich_click as click
from attrs import evolve

from pixcore import Chunk, InvalidRequest
from pixcore.model.measures import FLAGS
from pixcore_runners.assembly.assembly import Assembly, assemble
from pixcore_runners.cli.conversion import conversion, conversion_options
from pixcore_runners.cli.lists import faults
from pixcore_runners.cli.shell import Shell, with_options
from pixcore_runners.planning.dataset_file import read
from pixcore_runners.planning.dataset_plan import Plan, plan_missing, usable_sources
from pixcore_runners.planning.placeholders import known_placeholders, undecided
from pixcore_runners.planning.saving import saved
from pixcore_runners.planning.spec import DatasetSpec, KeywordSpec
from pixcore_runners.registry.tables import FILTERS
from pixcore_runners.settings import Settings
from pixcore_runners.settings.source_names import FORMS, LICENSES, caution
from pixcore_runners.settings.values import about

# The settings with a flag that a DATASET.toml holds itself.
_IN_THE_FILE = (
    *("source", "license", "chunk_size", "min_width", "min_height", "drop", "near", "keep_rejected"),
    *("placeholder_urls", "placeholders"),
)

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
        InvalidRequest: A value is missing or invalid, or a flag is given that the DATASET.toml has to hold.
    """
    settings = _with_usual_sources(shell)
    if keyword.endswith(".toml"):
        flags = {"count": count, "dataset": dataset, **conversions}
        flags |= {name: shell.loaded.origins[name] == "flag" for name in _IN_THE_FILE}
        if given := [name.replace("_", "-") for name, value in flags.items() if value]:
            raise InvalidRequest(f"--{given[0]} cannot be used with a DATASET.toml; write it into {keyword}")
        spec = read(Path(keyword), settings)
    else:
        keyword_spec = KeywordSpec(settings.source, keyword, count, licenses=settings.license, lists=settings.lists)
        store_as = conversion(conversions)
        known = known_placeholders(settings.placeholders)
        spec = DatasetSpec((keyword_spec,), settings.chunk_size, dataset, settings.quality, store_as, known)
    if unknown := [name for name in spec.quality.filters if name not in FILTERS]:
        raise InvalidRequest(f"there is no filter {unknown[0]!r}; install the package that brings it")
    spec = spec.with_names()
    if left_out := set(shell.settings.source) - set(settings.source) - set(spec.sources):
        shell.say(
            f"{min(left_out)} is left out, because it answers only clients that name a contact address; set user_agent"
        )
    if warning := caution(spec.sources):
        shell.say(warning)
    return spec


def plan_and_save(shell: Shell, spec: DatasetSpec) -> tuple[Assembly, int, Sequence[str]]:
    """Create the chunks that the dataset still lacks; return the assembly, their number, and the changed rules.

    Prints the lists' faults and the changed rules.

    Raises:
        PixcoreError: As for ``plan_missing``, before anything is created; or as for saving.
    """
    made: list[Assembly] = []
    changes: list[str] = []

    def make_plan() -> AbstractContextManager[Plan]:
        reading = made[0] if made else assemble(shell.settings)
        reading.require_dataset(spec.dataset)
        return plan_missing(spec, reading.status, reading)

    def save(plan: Plan) -> Iterator[Chunk]:
        if not made:
            made.append(assemble(shell.settings, create=True))
        if new := made[0].decisions.record(undecided(spec.dataset, spec.placeholders, made[0].decisions)):
            shell.say(f"dataset {spec.dataset}: known placeholders that are excluded from now on: {new}")
        yield from plan.save(made[0].status, made[0].store)
        if reopened := plan.refill(made[0].status):
            shell.say(f"dataset {spec.dataset}: its lists have grown; short chunks reopened: {reopened}")
        lines = [line for summary in plan.summaries for line in faults(summary)]
        changes[:] = plan.changes
        for line in (*lines, *(f"dataset {spec.dataset}: {change}" for change in changes)):
            shell.say(line)

    new = saved(make_plan, save)
    return made[0], new, changes


def _with_usual_sources(shell: Shell) -> Settings:
    """Return the settings. If no source was named, leave out those that require a contact address."""
    settings = shell.settings
    return (
        settings if shell.loaded.origins["source"] != "default" else evolve(settings, source=usable_sources(settings))
    )
