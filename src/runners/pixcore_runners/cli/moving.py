"""What the commands share that move or delete the blobs of a dataset."""

from collections.abc import Sequence
from itertools import count

from pixcore.stored.moving import Mover
from pixcore_runners.assembly.assembly import Assembly
from pixcore_runners.cli.shell import Shell

_NAMED = 10  # keys that are listed at most
_REPORTED = 1000  # blobs after which their number is printed


def mover(shell: Shell, assembly: Assembly) -> Mover:
    """Return what copies and deletes blobs of the store, and prints their number from time to time."""
    handled = count(1)

    def done() -> None:
        if (number := next(handled)) % _REPORTED == 0:
            shell.say(f"blobs: {number}")

    return Mover(assembly.store, assembly.status.identity, done)


def name_the_rest(shell: Shell, left: Sequence[str]) -> None:
    """Say which blobs stay because pixcore did not write them for the dataset."""
    if left:
        more = f" and {len(left) - _NAMED} more" if len(left) > _NAMED else ""
        shell.say(f"left, because pixcore did not write them for this dataset: {', '.join(left[:_NAMED])}{more}")
