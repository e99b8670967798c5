"""``pixcore exclude``: leave images out of a dataset for good."""

import rich_click as click

from pixcore import Decision, DecisionKind
from pixcore_runners.cli.completion import dataset_names
from pixcore_runners.cli.deciding import decision_options, find, record
from pixcore_runners.cli.shell import Shell, shared


@click.command("exclude")
@click.argument("dataset", shell_complete=dataset_names)
@decision_options
@click.option("--and-near", is_flag=True, help="Exclude also every image whose hashes are near, by the dataset's rule.")
@shared
def command(
    shell: Shell, dataset: str, names: tuple[str, ...], listed: str | None, *, reason: str, by: str, and_near: bool
) -> None:
    """Exclude images from DATASET: no later run keeps them, from whichever chunk or address they come.

    An image is named by its sha256, of which the first 8 digits suffice, by its URL, or by the path of a file with the
    same bytes. If one name means no image of the dataset, nothing is recorded. `pixcore include` takes it back.

    Example: `pixcore exclude red-panda 6f2a91c0 --reason "a fox"`
    """
    images = find(shell, dataset, names, listed, by)
    decisions = [
        Decision(
            images.dataset,
            DecisionKind.EXCLUDE,
            sha256,
            near=and_near,
            phash=candidates[0].phash if and_near else "",
            dhash=candidates[0].dhash if and_near else "",
            by=images.by,
            reason=reason,
            at=images.at,
        )
        for sha256, candidates in images.found.items()
    ]
    record(shell, images.assembly, images.dataset, decisions)
