"""Known placeholders: the sha256 of pictures by which sites say that they have no image."""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from pixcore import Decision, InvalidRequest
from pixcore.model.decisions import is_sha256, placeholder
from pixcore.ports import Decisions


def known_placeholders(given: Iterable[Path]) -> dict[str, str]:
    """Return the sha256 that the setting ``placeholders`` gives, each with the reason that a decision states.

    A path whose name is a sha256 stands for itself.

    A file has one sha256 a line, as sha256sum prints them: what follows in the line, empty lines and those that begin
    with ``#`` are ignored.

    Raises:
        InvalidRequest: A file cannot be read, or a line begins with something else.
    """
    found = (sha256 for path in given for sha256 in ([path.name] if is_sha256(path.name) else _listed(path)))
    return dict.fromkeys(found, "it is a known one")


def undecided(dataset: str, why: Mapping[str, str], decisions: Decisions) -> list[Decision]:
    """Return the decisions that exclude placeholders from a dataset, without images that are decided already.

    ``why`` says of each, by its sha256, why it is one.
    """
    if not why:
        return []
    decided = {each.sha256 for each in decisions.read(dataset) if not each.about_label}
    now = decisions.now()
    return [placeholder(dataset, each, why[each], now) for each in sorted(why.keys() - decided)]


def _listed(path: Path) -> Iterator[str]:
    try:
        lines = path.read_text("utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as exc:
        reason = getattr(exc, "strerror", None) or "it is not UTF-8"
        raise InvalidRequest(
            f"placeholders: {path} is no sha256 of 64 hex digits, and no file that can be read ({reason})"
        ) from exc
    for number, line in enumerate(lines, 1):
        first = line.partition("#")[0].split(maxsplit=1)
        if first and not is_sha256(sha256 := first[0].lower()):
            raise InvalidRequest(f"{path}:{number}: {first[0]!r:.80} is no sha256; write 64 hex digits")
        if first:
            yield sha256
