"""Start and end the server of a review."""

import threading
from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import ExitStack, closing, contextmanager

from pixcore.chunk.workspace import workspace
from pixcore.model.chunks import ChunkRecord
from pixcore.ports.seen_images import NearGroup
from pixcore.stored.archives import StoredArchives
from pixcore_adapters.outputs.review.choices import Choices
from pixcore_adapters.outputs.review.chunks import ReviewChunks
from pixcore_adapters.outputs.review.near import near_document
from pixcore_adapters.outputs.review.pictures import Pictures
from pixcore_adapters.outputs.review.server import Review, ReviewServer
from pixcore_adapters.thumbnails import bombs_are_errors

_POLL = 0.03  # seconds until the server notices that it shall end


@contextmanager
def served(
    records: Callable[[], Sequence[ChunkRecord]],
    archives: StoredArchives,
    choices: Choices,
    near: Callable[[], Iterable[NearGroup]],
    port: int = 0,
) -> Generator[Callable[[], str]]:
    """Serve the review of a dataset within the block, and give the block a function that makes a new link to it.

    ``records`` returns the dataset's chunks and ``near`` its groups of near-duplicates; both are called when a page is
    loaded. Temporary files are in a private folder, which is removed at the end.

    Raises:
        InvalidRequest: The port is in use.
        WorkspaceFull, TransientError: As ``workspace`` raises them.
    """
    with ExitStack() as closed_at_end:
        folder = closed_at_end.enter_context(workspace(archives.work, lambda _path, _error: None))
        closed_at_end.enter_context(bombs_are_errors())
        chunks = closed_at_end.enter_context(closing(ReviewChunks(records, archives, folder)))
        pictures = closed_at_end.enter_context(closing(Pictures(chunks, folder)))
        review = Review(choices.dataset, chunks, pictures, choices, lambda: near_document(near()))
        server = ReviewServer(review, port)
        closed_at_end.callback(server.server_close)
        threading.Thread(target=server.serve_forever, args=(_POLL,), daemon=True).start()
        closed_at_end.callback(server.shutdown)
        yield server.access.link
