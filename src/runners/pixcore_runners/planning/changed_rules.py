"""Say which rules of a dataset differ from those that its existing chunks were planned with."""

from collections.abc import Collection, Iterator

from attrs import asdict

from pixcore.model.quality import NearRule, Quality, TwinRule


def changed_rules(quality: Quality, chunk_size: int, planned: Collection[Quality], largest: int) -> Iterator[str]:
    """Yield a sentence for the rules, and one for the size of the chunks, if they differ. Yield nothing otherwise.

    Args:
        quality: The rules that are asked for now.
        chunk_size: The size of the chunks that is asked for now.
        planned: The rules of the existing chunks.
        largest: The target of the largest existing chunk, 0 if there is none.
    """
    now = _named(quality)
    changes = {
        f"{name} = {_shown(old)} instead of {_shown(now[name])}"
        for each in planned
        for name, old in _named(each).items()
        if old != now.get(name, old)
    }
    if changes:
        yield (
            f"existing chunks were planned with {', '.join(sorted(changes))}, and keep that; to apply the new rules to"
            " every image, plan another dataset with --dataset"
        )
    if largest > chunk_size:
        yield (
            f"existing chunks have up to {largest} images each, and keep that; chunk_size = {chunk_size} is only for"
            " new chunks"
        )


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
