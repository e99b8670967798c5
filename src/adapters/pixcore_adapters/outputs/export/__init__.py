"""Write a dataset in other layouts, one module each. An export appears whole or not at all."""

import errno
import shutil
from collections import Counter, defaultdict
from collections.abc import Callable, Generator, Iterable, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from uuid import uuid4

from pixcore.errors import InvalidRequest, WorkspaceFull
from pixcore.stored.samples import Sample

_IN_A_FILE = 1000  # samples, in layouts whose files hold many

# Writes the samples into a folder; returns the glob pattern of the files of each split, relative to it.
Layout = Callable[[Iterable[Sample], Path], Mapping[str, str]]

Add = Callable[[Sample], None]

_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


def export(samples: Iterable[Sample], layout: Layout, out: Path, title: str) -> Mapping[str, int]:
    """Write the samples in a layout to the folder ``out``, with a card that names the splits; return their sizes.

    The folder appears when everything is written. If the export fails before, nothing is left. If the process is
    killed, a folder ``.NAME.partial-…`` stays beside it. The same samples give the same files.

    Raises:
        InvalidRequest: ``out`` is not empty, or cannot be written.
        WorkspaceFull: The disk is full.
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
    """Raise an error if an export cannot be written to ``out``.

    Raises:
        InvalidRequest: It exists and is not an empty folder.
    """
    if out.exists() and not (out.is_dir() and not any(out.iterdir())):
        raise InvalidRequest(
            f"{out} already exists and is not an empty folder; nothing was written: choose another folder"
        )


def spread(
    samples: Iterable[Sample], into: Path, kind: str, opened: Callable[[Path], AbstractContextManager[Add]]
) -> Mapping[str, str]:
    """Write the samples of each split to files ``{split}-000000.{kind}`` and so on; see ``Layout``.

    ``opened`` opens a file and returns the function that adds a sample to it.
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
        partial.rename(target)  # replaces an empty folder; fails if that is not empty any more
    except OSError as exc:
        if exc.errno in _FULL:
            raise WorkspaceFull(
                f"nothing was exported to {out}: {exc.strerror}; free some space there or choose another folder"
            ) from exc
        if exc.errno in (errno.ENOTEMPTY, errno.EEXIST):
            require_empty(target)
        raise InvalidRequest(
            f"nothing was exported to {out}: {exc.strerror or exc}; choose a folder that you can write to"
        ) from exc
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _card(title: str, patterns: Mapping[str, str], counts: Mapping[str, int]) -> str:
    """Return a card that names the splits for ``load_dataset``, and their sizes for people."""
    lines = ["---", "configs:", "- config_name: default", "  data_files:"]
    for split, pattern in patterns.items():
        lines += [f"  - split: {split}", f"    path: {pattern}"]
    lines += ["---", "", f"# {title}", "", "| split | images |", "|---|---|"]
    lines += [f"| {split} | {counts[split]} |" for split in patterns]
    return "\n".join([*lines, ""])
