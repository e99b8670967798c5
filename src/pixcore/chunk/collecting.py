"""Collector: download, validate, filter and select the images of one attempt, while they are packed."""

import sys
from collections import Counter
from collections.abc import Generator, Iterator
from contextlib import closing
from itertools import count
from pathlib import Path

from attrs import define, field

from pixcore.chunk.candidates import Candidates
from pixcore.chunk.checksum import drop_changed
from pixcore.chunk.context import AttemptContext
from pixcore.chunk.converting import with_copies
from pixcore.chunk.events import CandidateMissed
from pixcore.chunk.outcome_log import OutcomeLog
from pixcore.chunk.rejects import RejectedImages
from pixcore.chunk.selection import Selection
from pixcore.errors import InvalidRequest, NoValidImages, PixcoreError, SourceUnavailable
from pixcore.filters.apply import apply_filters
from pixcore.model.chunks import Phase
from pixcore.model.images import Accepted, Download, Miss, Rejected, RejectReason
from pixcore.model.rows import Row


class _Outdated(Exception):
    """An image that was yielded has been replaced or withdrawn: the archive that is being written is wrong."""


@define(eq=False)
class Collector:
    """Collects images lazily, so that an archive is packed while its next images are downloaded.

    Iterating yields every selected image with its row, in the order of packing. When all that are selected so far have
    been yielded, it collects more. Each iteration begins with the first image, and nothing is collected twice: a retry
    of packing just iterates again.

    A later image may replace one that was yielded already, or reveal that it is a placeholder. Then the iteration
    raises, and ``is_outdated`` is true until the next iteration. That one collects everything before it yields the
    first image, so this happens at most once.

    Attributes:
        context: The attempt.
        into: The folder for the downloads, in the work directory.
        outcomes: What became of each candidate.
        rejects: The rejected images that are kept in some form. It stays open when the collector is closed.
        candidates: The candidates that the attempt has.
        selection: The images that are kept.
        failure: The exception that made collecting fail, or None. It passes through the archiver, which draws the
            images and may translate exceptions. This attribute shows whether collecting was the cause.
        is_outdated: Whether the last iteration ended because an image that it had yielded was replaced or withdrawn.
    """

    context: AttemptContext
    into: Path
    outcomes: OutcomeLog = field(init=False)
    rejects: RejectedImages = field(init=False)
    candidates: Candidates = field(init=False)
    selection: Selection = field(init=False)
    failure: BaseException | None = field(init=False, default=None)
    is_outdated: bool = field(init=False, default=False)
    _steps: Generator[bool] = field(init=False)

    def __attrs_post_init__(self) -> None:
        self.outcomes = OutcomeLog(self.context, self.into.with_name("outcomes"))
        self.rejects = RejectedImages(self.context, self.into.parent)
        self.candidates = Candidates(self.context, self.outcomes)
        self.selection = Selection(self.context, self.outcomes, self.rejects)
        self._steps = self._collect()

    def __iter__(self) -> Iterator[tuple[Row, Path]]:
        if self.is_outdated:
            self.is_outdated = False
            self._has(sys.maxsize)
        self.selection.lowest_replaced()
        for number in count():
            more = self._has(number)
            if self.selection.lowest_replaced() < number:
                self.is_outdated = True
                raise _Outdated
            if not more:
                return
            yield self.selection.images[number]

    def close(self) -> None:
        """Stop collecting. Idempotent."""
        self._steps.close()
        self.selection.close()
        self.outcomes.close()

    def _has(self, number: int) -> bool:
        """Collect until image ``number``, counted from 0, exists; return whether it does."""
        try:
            more = True
            while more and number >= len(self.selection.images):
                with self.context.stopwatch.measure(Phase.VALIDATE):
                    more = next(self._steps, False)
            self.context.lease.check()
        except BaseException as error:
            self.failure = error
            raise
        return number < len(self.selection.images)

    def _collect(self) -> Generator[bool]:
        """Yield True each time that images were added to the selection; end when it is full or nothing is left.

        The validator draws downloads ahead of its verdicts, and the downloader fetches ahead of both. So fetching,
        decoding in other processes, and packing in this thread overlap.
        """
        context, selection = self.context, self.selection
        quality = context.request.quality
        filters = {name: context.using.filters(name) for name in quality.filters}
        preview = context.using.previewer.preview if context.using.previewer else None
        with (
            closing(self._decoded()) as decoded,
            closing(apply_filters(drop_changed(decoded), quality, filters, preview, context.decided)) as verdicts,
        ):
            yielded = 0
            for verdict in verdicts:
                if context.phase is not Phase.VALIDATE:
                    context.enter(Phase.VALIDATE)
                context.lease.check()
                selection.add(verdict)
                self.candidates.judged(verdict)
                if selection.is_full:
                    break
                if len(selection.images) > yielded:
                    yield True
                yielded = len(selection.images)  # it may have fallen, too
        # Downloading and validating have ended here, before the last images are packed.
        selection.finish()
        if not selection.images:
            raise self._no_images()
        context.enter(Phase.COMPRESS)

    def _decoded(self) -> Generator[Accepted | Rejected]:
        """Yield a verdict on each download; take more candidates of the lists if too many were rejected."""
        while True:
            downloads = self._downloads()
            with (
                closing(downloads),
                closing(self.context.using.validator.validate(downloads)) as decoded,
                closing(self._with_copies(decoded)) as verdicts,
            ):
                yield from verdicts
            # The filters draw lazily, so they have passed on all these verdicts by now.
            self.selection.decide()
            if not self.candidates.take_more():
                return

    def _with_copies(self, decoded: Generator[Accepted | Rejected]) -> Generator[Accepted | Rejected]:
        """Give each accepted image its converted copy, if the chunk stores such copies."""
        how, converter = self.context.request.store_as, self.context.using.converter
        if how is None:
            return decoded
        if converter is None:
            raise InvalidRequest(f"{self.context.claim.chunk} stores converted images; run it with a converter")
        return with_copies(decoded, converter, how)

    def _downloads(self) -> Generator[Download]:
        """Yield the chunk's downloads and count the misses; take more candidates of the lists if too many were missed.

        The validator goes on with the last downloads while the first of the further candidates are fetched.
        """
        candidates = self.candidates
        yield from candidates.restore(self.into)
        while True:
            yield from self._fetched()
            yield from candidates.restored_before(None)
            if not candidates.take_more():
                return

    def _fetched(self) -> Generator[Download]:
        """Yield the downloads of the candidates that are left. When the source fails, open it again and go on."""
        context, candidates = self.context, self.candidates
        for attempt in context.retrying(context.using.policies.download, Phase.DOWNLOAD):
            with attempt:
                items = context.using.downloader.download(
                    candidates.slices, self.into, frozenset(candidates.done), self._while_waiting, candidates.held
                )
                with closing(items):
                    while item := self._next(items):
                        context.lease.check()
                        if isinstance(item, Miss):
                            candidates.missed(item)
                            context.observe(CandidateMissed(*context.ids, miss=item))
                        else:
                            yield from candidates.restored_before(item)
                            candidates.downloaded(item)
                            yield item

    def _next(self, items: Iterator[Download | Miss]) -> Download | Miss | None:
        with self.context.stopwatch.measure(Phase.DOWNLOAD):
            return next(items, None)

    def _while_waiting(self) -> None:
        """Raise if the attempt must stop, and decide the verdicts so far, so that they count without a delay.

        The downloader calls this, in the thread that draws its items, while it waits for the next item.
        """
        self.context.lease.check()
        self.selection.decide()

    def _no_images(self) -> PixcoreError:
        """Return the error for a chunk without a single image: transient if a candidate may be available later."""
        counts, keyword = self.context.counts, self.context.request.keyword
        reasons = Counter({**counts.rejected, **counts.progress().missed})
        listed = ", ".join(f"{reason}: {n}" for reason, n in reasons.most_common())
        if any(not miss.permanent for miss in counts.missed.values()):
            return SourceUnavailable(f"no image of {keyword!r} could be fetched for now ({listed})")
        if not listed:
            return NoValidImages(f"no source has a candidate for {keyword!r}; try other words or sources")
        if counts.rejected.keys() == {RejectReason.EXCLUDED}:
            return NoValidImages(
                f"every image of {keyword!r} was excluded by a decision ({listed}); include some with `pixcore include"
                f" {self.context.request.dataset}`, or name other sources"
            )
        return NoValidImages(f"no valid image of {keyword!r} ({listed}); try other sources or limits")
