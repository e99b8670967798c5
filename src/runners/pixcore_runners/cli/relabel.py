"""``pixcore relabel``: give images of a dataset another label."""

import rich_click as click

from pixcore import Decision, DecisionKind
from pixcore_runners.cli.completion import dataset_names
from pixcore_runners.cli.deciding import decision_options, find, record
from pixcore_runners.cli.shell import Shell, shared


@click.command("relabel")
@click.argument("dataset", shell_complete=dataset_names)
@click.argument("label")
@decision_options
@shared
def command(
    shell: Shell, dataset: str, label: str, names: tuple[str, ...], *, listed: str | None, reason: str, by: str
) -> None:
    """Give images of DATASET the label LABEL, in every later run. Images are named as for `pixcore exclude`.

    To take it back, relabel them with the label that they had.

    Example: `pixcore relabel red-panda fox 6f2a91c0`
    """
    images = find(shell, dataset, names, listed, by)
    decisions = [
        Decision(images.dataset, DecisionKind.RELABEL, sha256, label=label, by=images.by, reason=reason, at=images.at)
        for sha256 in images.found
    ]
    record(shell, images.assembly, images.dataset, decisions)
