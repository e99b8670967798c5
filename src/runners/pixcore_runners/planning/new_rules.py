"""The rules that ``pixcore apply`` gives to the chunks of a dataset."""

from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any

from attrs import evolve, frozen

from pixcore import InvalidRequest
from pixcore.model.measures import FLAGS
from pixcore.model.quality import NearRule, Quality, TwinRule
from pixcore.model.requests import dataset_name
from pixcore_runners.planning.dataset_file import read
from pixcore_runners.planning.placeholders import known_placeholders
from pixcore_runners.registry.tables import FILTERS
from pixcore_runners.settings import Settings

# The options that are settings of the same name.
SETTINGS = (
    "min_width",
    "min_height",
    "min_sharpness",
    "max_aspect",
    "keep_rejected",
    "placeholder_urls",
    "near",
    "near_phash",
    "near_dhash",
)
NONE = "none"  # in place of a list of names


@frozen
class NewRules:
    """The name of a dataset, what becomes of the rules of a chunk, and known placeholders, as for ``undecided``."""

    dataset: str
    rules: Callable[[Quality], Quality]
    placeholders: Mapping[str, str]


def rules_of_file(path: Path, settings: Settings) -> NewRules:
    """Return the rules of a DATASET.toml. The settings fill what it leaves out.

    Raises:
        InvalidRequest: The file cannot be read, or names a filter that is not installed.
    """
    spec = read(path, settings).with_names()
    _require_filters(spec.quality)
    return NewRules(spec.dataset, lambda before: _with_twins(spec.quality, before), spec.placeholders)


def rules_of_options(
    dataset: str, settings: Settings, given: Mapping[str, bool], drop: str | None, filters: str | None
) -> NewRules:
    """Return the rules of each chunk, changed by the options that were ``given``, by the name of the setting.

    ``drop`` and ``filters`` are names separated by commas, or ``none``; None leaves them as they are.

    Raises:
        InvalidRequest: The dataset cannot have this name, or there is no such flag or filter.
    """
    changed: dict[str, Any] = {
        name: getattr(settings, name) for name in SETTINGS if given.get(name) and not name.startswith("near")
    }
    if drop is not None:
        changed["drop"] = _names(drop, FLAGS, "flag")
    if filters is not None:
        changed["filters"] = _names(filters, [*FILTERS], "filter")

    def rules(before: Quality) -> Quality:
        after = evolve(before, **changed)
        if given.get("near"):
            after = _with_twins(evolve(after, twins=TwinRule(settings.near)), before)
        near = before.near or NearRule()
        bits = {
            "phash": settings.near_phash if given.get("near_phash") else near.phash,
            "dhash": settings.near_dhash if given.get("near_dhash") else near.dhash,
        }
        return evolve(after, near=NearRule(**bits)) if given.get("near_phash") or given.get("near_dhash") else after

    return NewRules(dataset_name(dataset), rules, known_placeholders(settings.placeholders))


def _with_twins(quality: Quality, before: Quality) -> Quality:
    """Return the rules; a chunk that drops copies by hashes keeps to that."""
    keeps = before.twins is TwinRule.HASHES and quality.twins is TwinRule.DROP
    return evolve(quality, twins=TwinRule.HASHES) if keeps else quality


def _names(text: str, known: Collection[str], kind: str) -> tuple[str, ...]:
    names = () if text == NONE else tuple(filter(None, (name.strip() for name in text.split(","))))
    if unknown := [name for name in names if name not in known]:
        raise InvalidRequest(f"there is no {kind} {unknown[0]!r}; use {NONE} or some of: {', '.join(known)}")
    return names


def _require_filters(quality: Quality) -> None:
    if unknown := [name for name in quality.filters if name not in FILTERS]:
        raise InvalidRequest(f"there is no filter {unknown[0]!r}; install the package that brings it")
