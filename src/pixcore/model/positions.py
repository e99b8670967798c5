"""The candidates of a chunk by number, and how far the lists of a dataset are claimed.

A chunk's candidates are numbered from 0 through all of its slices, in order. Slices are only ever added at the end, so
a number keeps its meaning.
"""

from collections.abc import Iterable, Sequence

from attrs import evolve, frozen

from pixcore.model.images import CandidateKey
from pixcore.model.requests import Slice


@frozen
class Allocation:
    """Which candidates of one list the chunks of a dataset have claimed.

    All positions before ``next`` are claimed, except those that chunks gave back; none is from there on.

    Attributes:
        source: The source's name.
        query: The query that the list belongs to.
        next: The position after the last claimed one.
        stop: The length of the longest listing that was planned with.
        snapshot: The prefix of that listing's blobs.
        licenses: As in a ``Slice``: a list limited to other licences is another list.
        returned: The ranges ``(start, stop)`` before ``next`` that chunks gave back, by rising position.
        ran_out: Whether a chunk found no unclaimed candidate when it needed one.
        columns: The columns of the list's chunks, as in a ``ChunkRequest``.
    """

    source: str
    query: str
    next: int
    stop: int
    snapshot: str
    licenses: str = ""
    returned: tuple[tuple[int, int], ...] = ()
    ran_out: bool = False
    columns: tuple[tuple[str, str], ...] = ()

    @property
    def free(self) -> tuple[tuple[int, int], ...]:
        """The unclaimed ranges ``(start, stop)``, by rising position."""
        rest = ((self.next, self.stop),) if self.next < self.stop else ()
        return (*self.returned, *rest)

    @property
    def unclaimed(self) -> int:
        """How many candidates no chunk has."""
        return sum(stop - start for start, stop in self.free)

    def is_free(self, start: int, stop: int) -> bool:
        """Return whether no chunk has a position of ``[start, stop)``. Positions after the end of the list are free."""
        return start >= self.next or any(first <= start and stop <= last for first, last in self.returned)

    def claimed(self, start: int, stop: int) -> "Allocation":
        """Return the allocation after ``[start, stop)`` was claimed. Unclaimed positions before it stay unclaimed."""
        ranges = (*self.returned, (self.next, max(self.next, start)))
        left = [part for first, last in ranges for part in ((first, min(last, start)), (max(first, stop), last))]
        return evolve(self, next=max(self.next, stop), returned=tuple(part for part in left if part[0] < part[1]))

    def given_back(self, start: int, stop: int) -> "Allocation":
        """Return the allocation after a chunk gave ``[start, stop)`` back."""
        ranges: list[tuple[int, int]] = []
        for first, last in sorted([*self.returned, (start, stop)]):
            if ranges and ranges[-1][1] == first:
                first = ranges.pop()[0]  # noqa: PLW2901 - joined to the range before
            ranges.append((first, last))
        end = ranges.pop()[0] if ranges[-1][1] == self.next else self.next
        return evolve(self, next=end, returned=tuple(ranges))


def candidate_number(slices: Iterable[Slice], key: CandidateKey) -> int | None:
    """Return the number of a candidate in the slices; None if it is in none of them."""
    passed = 0
    for slice_ in slices:
        if (slice_.source, slice_.query) == (key.source, key.query) and slice_.start <= key.position < slice_.stop:
            return passed + key.position - slice_.start
        passed += len(slice_)
    return None


def listed_key(slices: Iterable[Slice], number: int) -> CandidateKey | None:
    """Return the key of the candidate of that number; None if it comes from no list, so that it may change."""
    for slice_ in slices:
        if number < len(slice_):
            return CandidateKey(slice_.source, slice_.query, slice_.start + number) if slice_.snapshot else None
        number -= len(slice_)
    return None


def as_text(numbers: Sequence[int]) -> str:
    """Write numbers in their order, with each ascending run as ``first-last``, such as ``0-41,50,43-49``."""
    runs: list[list[int]] = []
    for number in numbers:
        if runs and number == runs[-1][1] + 1:
            runs[-1][1] = number
        else:
            runs.append([number, number])
    return ",".join(str(first) if first == last else f"{first}-{last}" for first, last in runs)


def from_text(text: str) -> list[int]:
    """Return the numbers that ``as_text`` wrote, in their order."""
    numbers: list[int] = []
    for run in filter(None, text.split(",")):
        first, _, last = run.partition("-")
        numbers += range(int(first), int(last or first) + 1)
    return numbers
