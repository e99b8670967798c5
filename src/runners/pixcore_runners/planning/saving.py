"""Save a plan while chunks of the dataset are running."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager

from pixcore import Chunk, PlanOutdated
from pixcore_runners.assembly.assembly import Assembly, assemble
from pixcore_runners.planning.dataset_plan import Plan, plan_missing
from pixcore_runners.planning.list_summaries import faults
from pixcore_runners.planning.placeholders import undecided
from pixcore_runners.planning.spec import DatasetSpec
from pixcore_runners.settings import Settings

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


def plan_and_save(
    settings: Settings, spec: DatasetSpec, say: Callable[[str], None]
) -> tuple[Assembly, int, Sequence[str]]:
    """Create the chunks that the dataset still lacks; return the assembly, their number, and the changed rules.

    Calls ``say`` with the lists' faults and the changed rules.

    Raises:
        PixcoreError: As for ``plan_missing``, before anything is created; or as for saving.
    """
    made: list[Assembly] = []
    changes: list[str] = []

    def make_plan() -> AbstractContextManager[Plan]:
        reading = made[0] if made else assemble(settings)
        reading.require_dataset(spec.dataset)
        return plan_missing(spec, reading.status, reading)

    def save(plan: Plan) -> Iterator[Chunk]:
        if not made:
            made.append(assemble(settings, create=True))
        if new := made[0].decisions.record(undecided(spec.dataset, spec.placeholders, made[0].decisions)):
            say(f"dataset {spec.dataset}: known placeholders that are excluded from now on: {new}")
        yield from plan.save(made[0].status, made[0].store)
        if reopened := plan.refill(made[0].status):
            say(f"dataset {spec.dataset}: its lists have grown; short chunks reopened: {reopened}")
        lines = [line for summary in plan.summaries for line in faults(summary)]
        changes[:] = plan.changes
        for line in (*lines, *(f"dataset {spec.dataset}: {change}" for change in changes)):
            say(line)

    new = saved(make_plan, save)
    return made[0], new, changes
