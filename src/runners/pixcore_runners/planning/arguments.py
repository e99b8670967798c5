"""Turn the arguments of a call, such as those of ``pixcore run``, into the dataset that they describe."""

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from attrs import evolve

from pixcore import Conversion, InvalidRequest
from pixcore.redaction import redacted
from pixcore_runners.planning.dataset_file import read
from pixcore_runners.planning.dataset_plan import usable_sources
from pixcore_runners.planning.placeholders import known_placeholders
from pixcore_runners.planning.spec import DatasetSpec, KeywordSpec
from pixcore_runners.registry.tables import FILTERS
from pixcore_runners.settings import Loaded, Settings
from pixcore_runners.settings.source_names import LISTED, caution, parse

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
        _refuse_path(keyword, settings.source, say)
        keyword_spec = KeywordSpec(settings.source, keyword, count, licenses=settings.license, lists=settings.lists)
        known = known_placeholders(settings.placeholders)
        spec = DatasetSpec((keyword_spec,), settings.chunk_size, dataset, settings.quality, store_as, known)
    if unknown := [name for name in spec.quality.filters if name not in FILTERS]:
        raise InvalidRequest(f"there is no filter {unknown[0]!r}; install the package that brings it")
    spec = spec.with_names()
    if not set(settings.source).isdisjoint(spec.sources):  # else it searches none of the usual sources
        for source in sorted(set(loaded.settings.source) - set(settings.source) - set(spec.sources)):
            say(
                f"{source} is left out, because it answers only clients that name a contact address; to search it, too,"
                ' write user_agent = "NAME (YOU@EXAMPLE.ORG)" into pixcore.toml'
            )
    if warning := caution(spec.sources):
        say(warning)
    return spec


def _with_usual_sources(loaded: Loaded) -> Settings:
    """Return the settings. If no source was named, leave out those that require a contact address."""
    settings = loaded.settings
    return settings if loaded.origins["source"] != "default" else evolve(settings, source=usable_sources(settings))


def _refuse_path(keyword: str, sources: Iterable[str], say: Callable[[str], None]) -> None:
    """Refuse a path or a URL in place of a keyword to search for. Call ``say`` if a folder or file has its name.

    Raises:
        InvalidRequest: It is one; the message says how to collect it.
    """
    if not keyword or all(parse(source)[0] in LISTED for source in sources):
        return
    if keyword.startswith(("http://", "https://")):
        raise InvalidRequest(
            f"{redacted(keyword)!r:.200} is a URL, not a keyword; to collect the list at it: --source urls:URL"
        )
    path, is_path = Path(keyword).expanduser(), keyword.startswith((".", "/", "~"))
    try:
        kind = "folder" if path.is_dir() else "urls" if path.is_file() else ""
    except OSError:  # such as a name that is too long
        kind = ""
    if kind:
        what, remedy = f"{keyword!r} is a {'folder' if kind == 'folder' else 'file'}", f"--source {kind}:{keyword}"
        if is_path or "/" in keyword or path.suffix:
            raise InvalidRequest(f"{what}, not a keyword; to collect it: pixcore run {remedy}")
        say(f"{what}, too; this searches for the word; to collect the {what.rpartition(' ')[2]} instead: {remedy}")
    elif is_path:
        raise InvalidRequest(
            f"{keyword!r} looks like a path, but there is no such folder or file; correct it, or search for other words"
        )
