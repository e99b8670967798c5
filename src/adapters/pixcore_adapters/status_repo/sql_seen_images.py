"""A memory of images in the status database, shared by all who work on a dataset."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from attrs import field, frozen
from sqlalchemy import Engine, Row, Update, and_, delete, false, select, update

from pixcore.model.chunks import ChunkKey, Claim, Status
from pixcore.model.images import Accepted
from pixcore.model.quality import Fingerprint, NearRule
from pixcore.ports.seen_images import NearPair, SeenImage
from pixcore_adapters.status_repo import database
from pixcore_adapters.status_repo.schema import chunks, seen_images

_PAGE = 1000  # rows a statement: bounds memory, and stays below the databases' limits on parameters


@frozen(eq=False)
class SqlSeenImages:
    """Who has which bytes, beside the chunks: a hold counts while its chunk's row says that its attempt does.

    Attributes:
        engine: The database of the status repository, or its URL; connects on first use.
    """

    engine: Engine = field(converter=database.engine_at)

    def hold(self, claim: Claim, images: Sequence[Accepted]) -> list[ChunkKey | None]:
        """See ``SeenImages``. Almost all are new: they are written first, and read only where some were there."""
        dataset = claim.chunk.dataset
        if not dataset:
            return [None] * len(images)
        new = database.dialect_of(self.engine).insert(seen_images).on_conflict_do_nothing()
        new = new.execution_options(preserve_rowcount=True)
        holders: dict[str, ChunkKey | None] = {}
        # in one order, or two chunks that write the same ones would wait for each other
        left = {image.sha256: image for image in sorted(images, key=lambda image: image.sha256)}
        while left:
            rows = {sha256: _columns(claim, image) for sha256, image in left.items()}
            with database.transaction(self.engine) as connection:
                written = connection.execute(new, [{"sha256": sha256} | row for sha256, row in rows.items()])
                if written.rowcount == len(rows):
                    holders |= dict.fromkeys(rows)
                    break
            with database.autocommit(self.engine) as connection:
                these = and_(seen_images.c.dataset == dataset, seen_images.c.sha256.in_(left))
                for holder in connection.execute(_HOLDERS.where(these)).all():
                    if (holder.chunk_id, holder.attempt) == (claim.chunk.id, claim.attempt):
                        holders[holder.sha256] = None
                    elif holder.counts:
                        holders[holder.sha256] = ChunkKey(dataset, holder.chunk_id)
                    elif connection.execute(_taken_over(dataset, holder, rows[holder.sha256])).rowcount:
                        holders[holder.sha256] = None
            # whose holder changed meanwhile
            left = {sha256: image for sha256, image in left.items() if sha256 not in holders}
        return [holders[image.sha256] for image in images]

    def release(self, claim: Claim) -> None:
        """See ``SeenImages``."""
        held = and_(
            seen_images.c.dataset == claim.chunk.dataset,
            seen_images.c.chunk_id == claim.chunk.id,
            seen_images.c.attempt == claim.attempt,
        )
        with database.autocommit(self.engine) as connection:
            connection.execute(delete(seen_images).where(held))

    def near(self, dataset: str, rule: NearRule) -> Iterator[NearPair]:
        """See ``SeenImages``. Of all images only the numbers are read, and the rest of those in pairs."""
        import numpy as np  # noqa: PLC0415  slow to import

        from pixcore_adapters.near_search import NearIndex  # noqa: PLC0415  as it imports numpy

        kept = np.dtype([("sha256", "S64"), ("phash", np.int64), ("dhash", np.int64)])
        pages = [np.array(rows, kept) for rows in self._pages(dataset)]
        held = np.concatenate([np.empty(0, kept), *pages])
        pairs = NearIndex(held["phash"].astype(np.uint64), held["dhash"].astype(np.uint64), rule).pairs()
        places = np.unique(pairs)
        names = held["sha256"][places].astype(str).tolist()
        images = dict(zip(places, map(self._images(dataset, names).get, names), strict=True))
        for one, other in pairs:
            if (first := images[one]) and (second := images[other]):  # neither chunk was opened again meanwhile
                yield NearPair(first, second)

    def _pages(self, dataset: str) -> Iterator[list[tuple[object, ...]]]:
        """What may be near to something, each page as of its own moment, with nothing held open in between."""
        # whether it counts is told and not asked for: a page then is so many rows of the index, whatever the guess
        query = (
            select(seen_images.c.sha256, seen_images.c.phash, seen_images.c.dhash, _COMPLETED.label("counts"))
            .outerjoin(chunks, _CHUNK)
            .where(seen_images.c.dataset == dataset, seen_images.c.flat == false())
            .order_by(seen_images.c.sha256)
            .limit(_PAGE)
        )
        last = ""
        while True:
            with database.autocommit(self.engine) as connection:
                rows = connection.execute(query.where(seen_images.c.sha256 > last)).all()
            if not rows:
                return
            last = rows[-1].sha256
            yield [(sha256, phash, dhash) for sha256, phash, dhash, counts in rows if counts]

    def _images(self, dataset: str, sha256s: Sequence[str]) -> Mapping[str, SeenImage]:
        query = select(seen_images).join(chunks, _CHUNK).where(seen_images.c.dataset == dataset, _COMPLETED)
        images = {}
        for start in range(0, len(sha256s), _PAGE):
            page = seen_images.c.sha256.in_(sha256s[start : start + _PAGE])
            with database.autocommit(self.engine) as connection:
                images.update({row.sha256: _image(row) for row in connection.execute(query.where(page))})
        return images


_CHUNK = and_(chunks.c.dataset == seen_images.c.dataset, chunks.c.id == seen_images.c.chunk_id)
_COUNTS = and_(chunks.c.attempt == seen_images.c.attempt, chunks.c.status.in_((Status.PROCESSING, Status.COMPLETED)))
_COMPLETED = and_(chunks.c.attempt == seen_images.c.attempt, chunks.c.status == Status.COMPLETED)
_HOLDERS = select(
    seen_images.c.sha256, seen_images.c.chunk_id, seen_images.c.attempt, _COUNTS.label("counts")
).outerjoin(chunks, _CHUNK)


def _taken_over(dataset: str, holder: Row[Any], mine: Mapping[str, object]) -> Update:
    """Put the claim in the place of a holder that no longer counts, nor ever will, because attempts only grow."""
    unchanged = and_(
        seen_images.c.dataset == dataset,
        seen_images.c.sha256 == holder.sha256,
        seen_images.c.chunk_id == holder.chunk_id,
        seen_images.c.attempt == holder.attempt,
    )
    return update(seen_images).where(unchanged).values(mine)


def _columns(claim: Claim, image: Accepted) -> dict[str, object]:
    """All but the sha256; ``_image`` reads it back."""
    seen = SeenImage(claim.chunk, image.sha256, image.download.candidate.url, image.fingerprint)
    return {
        "dataset": claim.chunk.dataset,
        "chunk_id": claim.chunk.id,
        "attempt": claim.attempt,
        "url": seen.url.replace("\0", "\\x00"),  # which not every database takes
        "phash": _signed(image.fingerprint.phash),
        "dhash": _signed(image.fingerprint.dhash),
        "hash_method": image.fingerprint.method,
        "flat": image.fingerprint.flat,
    }


def _image(row: Row[Any]) -> SeenImage:
    prints = Fingerprint(_unsigned(row.phash), _unsigned(row.dhash), row.hash_method, row.flat)
    return SeenImage(ChunkKey(row.dataset, row.chunk_id), row.sha256, row.url, prints)


def _signed(bits: int) -> int:
    """The number of 64 bits that a database has instead of one without a sign."""
    return bits - (bits >> 63 << 64)


def _unsigned(number: int) -> int:
    return number & (2**64 - 1)
