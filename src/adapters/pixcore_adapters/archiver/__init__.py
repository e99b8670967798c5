"""Archivers, one technology a file, and the rules they share: for a target, for damage and for rows read back."""

from collections.abc import Generator, Mapping
from contextlib import contextmanager
from pathlib import Path

from pixcore.errors import InvalidRequest, one_line

# RuntimeError is zipfile's word for an encrypted member, and json's for rows nested too deep
_DAMAGE: tuple[type[Exception], ...] = (OSError, EOFError, ValueError, KeyError, TypeError, RuntimeError)


@contextmanager
def whole_or_gone(target: Path) -> Generator[None]:
    """Remove ``target`` when the block fails, however it fails."""
    try:
        yield
    except BaseException:
        target.unlink(missing_ok=True)
        raise


@contextmanager
def reading(archive: Path, *damage: type[Exception]) -> Generator[None]:
    """Translate what reading a damaged archive raises; ``damage`` are the technology's own errors.

    Raises:
        InvalidRequest: It cannot be read, or not to its end.
    """
    try:
        yield
    except (*damage, *_DAMAGE) as exc:
        raise InvalidRequest(
            f"{archive.name} is no whole archive of a chunk ({one_line(exc)}); fetch or make it again"
        ) from exc


def as_row(value: object) -> Mapping[str, object]:
    """Take a parsed JSON value for a row.

    Raises:
        TypeError: It is none.
    """
    if not isinstance(value, dict):
        raise TypeError(f"{value!r:.40} is no row")
    return value
