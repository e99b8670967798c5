"""``pixcore include``: keep images that were excluded or rejected."""

from collections.abc import Sequence

import rich_click as click

from pixcore import Decision, DecisionKind, InvalidRequest, RejectReason
from pixcore.model.outcomes import ACCEPTED
from pixcore.stored.named_images import NamedImage
from pixcore_runners.cli.completion import dataset_names
from pixcore_runners.cli.deciding import NamedImages, decision_options, find, record
from pixcore_runners.cli.shell import Shell, shared


@click.command("include")
@click.argument("dataset", shell_complete=dataset_names)
@decision_options
@shared
def command(shell: Shell, dataset: str, names: tuple[str, ...], listed: str | None, *, reason: str, by: str) -> None:
    """Include images in DATASET: take their exclusion back, or overrule the rule that rejected them.

    An included image passes the rules for sizes, measures and copies in every later run. Damaged images, those that
    exceed a limit of the decoder, and equal bytes are still left out. Images are named as for `pixcore exclude`. A
    rejected image can be included if its bytes were kept, with --keep-rejected.

    Example: `pixcore include red-panda 6f2a91c0`
    """
    images = find(shell, dataset, names, listed, by)
    excluded = _excluded(images)
    for sha256, candidates in images.found.items():
        _require_possible(sha256, candidates, was_excluded=sha256 in excluded)
    absent = sum(not any(each.is_stored for each in candidates) for candidates in images.found.values())
    decisions = [
        Decision(images.dataset, DecisionKind.INCLUDE, sha256, by=images.by, reason=reason, at=images.at)
        for sha256 in images.found
    ]
    record(shell, images.assembly, images.dataset, decisions)
    if absent:
        shell.say(f"the bytes of {absent} of these images are not stored; a run that fetches them again keeps them")


def _excluded(images: NamedImages) -> frozenset[str]:
    """Return which of the images were excluded by a decision that is recorded."""
    stored = images.assembly.decisions.read(images.dataset)
    return frozenset(
        each.sha256 for each in stored if each.kind is DecisionKind.EXCLUDE and each.sha256 in images.found
    )


def _require_possible(sha256: str, candidates: Sequence[NamedImage], *, was_excluded: bool) -> None:
    """Refuse an image that no decision can bring into the dataset.

    Raises:
        InvalidRequest: It is damaged or exceeds a limit, or its bytes are gone.
    """
    outcomes = {each.outcome for each in candidates}
    possible = outcomes & {ACCEPTED, RejectReason.EXCLUDED, RejectReason.PLACEHOLDER}
    if was_excluded or possible or any(each.is_stored for each in candidates):
        return
    name = candidates[0].url or sha256
    if not any(each.is_overrulable for each in candidates):
        raise InvalidRequest(
            f"{name} was rejected as {min(outcomes)}, which no decision overrules; nothing was recorded"
        )
    raise InvalidRequest(
        f"{name} was rejected as {min(outcomes)} and its bytes were not kept, so nothing was recorded; plan the dataset"
        " with --keep-rejected to keep them"
    )
