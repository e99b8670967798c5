"""How many images searched sources can give, and how long their limits make their requests take."""

from collections.abc import Iterable, Mapping

from attrs import define, frozen

from pixcore import Slice
from pixcore_adapters.downloader.sources.search import About

_MINUTE, _HOUR, _DAY = 60, 3_600, 86_400


@frozen
class Effort:
    """What a plan asks of one source.

    Attributes:
        about: What is known of the source.
        most: The most results that it can give for the keywords of the dataset, with their variations.
        requests: The most requests that the planned slices need, without those for images.
    """

    about: About
    most: int
    requests: int

    @property
    def seconds(self) -> int:
        """The least time that so many requests take within the limits by the minute and by the day."""
        limits = self.about.limits
        minutes = (self.requests - 1) // limits.minute if limits.minute and self.requests else 0
        days = (self.requests - 1) // limits.day if limits.day and self.requests else 0
        return max(minutes * _MINUTE, days * _DAY)

    def document(self) -> Mapping[str, object]:
        """Return the effort as JSON values."""
        return {
            "source": self.about.name,
            "most": self.most,
            "requests": self.requests,
            "seconds": self.seconds,
            "known": self.about.known,
        }

    def sentence(self) -> str:
        """Return the effort as text."""
        known = f"; {self.about.known}" if self.about.known else ""
        asked = f"at most {self.requests:,} request{'' if self.requests == 1 else 's'} for pages"
        return f"{self.about.name}: gives at most {self.most:,} images here; {asked}, {self._duration()}{known}"

    def _duration(self) -> str:
        if not (self.about.limits.minute or self.about.limits.day):
            return "within no documented limit"
        for unit, size in (("day", _DAY), ("hour", _HOUR), ("minute", _MINUTE)):
            if self.seconds >= size:
                count = -(-self.seconds // size)
                return f"which take {count} {unit}{'' if count == 1 else 's'} within its limits"
        return "without a wait within its limits"


@define
class _Pages:
    """The pages that slices of one source need, each once, and the results on them."""

    pages: set[tuple[str, str, int]]
    results: int = 0


def efforts(most: Mapping[str, int], abouts: Mapping[str, About], slices: Iterable[Slice]) -> list[Effort]:
    """Return what the slices ask of each source in ``abouts``; ``most`` is how many results each can give."""
    needed = {source: _Pages(set()) for source in abouts}
    for slice_ in slices:
        if slice_.source in needed:
            size, counted = abouts[slice_.source].size, needed[slice_.source]
            numbers = range(slice_.start // size, -(-slice_.stop // size))
            counted.pages.update((slice_.query, slice_.licenses, number) for number in numbers)
            counted.results += slice_.stop - slice_.start
    return [
        Effort(about, most[source], len(needed[source].pages) + (needed[source].results if about.details else 0))
        for source, about in abouts.items()
    ]
