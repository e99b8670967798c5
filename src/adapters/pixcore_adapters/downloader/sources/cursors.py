"""The cursors that walks over the pages of a source have found, so that a later slice need not begin at page 0."""

from bisect import bisect_right

from attrs import define, field

from pixcore.model.requests import Slice

_MAX = 10_000  # cursors in memory, each up to a few hundred bytes

_Query = tuple[str, str]


def _query(slice_: Slice) -> _Query:
    return slice_.query, slice_.licenses


@define
class Cursors:
    """The cursors of one source, by query and page. Several threads may share it."""

    _known: dict[_Query, dict[int, str]] = field(factory=dict[_Query, dict[int, str]], init=False)
    _count: int = field(default=0, init=False)

    def nearest(self, slice_: Slice, number: int) -> tuple[int, str]:
        """Return the last page up to ``number`` whose cursor is known, with that cursor; else page 0 without one."""
        known = {0: "", **self._known.get(_query(slice_), {})}
        numbers = sorted(known)
        page = numbers[bisect_right(numbers, number) - 1]
        return page, known[page]

    def keep(self, slice_: Slice, number: int, cursor: str) -> None:
        """Keep the cursor of a page. All are forgotten when there are too many."""
        if self._count >= _MAX:
            self._known, self._count = {}, 0
        of_query = self._known.setdefault(_query(slice_), {})
        self._count += number not in of_query
        of_query[number] = cursor

    def forget(self, slice_: Slice) -> None:
        """Forget the cursors of a query."""
        self._count -= len(self._known.pop(_query(slice_), {}))
