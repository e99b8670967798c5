"""Say which rules of a dataset differ from those that its existing chunks were planned with."""

import shlex
from collections.abc import Collection, Iterator

from attrs import asdict

from pixcore.model.quality import NearRule, Quality, TwinRule


def changed_rules(
    quality: Quality, chunk_size: int, planned: Collection[Quality], largest: int, dataset: str, *, divided: bool
) -> Iterator[str]:
    """Yield a sentence for the rules, and one for the size of the chunks, if they differ. Yield nothing otherwise.

    Args:
        quality: The rules that are asked for now.
        chunk_size: The size of the chunks that is asked for now.
        planned: The rules of the existing chunks.
        largest: The target of the largest existing chunk, 0 if there is none.
        dataset: What ``pixcore apply`` takes: the name of the dataset, or the file that describes it.
        divided: Whether a keyword has several chunks. If not, smaller chunks may be all that was asked for.
    """
    if changes := sorted({change for each in planned for change in differences(each, quality)}):
        options = "" if dataset.endswith(".toml") else "".join(_options(quality, planned))
        yield (
            f"existing chunks were planned with {', '.join(changes)}, and keep that; to apply the new rules to every"
            f" stored image: pixcore apply {shlex.quote(dataset)}{options}"
        )
    if largest > chunk_size or (divided and largest < chunk_size):
        yield (
            f"existing chunks have up to {largest} images each, and keep that; chunk_size = {chunk_size} is only for"
            " new chunks"
        )


def differences(before: Quality, after: Quality) -> Iterator[str]:
    """Yield each rule that differs, with both values, such as ``min_width = 50 instead of 300``."""
    now = _named(after)
    for name, old in _named(before).items():
        if old != now.get(name, old):
            yield f"{name} = {_shown(old)} instead of {_shown(now[name])}"


def _options(quality: Quality, planned: Collection[Quality]) -> Iterator[str]:
    """Yield the options of ``pixcore apply`` for the rules that differ."""
    for name, value in _named(quality).items():
        if any(_named(each).get(name, value) != value for each in planned):
            option = name.replace("_", "-")
            if isinstance(value, bool):
                yield f" --{option}" if value else f" --no-{option}"
            else:
                text = ",".join(value) if isinstance(value, tuple) else str(value)
                yield f" --{option} {shlex.quote(text)}"


def _named(quality: Quality) -> dict[str, object]:
    """Return the rules by the names of their settings."""
    rules: dict[str, object] = asdict(quality, recurse=False)
    near = rules.pop("near")
    if isinstance(near, NearRule):
        rules |= {"near_phash": near.phash, "near_dhash": near.dhash}
    twins = rules.pop("twins")
    # a dataset that drops by hashes keeps to that by design; new chunks of it do, too
    return rules | {"near": str(TwinRule.DROP if twins is TwinRule.HASHES else twins)}


def _shown(value: object) -> str:
    return ",".join(map(str, value)) or "none" if isinstance(value, tuple) else str(value)
