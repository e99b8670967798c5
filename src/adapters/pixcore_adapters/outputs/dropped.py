"""Gather the images that a rule, a filter or a better copy dropped, from the outcomes and previews of the chunks."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping

from attrs import define, evolve, field, frozen

from pixcore.errors import InvalidRequest, StoreNotFound, one_line
from pixcore.model.chunks import ChunkRecord
from pixcore.model.images import DOUBTFUL, EQUAL_BYTES, RejectReason
from pixcore.model.outcomes import ACCEPTED
from pixcore.stored.archives import StoredArchives
from pixcore.stored.outcomes import outcome_lines, previews


@frozen
class Dropped:
    """A dropped image.

    Attributes:
        chunk: The id of its chunk.
        line: Its outcome as stored.
        preview: Its preview; ``b""`` without one.
        kept: Whether its chunk keeps the bytes of rejected images.
    """

    chunk: int
    line: Mapping[str, object]
    preview: bytes
    kept: bool

    @property
    def rescuable(self) -> bool:
        """Whether a decision can bring it back: its bytes are kept and sound, or it was excluded by its bytes."""
        outcome = self.line["outcome"]
        return outcome in (RejectReason.EXCLUDED, RejectReason.PLACEHOLDER) or (self.kept and outcome not in DOUBTFUL)

    @property
    def twin(self) -> str:
        """The sha256 of the image that is kept instead; ``""`` if it was not dropped for another image."""
        return str(self.line.get("twin", ""))


@define
class DroppedImages:
    """The dropped images that were read. At most ``most`` are kept: pairs and images that rules dropped.

    Attributes:
        pairs: Images that were dropped for a better copy, in the order of the dataset.
        others: Images that a rule or a filter dropped, likewise; a placeholder once, with the number of its URLs.
        counts: How many were dropped, by reason, those included that are not kept here.
        unread: For each chunk whose outcomes or previews could not be read, by its id, the error.
        without: How many chunks with an archive have no outcomes, because an earlier version completed them.
    """

    most: int
    pairs: list[Dropped] = field(init=False, factory=list[Dropped])
    others: list[Dropped] = field(init=False, factory=list[Dropped])
    counts: Counter[str] = field(init=False, factory=Counter[str])
    unread: dict[int, str] = field(init=False, factory=dict[int, str])
    without: int = field(init=False, default=0)
    _led: dict[str, set[object]] = field(init=False, factory=dict[str, set[object]])  # URLs to each placeholder

    def read(self, records: Iterable[ChunkRecord], archives: StoredArchives) -> None:
        """Read the outcomes and previews of these chunks, one chunk at a time.

        Raises:
            StoreDenied, StoreUnavailable, WorkspaceFull, TransientError: As the store and the local disk raise them.
        """
        for record in records:
            if record.result is None:
                continue
            if record.result.outcomes is None:
                self.without += 1
                continue
            try:
                for one in _dropped(record, archives):
                    self._add(one)
            except (InvalidRequest, StoreNotFound) as error:
                self.unread[record.chunk.id] = one_line(error)
        self.others = [self._with_urls(one) for one in self.others]

    def _with_urls(self, one: Dropped) -> Dropped:
        """Say in the detail of a placeholder how many URLs led to it in all chunks."""
        if one.line["outcome"] != RejectReason.PLACEHOLDER:
            return one
        count = len(self._led[str(one.line["sha256"])])
        return evolve(one, line={**one.line, "detail": f"{count} URL{'s' if count > 1 else ''} led to these bytes"})

    def _add(self, one: Dropped) -> None:
        self.counts[str(one.line["outcome"])] += 1
        if one.line["outcome"] == RejectReason.PLACEHOLDER:
            is_known = (sha256 := str(one.line["sha256"])) in self._led
            self._led.setdefault(sha256, set()).add(one.line.get("url"))
            if is_known:
                return
        if len(self.pairs) + len(self.others) < self.most:
            (self.pairs if one.line["outcome"] == RejectReason.NEAR_DUPLICATE else self.others).append(one)


def _dropped(record: ChunkRecord, archives: StoredArchives) -> Iterator[Dropped]:
    pictures = previews(record, archives)
    kept = record.result is not None and record.result.rejected is not None
    # only lines of images have a sha256; those of accepted and equal ones are no pairs to look at
    for line in outcome_lines(record, archives, b'"sha256": '):
        if line["outcome"] not in {ACCEPTED, *EQUAL_BYTES}:
            yield Dropped(record.chunk.id, line, pictures.get(str(line["sha256"]), b""), kept)
