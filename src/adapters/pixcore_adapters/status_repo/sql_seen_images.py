"""The images of each dataset, in the status database; all workers of the dataset share them."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

from attrs import field, frozen
from sqlalchemy import Engine, Row, Update, and_, delete, false, select, update

from pixcore.model.chunks import ChunkKey, Claim, Status
from pixcore.model.images import Accepted
from pixcore.model.quality import Fingerprint, NearRule
from pixcore.ports.seen_images import LISTED_PAIRS, NearGroup, SeenImage, url_key
from pixcore_adapters.status_repo import database, statements
from pixcore_adapters.status_repo.schema import CHECKSUM_LENGTH, chunks, seen_images, seen_urls

_PAGE = 1000  # rows in one statement; bounds memory, and stays below the databases' limits on parameters


@frozen(eq=False)
class SqlSeenImages:
    """The whole port, in a table beside the chunks. A hold counts while its attempt is its chunk's current one.

    Attributes:
        engine: The database of the status repository, or its URL; connects on first use.
    """

    engine: Engine = field(converter=database.engine_at)

    def hold(self, claim: Claim, images: Sequence[Accepted]) -> list[ChunkKey | None]:
        """See ``SeenImages``. Inserts first, because nearly all images are new; reads only if some exist already."""
        dataset = claim.chunk.dataset
        if not dataset:
            return [None] * len(images)
        new = database.dialect_of(self.engine).insert(seen_images).on_conflict_do_nothing()
        new = new.execution_options(preserve_rowcount=True)
        holders: dict[str, ChunkKey | None] = {}
        # always in the same order, so that two chunks that insert the same images cannot deadlock
        remaining = {image.sha256: image for image in sorted(images, key=lambda image: image.sha256)}
        while remaining:
            rows = {sha256: _columns(claim, image) for sha256, image in remaining.items()}
            with database.transaction(self.engine) as connection:
                written = connection.execute(new, [{"sha256": sha256} | row for sha256, row in rows.items()])
                if written.rowcount == len(rows):
                    holders |= dict.fromkeys(rows)
                    break
            with database.autocommit(self.engine) as connection:
                selected = and_(seen_images.c.dataset == dataset, seen_images.c.sha256.in_(remaining))
                for holder in connection.execute(_HOLDERS.where(selected)).all():
                    if (holder.chunk_id, holder.attempt) == (claim.chunk.id, claim.attempt):
                        holders[holder.sha256] = None
                    elif holder.counts:
                        holders[holder.sha256] = ChunkKey(dataset, holder.chunk_id)
                    elif connection.execute(_take_over(dataset, holder, rows[holder.sha256])).rowcount:
                        holders[holder.sha256] = None
            # retry the images whose holder changed between the statements
            remaining = {sha256: image for sha256, image in remaining.items() if sha256 not in holders}
        return [holders[image.sha256] for image in images]

    def stated(self, claim: Claim, checksum: str) -> ChunkKey | None:
        """See ``SeenImages``. One statement, by an index."""
        dataset = claim.chunk.dataset
        if not dataset or not checksum:
            return None
        others = and_(
            seen_images.c.dataset == dataset,
            seen_images.c.checksum == checksum,
            seen_images.c.chunk_id != claim.chunk.id,
            _COUNTS,
        )
        query = select(seen_images.c.chunk_id).join(chunks, _CHUNK).where(others).limit(1)
        with database.autocommit(self.engine) as connection:
            chunk = connection.execute(query).scalar_one_or_none()
        return None if chunk is None else ChunkKey(dataset, chunk)

    def keep(self, claim: Claim, since: int) -> None:
        """See ``SeenImages``. One statement."""
        own = and_(
            seen_images.c.dataset == claim.chunk.dataset,
            seen_images.c.chunk_id == claim.chunk.id,
            seen_images.c.attempt.between(since, claim.attempt - 1),
        )
        with database.autocommit(self.engine) as connection:
            connection.execute(update(seen_images).where(own).values(attempt=claim.attempt))

    def release(self, claim: Claim, images: Sequence[Accepted] | None = None) -> None:
        """See ``SeenImages``."""
        held = and_(
            seen_images.c.dataset == claim.chunk.dataset,
            seen_images.c.chunk_id == claim.chunk.id,
            seen_images.c.attempt == claim.attempt,
        )
        if images is not None:
            held = and_(held, seen_images.c.sha256.in_([image.sha256 for image in images]))
        with database.autocommit(self.engine) as connection:
            connection.execute(delete(seen_images).where(held))

    def led(self, dataset: str, urls: Mapping[str, Collection[str]]) -> dict[str, frozenset[str]]:
        """See ``SeenImages``. Three statements for each page of images."""
        new = database.dialect_of(self.engine).insert(seen_urls).on_conflict_do_nothing()
        known: dict[str, set[str]] = {sha256: set() for sha256 in urls}
        # always in the same order, so that two chunks that insert the same URLs cannot deadlock
        rows = [
            {"dataset": dataset, "sha256": sha256, "url_key": key}
            for sha256, keys in sorted(urls.items())
            for key in sorted(keys)
        ]
        if rows:
            with database.transaction(self.engine) as connection:
                connection.execute(new, rows)
        for page in statements.in_pages(sorted(urls), _PAGE):
            recorded = select(seen_urls.c.sha256, seen_urls.c.url_key).where(
                seen_urls.c.dataset == dataset, seen_urls.c.sha256.in_(page)
            )
            held = select(seen_images.c.sha256, seen_images.c.url).where(
                seen_images.c.dataset == dataset, seen_images.c.sha256.in_(page)
            )
            with database.autocommit(self.engine) as connection:
                for sha256, key in connection.execute(recorded).all():
                    known[sha256].add(key)
                for sha256, url in connection.execute(held).all():
                    known[sha256].add(url_key(url))
        return {sha256: frozenset(keys) for sha256, keys in known.items()}

    def holders(self, dataset: str, images: Collection[str]) -> dict[str, ChunkKey]:
        """See ``SeenImages``. One statement for each page of images."""
        query = select(seen_images.c.sha256, seen_images.c.chunk_id).join(chunks, _CHUNK)
        found: dict[str, ChunkKey] = {}
        for page in statements.in_pages(sorted(images), _PAGE):
            wanted = and_(seen_images.c.dataset == dataset, seen_images.c.sha256.in_(page), _COMPLETED)
            with database.autocommit(self.engine) as connection:
                for sha256, chunk in connection.execute(query.where(wanted)).all():
                    found[sha256] = ChunkKey(dataset, chunk)
        return found

    def near(self, dataset: str, rule: NearRule) -> Iterator[NearGroup]:
        """See ``SeenImages``. Reads the hashes of all images, and the other columns only of images in groups."""
        import numpy as np  # noqa: PLC0415  slow to import

        from pixcore_adapters.near_grouping import arranged, groups  # noqa: PLC0415  as it imports numpy

        row_type = np.dtype([("sha256", "S64"), ("phash", np.int64), ("dhash", np.int64)])
        pages = [np.array(rows, row_type) for rows in self._pages(dataset)]
        table = np.concatenate([np.empty(0, row_type), *pages])
        phash, dhash = table["phash"].astype(np.uint64), table["dhash"].astype(np.uint64)
        found = list(groups(phash, dhash, rule, LISTED_PAIRS))
        indices = [index for group in found for index in group.images]
        sha256s = table["sha256"][indices].astype(str).tolist()
        images = map(self._images(dataset, sha256s).get, sha256s)  # None if a chunk was reopened meanwhile
        yield from arranged(found, {index: image for index, image in zip(indices, images, strict=True) if image})

    def _pages(self, dataset: str) -> Iterator[list[tuple[object, ...]]]:
        """Yield sha256, phash and dhash of all images that count, page by page, with no transaction open in between."""
        # selects `counts` instead of filtering by it, so that a page reads exactly _PAGE rows of the index
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
        """Read the images that still count, by sha256."""
        query = select(seen_images).join(chunks, _CHUNK).where(seen_images.c.dataset == dataset, _COMPLETED)
        images = {}
        for page in statements.in_pages(sha256s, _PAGE):
            wanted = seen_images.c.sha256.in_(page)
            with database.autocommit(self.engine) as connection:
                images.update({row.sha256: _image(row) for row in connection.execute(query.where(wanted))})
        return images


_CHUNK = and_(chunks.c.dataset == seen_images.c.dataset, chunks.c.id == seen_images.c.chunk_id)
_COUNTS = and_(chunks.c.attempt == seen_images.c.attempt, chunks.c.status.in_((Status.PROCESSING, Status.COMPLETED)))
_COMPLETED = and_(chunks.c.attempt == seen_images.c.attempt, chunks.c.status == Status.COMPLETED)
_HOLDERS = select(
    seen_images.c.sha256, seen_images.c.chunk_id, seen_images.c.attempt, _COUNTS.label("counts")
).outerjoin(chunks, _CHUNK)


def _take_over(dataset: str, holder: Row[Any], columns: Mapping[str, object]) -> Update:
    """Replace a holder that no longer counts. It never counts again, because attempts only grow."""
    unchanged = and_(
        seen_images.c.dataset == dataset,
        seen_images.c.sha256 == holder.sha256,
        seen_images.c.chunk_id == holder.chunk_id,
        seen_images.c.attempt == holder.attempt,
    )
    return update(seen_images).where(unchanged).values(columns)


def _columns(claim: Claim, image: Accepted) -> dict[str, object]:
    """Build all columns but the sha256; ``_image`` reads them back."""
    seen = SeenImage(claim.chunk, image.sha256, image.download.candidate.url, image.fingerprint)
    return {
        "dataset": claim.chunk.dataset,
        "chunk_id": claim.chunk.id,
        "attempt": claim.attempt,
        "url": seen.url.replace("\0", "\\x00"),  # not every database stores NUL
        "phash": _signed(image.fingerprint.phash),
        "dhash": _signed(image.fingerprint.dhash),
        "hash_method": image.fingerprint.method,
        "flat": image.fingerprint.flat,
        "checksum": image.download.candidate.checksum[:CHECKSUM_LENGTH],
    }


def _image(row: Row[Any]) -> SeenImage:
    fingerprint = Fingerprint(_unsigned(row.phash), _unsigned(row.dhash), row.hash_method, row.flat)
    return SeenImage(ChunkKey(row.dataset, row.chunk_id), row.sha256, row.url, fingerprint)


def _signed(bits: int) -> int:
    """Convert unsigned 64 bits to the signed integer of a BIGINT column."""
    return bits - (bits >> 63 << 64)


def _unsigned(number: int) -> int:
    """Convert the signed integer of a BIGINT column to unsigned 64 bits."""
    return number & (2**64 - 1)
