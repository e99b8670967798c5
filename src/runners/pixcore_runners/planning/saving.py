"""Save a plan while chunks of the dataset are running."""

from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager

from pixcore import Chunk, PlanOutdated
from pixcore_runners.planning.dataset_plan import Plan

_TRIES = 30  # of a plan that running chunks make outdated


def saved(make_plan: Callable[[], AbstractContextManager[Plan]], save: Callable[[Plan], Iterable[Chunk]]) -> int:
    """Plan and save; return the number of new chunks. Plan again if running chunks took candidates meanwhile.

    Raises:
        PlanOutdated: That happened too often.
        PixcoreError: As for planning and saving.
    """
    new, tries = 0, 0
    while True:
        tries += 1
        try:
            with make_plan() as plan:
                for _ in save(plan):
                    new += 1
        except PlanOutdated:
            if tries == _TRIES:
                raise
        else:
            return new
