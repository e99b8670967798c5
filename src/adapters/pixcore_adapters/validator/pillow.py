"""The validator that really decodes, with Pillow, in child processes that hostile files may hang or crash at will."""

from collections.abc import Generator, Iterable
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Self

from pixcore.model.images import Accepted, Download, Rejected, RejectReason
from pixcore_adapters.validator.children import Children
from pixcore_adapters.validator.decoder import Decoder
from pixcore_adapters.validator.picture import Limits, Picture, Preview, PreviewOf, Refusal


class PillowValidator:
    """Judges downloads by decoding them in child processes: see ``Children``.

    Args:
        limits: What an image may be.
        seconds: How long one image may take; then it is rejected as ``too_slow``.
        memory: How many bytes of data a child may hold; an image that needs more is rejected as ``too_much_memory``, or
            ``decoder_died`` where a library cannot say so.
        workers: How many children a call has. None: one for each core.
    """

    def __init__(
        self,
        limits: Limits | None = None,
        *,
        seconds: float = 10.0,
        memory: int = 1 << 30,
        workers: int | None = None,
    ) -> None:
        new = partial(Decoder, limits or Limits())
        self.children: Children[Path | PreviewOf, Picture | Refusal | Preview] = Children(
            new, seconds=seconds, memory=memory, workers=workers
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the children; see ``Children.close``."""
        self.children.close()

    def start(self) -> None:
        """Start the first child now; see ``Children.start``."""
        self.children.start()

    def validate(self, downloads: Iterable[Download]) -> Generator[Accepted | Rejected]:
        """Yield one verdict for each download, as the port promises. Draw ahead two downloads for each child.

        Raises:
            TransientError: No decoder child can be started, which says nothing about any download.
            Exception: Whatever ``downloads`` raises, at once; verdicts that are still missing are dropped.
        """
        with closing(self.children.answers(downloads, lambda download: download.path)) as answers:
            for download, found in answers:
                yield _verdict(download, found)

    def preview(self, image: Path) -> bytes:
        """See ``Previewer``. A child that decodes images makes it; the thread may be in the middle of ``validate``."""
        answer = self.children.ask(PreviewOf(image))
        return answer.picture if isinstance(answer, Preview) else b""


def _verdict(download: Download, found: Picture | Refusal | Preview) -> Accepted | Rejected:
    if isinstance(found, Refusal):
        return Rejected(download, found.reason, found.detail)
    if isinstance(found, Preview):
        return Rejected(download, RejectReason.DECODER_DIED, "the decoder answered another request")
    return Accepted(
        download=download,
        sha256=found.sha256,
        width=found.width,
        height=found.height,
        format=found.format,
        fingerprint=found.fingerprint,
        grey=found.grey,
        frames=found.frames,
        mode=found.mode,
        orientation=found.orientation,
        measures=found.measures,
    )
