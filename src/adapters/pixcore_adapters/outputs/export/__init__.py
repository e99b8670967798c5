"""Other layouts of a dataset, one a file, and what they share: an export is whole or not there at all."""

import errno
import shutil
from collections import Counter, defaultdict
from collections.abc import Callable, Generator, Iterable, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from uuid import uuid4

from pixcore.errors import InvalidRequest, WorkspaceFull
from pixcore.stored.samples import Sample

_IN_A_FILE = 1000  # samples, where a layout puts many into one

# Writes the samples below a folder; gives, for each split, the pattern of its files there.
Layout = Callable[[Iterable[Sample], Path], Mapping[str, str]]

Add = Callable[[Sample], None]

_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


def export(samples: Iterable[Sample], layout: Layout, out: Path, title: str) -> Mapping[str, int]:
    """Write the samples in a layout to the folder ``out``, with a card that names the splits; gives their sizes.

    The folder appears when all is written. Whatever ends it before, nothing is left, unless the process is killed:
    then a folder ``.NAME.partial-…`` beside it. The same samples give the same files.

    Raises:
        InvalidRequest: ``out`` holds something, or cannot be written.
        WorkspaceFull: No room.
        Exception: Whatever ``samples`` raises.
    """
    counts: Counter[str] = Counter()

    def counted() -> Generator[Sample]:
        for sample in samples:
            counts[sample.split] += 1
            yield sample

    with _whole_or_nothing(out) as folder:
        patterns = layout(counted(), folder)
        (folder / "README.md").write_text(_card(title, patterns, counts), encoding="utf-8")
    return dict(counts)


def require_empty(out: Path) -> None:
    """Refuse what may not be written to, before any work.

    Raises:
        InvalidRequest: It is no folder, or holds something.
    """
    if out.exists() and not (out.is_dir() and not any(out.iterdir())):
        raise InvalidRequest(f"{out} is there already and not empty; nothing was overwritten, name another folder")


def spread(
    samples: Iterable[Sample], into: Path, kind: str, opened: Callable[[Path], AbstractContextManager[Add]]
) -> Mapping[str, str]:
    """Write the samples of each split to files ``{split}-000000.{kind}`` and so on; see ``Layout``.

    ``opened`` opens a file and gives what adds a sample to it.
    """
    written: Counter[str] = Counter()
    adding: dict[str, Add] = {}
    with ExitStack() as all_files:
        files = defaultdict[str, ExitStack](lambda: all_files.enter_context(ExitStack()))
        for sample in samples:
            split = sample.split
            number, within = divmod(written[split], _IN_A_FILE)
            if within == 0:
                files[split].close()
                adding[split] = files[split].enter_context(opened(into / f"{split}-{number:06d}.{kind}"))
            adding[split](sample)
            written[split] += 1
    return {split: f"{split}-*.{kind}" for split in written}


@contextmanager
def _whole_or_nothing(out: Path) -> Generator[Path]:
    target = out.resolve()
    partial = target.with_name(f".{target.name}.partial-{uuid4().hex[:8]}")
    try:
        require_empty(target)
        partial.mkdir(parents=True)
        yield partial
        partial.rename(target)  # in place of an empty folder; where something has come in meanwhile, it fails
    except OSError as exc:
        if exc.errno in _FULL:
            raise WorkspaceFull(
                f"nothing was exported to {out}: {exc.strerror}; free some room there, or name another folder"
            ) from exc
        if exc.errno in (errno.ENOTEMPTY, errno.EEXIST):
            require_empty(target)
        raise InvalidRequest(
            f"nothing was exported to {out}: {exc.strerror or exc}; name a folder that you may write to"
        ) from exc
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _card(title: str, patterns: Mapping[str, str], counts: Mapping[str, int]) -> str:
    """What tells ``load_dataset`` the splits, whatever they are called, and people what this is."""
    lines = ["---", "configs:", "- config_name: default", "  data_files:"]
    for split, pattern in patterns.items():
        lines += [f"  - split: {split}", f"    path: {pattern}"]
    lines += ["---", "", f"# {title}", "", "| split | images |", "|---|---|"]
    lines += [f"| {split} | {counts[split]} |" for split in patterns]
    return "\n".join([*lines, ""])
