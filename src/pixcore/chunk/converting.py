"""Convert the images of a chunk that stores converted copies."""

from collections import deque
from collections.abc import Generator, Iterable, Iterator
from contextlib import closing
from pathlib import Path

from attrs import evolve

from pixcore.model.conversion import Conversion, Converted, Unconverted
from pixcore.model.images import Accepted, Rejected
from pixcore.ports.converter import Converter


def converted_path(download: Path) -> Path:
    """Return where the converted copy of a download is written."""
    return download.with_name(f"{download.name}.converted")


def stored_path(image: Accepted) -> Path:
    """Return the path of the file that is stored for an image."""
    return image.stored.path if image.stored else image.download.path


def with_copies(
    verdicts: Iterable[Accepted | Rejected], converter: Converter, how: Conversion
) -> Generator[Accepted | Rejected]:
    """Give each accepted image its converted copy, and reject it if it cannot be converted; keep the order.

    An image that is restored from an archive is such a copy already. It is not converted again, and described as the
    image that was collected. Draw as far ahead as the converter does.

    Raises:
        WorkspaceFull, TransientError: As the converter raises them.
        Exception: Whatever ``verdicts`` raises.
    """
    waiting: deque[Accepted | Rejected] = deque()

    def files() -> Iterator[tuple[Path, Path]]:
        for verdict in verdicts:
            waiting.append(verdict)
            if _is_new(verdict):
                yield verdict.download.path, converted_path(verdict.download.path)

    with closing(converter.convert(files(), how)) as outcomes:
        for outcome in outcomes:
            while not _is_new(waiting[0]):
                yield _restored(waiting.popleft())
            yield _with_copy(waiting.popleft(), outcome)
    yield from map(_restored, waiting)


def _is_new(verdict: Accepted | Rejected) -> bool:
    """Return whether an image was accepted and has no converted copy yet."""
    return isinstance(verdict, Accepted) and verdict.download.original is None


def _with_copy(verdict: Accepted | Rejected, outcome: Converted | Unconverted) -> Accepted | Rejected:
    if isinstance(verdict, Rejected):
        return verdict
    if isinstance(outcome, Unconverted):
        return Rejected(verdict.download, outcome.reason, f"cannot be converted: {outcome.detail}")
    return evolve(verdict, stored=outcome)


def _restored(verdict: Accepted | Rejected) -> Accepted | Rejected:
    """Describe a restored copy as the image that was collected, by which duplicates and rules judge it."""
    original = verdict.download.original
    if isinstance(verdict, Rejected) or original is None:
        return verdict
    stored = Converted(
        path=verdict.download.path,
        size=verdict.download.size,
        sha256=verdict.sha256,
        width=verdict.width,
        height=verdict.height,
        format=verdict.format,
        mode=verdict.mode,
        changes=original.changes,
    )
    return evolve(
        verdict,
        download=evolve(verdict.download, size=original.size),
        sha256=original.sha256,
        width=original.width,
        height=original.height,
        fingerprint=evolve(original.fingerprint, flat=verdict.fingerprint.flat),
        measures=original.measures,
        stored=stored,
    )
