"""The converter that uses Pillow, in child processes that hostile files may hang or crash without harm."""

import hashlib
import os
from collections.abc import Generator, Iterable
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Self

from attrs import asdict

from pixcore.chunk.workspace import local_disk
from pixcore.model.conversion import Conversion, Converted, Unconverted
from pixcore_adapters.converter.messages import Answer, Request, answer_from_json, request_to_json
from pixcore_adapters.validator.children import Children
from pixcore_adapters.validator.decoder import Child
from pixcore_adapters.validator.picture import Limits, Refusal


class PillowConverter:
    """Converts image files in child processes: see ``Children``.

    Args:
        limits: What an image, and its result, may be.
        seconds: How long one image may take; then it is ``too_slow``.
        memory: How many bytes of data a child may hold.
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
        new = partial(_child, limits or Limits())
        self.children: Children[Request, Answer] = Children(new, seconds=seconds, memory=memory, workers=workers)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the children; see ``Children.close``."""
        self.children.close()

    def convert(self, files: Iterable[tuple[Path, Path]], how: Conversion) -> Generator[Converted | Unconverted]:
        """Yield one outcome a pair, as the port promises. Draw ahead two pairs for each child.

        Raises:
            WorkspaceFull: The disk has no space for a result.
            TransientError: No child can be started, or a result cannot be written for another reason.
            Exception: Whatever ``files`` raises.
        """
        with closing(self.children.answers(files, lambda pair: (*pair, how))) as answers:
            for (_, target), answer in answers:
                yield _outcome(target, answer)


def _child(limits: Limits, seconds: float, memory: int) -> Child[Request, Answer]:
    return Child(
        "pixcore_adapters.converter.child",
        {"limits": asdict(limits)},
        seconds,
        memory,
        encode=request_to_json,
        decode=answer_from_json,
    )


def _outcome(target: Path, answer: Answer | Refusal) -> Converted | Unconverted:
    with local_disk("writing a converted image"):
        if isinstance(answer, Refusal) or answer.reason:
            target.unlink(missing_ok=True)  # a child that was killed may have begun to write it
            return Unconverted(answer.reason, answer.detail)
        if answer.error:
            raise OSError(answer.error, os.strerror(answer.error), str(target))
        data = target.read_bytes()
    return Converted(
        path=target,
        size=len(data),
        sha256=hashlib.sha256(data).hexdigest(),
        width=answer.width,
        height=answer.height,
        format=answer.format,
        mode=answer.mode,
        changes=answer.changes,
    )
