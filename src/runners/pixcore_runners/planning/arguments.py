"""Turn the arguments of a call, such as those of ``pixcore run``, into the dataset that they describe."""

from collections.abc import Callable, Mapping
from pathlib import Path

from attrs import evolve

from pixcore import Conversion, InvalidRequest
from pixcore_runners.planning.dataset_file import read
from pixcore_runners.planning.dataset_plan import usable_sources
from pixcore_runners.planning.placeholders import known_placeholders
from pixcore_runners.planning.spec import DatasetSpec, KeywordSpec
from pixcore_runners.registry.tables import FILTERS
from pixcore_runners.settings import Loaded, Settings
from pixcore_runners.settings.source_names import caution

# The settings with a flag that a DATASET.toml holds itself.
_IN_THE_FILE = (
    *("source", "license", "chunk_size", "min_width", "min_height", "drop", "near", "keep_rejected"),
    *("placeholder_urls", "placeholders"),
)


def spec_of(
    loaded: Loaded,
    keyword: str,
    count: int | None,
    dataset: str,
    store_as: Conversion | None,
    *,
    others: Mapping[str, object],
    say: Callable[[str], None],
) -> DatasetSpec:
    """Return the dataset that the arguments describe, with missing names filled in.

    Args:
        loaded: The settings, and where each comes from.
        keyword: What to search for, or the path of a DATASET.toml.
        count: The number of images; None for all that folders and lists hold.
        dataset: Its name; ``""`` for that of the keyword.
        store_as: How images are stored; None for the original bytes.
        others: Further options, by name, that a DATASET.toml holds itself.
        say: Is called with warnings about the sources.

    Raises:
        InvalidRequest: A value is missing or invalid, or a flag is given that the DATASET.toml has to hold.
    """
    settings = _with_usual_sources(loaded)
    if keyword.endswith(".toml"):
        flags = {"count": count, "dataset": dataset, **others}
        flags |= {name: loaded.origins[name] == "flag" for name in _IN_THE_FILE}
        if given := [name.replace("_", "-") for name, value in flags.items() if value]:
            raise InvalidRequest(f"--{given[0]} cannot be used with a DATASET.toml; write it into {keyword}")
        spec = read(Path(keyword), settings)
    else:
        keyword_spec = KeywordSpec(settings.source, keyword, count, licenses=settings.license, lists=settings.lists)
        known = known_placeholders(settings.placeholders)
        spec = DatasetSpec((keyword_spec,), settings.chunk_size, dataset, settings.quality, store_as, known)
    if unknown := [name for name in spec.quality.filters if name not in FILTERS]:
        raise InvalidRequest(f"there is no filter {unknown[0]!r}; install the package that brings it")
    spec = spec.with_names()
    if left_out := set(loaded.settings.source) - set(settings.source) - set(spec.sources):
        say(f"{min(left_out)} is left out, because it answers only clients that name a contact address; set user_agent")
    if warning := caution(spec.sources):
        say(warning)
    return spec


def _with_usual_sources(loaded: Loaded) -> Settings:
    """Return the settings. If no source was named, leave out those that require a contact address."""
    settings = loaded.settings
    return settings if loaded.origins["source"] != "default" else evolve(settings, source=usable_sources(settings))
