"""Read what the page shows of a dataset, one chunk at a time: its images and those that were left out."""

import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from attrs import define, field

from pixcore.errors import InvalidRequest, StoreNotFound, one_line
from pixcore.model.chunks import ChunkRecord
from pixcore.model.rows import COLUMNS
from pixcore.stored.archives import StoredArchives
from pixcore_adapters.outputs.dropped import Dropped, DroppedImages
from pixcore_adapters.outputs.page.rows import safe_json
from pixcore_adapters.outputs.review.spool import Spool

_UNPACKED = 2_000_000_000  # bytes of images on the disk at most, but at least one chunk
_DESCRIBED = 1_000_000_000
_DROPPED = 10_000  # of one chunk


# The id of a chunk and the attempt that made its archive. Another attempt may replace the archive meanwhile.
Made = tuple[int, int]


class NotShown(Exception):
    """The page has no such chunk or image."""


@define
class ReviewChunks:
    """The chunks of a dataset that have an archive.

    An archive is fetched and unpacked when one of its images is needed, and removed when too many are unpacked. All
    files are in ``folder``, which the caller removes. Threads may share it.

    Attributes:
        records: Returns the chunks by rising index.
        archives: The archives in the store.
        folder: A private folder on the local disk.
    """

    records: Callable[[], Sequence[ChunkRecord]]
    archives: StoredArchives
    folder: Path
    _known: dict[Made, ChunkRecord] = field(init=False, factory=dict)
    _unpacked: "OrderedDict[Made, Spool[int]]" = field(init=False, factory=OrderedDict)
    _described: Spool[Made] = field(init=False)
    _previews: Spool[tuple[Made, str]] = field(init=False)
    _lock: threading.Lock = field(init=False, factory=threading.Lock)  # of `_unpacked`
    _fetching: threading.Lock = field(init=False, factory=threading.Lock)  # one archive at a time

    def __attrs_post_init__(self) -> None:
        self._described = Spool(self.folder, _DESCRIBED)
        self._previews = Spool(self.folder, _DESCRIBED)

    def listed(self) -> Sequence[tuple[int, int, int]]:
        """Return the id of each chunk that has an archive, the attempt that made it, and the number of its images.

        Raises:
            StatusUnavailable: As ``records`` raises it.
        """
        made = [(record, record.result) for record in self.records() if record.result]
        self._known |= {(record.chunk.id, result.attempt): record for record, result in made}
        return [(record.chunk.id, result.attempt, result.progress.accepted) for record, result in made]

    def description(self, chunk: Made) -> bytes:
        """Return the images of a chunk and those that were left out, as JSON; or why they cannot be read.

        Raises:
            NotShown: There is no such chunk.
            StoreDenied, StoreUnavailable, WorkspaceFull, TransientError: As the store and the local disk raise them.
        """
        known = self._described.get(chunk)
        if known is None:
            with self._fetching:
                known = self._described.get(chunk) or self._describe(chunk)
        return known

    def image(self, chunk: Made, place: int) -> bytes:
        """Return the file of an image: that with the row number ``place`` of a chunk.

        Raises:
            NotShown: There is no such image.
            InvalidRequest, StoreNotFound: The archive is missing, or is not the recorded one.
            StoreDenied, StoreUnavailable, WorkspaceFull, TransientError: As for ``description``.
        """
        found = self._unpacked_image(chunk, place)
        if found is None:
            with self._fetching:
                if (found := self._unpacked_image(chunk, place)) is None:
                    self._unpack(chunk)
                    found = self._unpacked_image(chunk, place)
        if not found:
            raise NotShown(f"chunk {chunk[0]} has no image {place}")
        return found

    def preview(self, chunk: Made, sha256: str) -> bytes:
        """Return the preview of an image that was left out, as WebP.

        Raises:
            NotShown: There is none.
        """
        found = self._previews.get((chunk, sha256))
        if not found:
            raise NotShown(f"chunk {chunk[0]} has no preview of {sha256}")
        return found

    def close(self) -> None:
        """Remove the files."""
        with self._lock:
            self._described.close()
            self._previews.close()
            for images in self._unpacked.values():
                images.close()

    def _unpacked_image(self, chunk: Made, place: int) -> bytes | None:
        """Return the file of an image; ``b""`` if the chunk has none, None if the chunk is not unpacked."""
        with self._lock:
            if chunk not in self._unpacked:
                return None
            self._unpacked.move_to_end(chunk)
            return self._unpacked[chunk].get(place) or b""

    def _unpack(self, chunk: Made) -> Sequence[Mapping[str, object]]:
        """Fetch and unpack an archive, and remove the files of others if there are too many; return its rows."""
        if chunk not in self._known:
            raise NotShown(f"there is no chunk {chunk[0]} with this archive; load the page again")
        rows: list[Mapping[str, object]] = []
        images: Spool[int] = Spool(self.folder, most=1 << 62)
        try:
            for place, (row, data) in enumerate(self.archives.images(self._known[chunk])):
                rows.append(row)
                images.put(place, data)
        except BaseException:
            images.close()
            raise
        with self._lock:
            if former := self._unpacked.pop(chunk, None):
                former.close()
            self._unpacked[chunk] = images
            while len(self._unpacked) > 1 and sum(spool.size for spool in self._unpacked.values()) > _UNPACKED:
                self._unpacked.popitem(last=False)[1].close()
        return rows

    def _describe(self, chunk: Made) -> bytes:
        try:
            text = safe_json(self._document(chunk, self._unpack(chunk))).encode()
        except (InvalidRequest, StoreNotFound) as error:
            return safe_json({"error": one_line(error)}).encode()  # not kept: the archive may be mended
        self._described.put(chunk, text)
        return text

    def _document(self, chunk: Made, rows: Sequence[Mapping[str, object]]) -> Mapping[str, object]:
        record = self._known[chunk]
        dropped = DroppedImages(_DROPPED)
        dropped.read([record], self.archives)
        for one in (*dropped.pairs, *dropped.others):
            self._previews.put((chunk, str(one.line["sha256"])), one.preview)
        listed = list(dict.fromkeys(column for row in rows for column in row if column not in COLUMNS))
        return {
            "columns": [*COLUMNS, *(f"list:{column}" for column in listed)],
            "images": [[row.get(column, "") for column in (*COLUMNS, *listed)] for row in rows],
            "dropped": list(_rejections(record, (*dropped.pairs, *dropped.others))),
            "dropped_in_all": dropped.counts.total(),
            "twins": [[pair.one, pair.other, pair.detail] for pair in record.result.twins] if record.result else [],
            "error": dropped.unread.get(record.chunk.id, ""),
        }


def _rejections(record: ChunkRecord, dropped: Sequence[Dropped]) -> Iterator[Mapping[str, object]]:
    """Yield the columns of each image that was left out; ``preview`` and ``rescuable`` are 0 or 1."""
    request = record.chunk.request
    for one in dropped:
        more = {"preview": int(bool(one.preview)), "rescuable": int(one.rescuable)}
        yield {**one.line, "keyword": request.keyword, "label": request.label, **more}
