"""A memory of exact images in the status database, shared by all who work on a dataset."""

from contextlib import suppress

from attrs import field, frozen
from sqlalchemy import Engine, and_, delete, insert, select, update
from sqlalchemy.exc import IntegrityError

from pixcore.model import ChunkKey, Claim, Status
from pixcore_adapters.status_repo import database
from pixcore_adapters.status_repo.schema import chunks, seen_images


@frozen(eq=False)
class SqlSeenImages:
    """Who has which bytes, beside the chunks: a hold counts while its chunk's row says that its attempt does.

    Attributes:
        engine: The database of the status repository, or its URL; connects on first use.
    """

    engine: Engine = field(converter=database.engine_at)

    def hold(self, claim: Claim, sha256: str) -> ChunkKey | None:
        """See ``SeenImages``. Almost every image is new, so it is written first and read only where that fails."""
        dataset = claim.chunk.dataset
        if not dataset:
            return None
        mine = {"chunk_id": claim.chunk.id, "attempt": claim.attempt}
        image = and_(seen_images.c.dataset == dataset, seen_images.c.sha256 == sha256)
        with database.autocommit(self.engine) as connection:
            while True:
                with suppress(IntegrityError):
                    connection.execute(insert(seen_images).values(dataset=dataset, sha256=sha256, **mine))
                    return None
                holder = connection.execute(_HOLDERS.where(image)).one_or_none()
                if holder is None:  # it was released meanwhile
                    continue
                if (holder.chunk_id, holder.attempt) == (claim.chunk.id, claim.attempt):
                    return None
                if holder.counts:
                    return ChunkKey(dataset, holder.chunk_id)
                # what no longer counts never counts again, because attempts only grow
                unchanged = and_(
                    image, seen_images.c.chunk_id == holder.chunk_id, seen_images.c.attempt == holder.attempt
                )
                if connection.execute(update(seen_images).where(unchanged).values(mine)).rowcount:
                    return None

    def release(self, claim: Claim) -> None:
        """See ``SeenImages``."""
        held = and_(
            seen_images.c.dataset == claim.chunk.dataset,
            seen_images.c.chunk_id == claim.chunk.id,
            seen_images.c.attempt == claim.attempt,
        )
        with database.autocommit(self.engine) as connection:
            connection.execute(delete(seen_images).where(held))


_CHUNK = and_(chunks.c.dataset == seen_images.c.dataset, chunks.c.id == seen_images.c.chunk_id)
_COUNTS = and_(chunks.c.attempt == seen_images.c.attempt, chunks.c.status.in_((Status.PROCESSING, Status.COMPLETED)))
_HOLDERS = select(seen_images.c.chunk_id, seen_images.c.attempt, _COUNTS.label("counts")).outerjoin(chunks, _CHUNK)
