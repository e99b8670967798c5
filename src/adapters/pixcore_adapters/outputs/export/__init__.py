"""Write a dataset in other layouts, one module each. An export appears whole or not at all."""

from collections import Counter, defaultdict
from collections.abc import Callable, Generator, Iterable, Mapping
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path

from pixcore.stored.samples import Sample
from pixcore_adapters.outputs.export.destinations import Destination, Files

_IN_A_FILE = 1000  # samples, in layouts whose files hold many

# Writes the samples as the files of an export; returns the glob pattern of the file names of each split.
Layout = Callable[[Iterable[Sample], Files], Mapping[str, str]]

Add = Callable[[Sample], None]


def export(samples: Iterable[Sample], layout: Layout, out: Destination, title: str) -> Mapping[str, int]:
    """Write the samples in a layout to a destination, with a card that names the splits; return their sizes.

    The files appear together when everything is written. The same samples give the same files.

    Raises:
        PixcoreError: As ``Destination.writing`` raises it.
        Exception: Whatever ``samples`` raises.
    """
    counts: Counter[str] = Counter()

    def counted() -> Generator[Sample]:
        for sample in samples:
            counts[sample.split] += 1
            yield sample

    with out.writing() as files:
        patterns = layout(counted(), files)
        with files.create("README.md") as path:
            path.write_text(_card(title, patterns, counts), encoding="utf-8")
    return dict(counts)


def spread(
    samples: Iterable[Sample], into: Files, kind: str, opened: Callable[[Path], AbstractContextManager[Add]]
) -> Mapping[str, str]:
    """Write the samples of each split to files ``{split}-000000.{kind}`` and so on; see ``Layout``.

    ``opened`` opens a file at a path and returns the function that adds a sample to it.
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
                path = files[split].enter_context(into.create(f"{split}-{number:06d}.{kind}"))
                adding[split] = files[split].enter_context(opened(path))
            adding[split](sample)
            written[split] += 1
    return {split: f"{split}-*.{kind}" for split in written}


def _card(title: str, patterns: Mapping[str, str], counts: Mapping[str, int]) -> str:
    """Return a card that names the splits for ``load_dataset``, and their sizes for people."""
    lines = ["---", "configs:", "- config_name: default", "  data_files:"]
    for split, pattern in patterns.items():
        lines += [f"  - split: {split}", f"    path: {pattern}"]
    lines += ["---", "", f"# {title}", "", "| split | images |", "|---|---|"]
    lines += [f"| {split} | {counts[split]} |" for split in patterns]
    return "\n".join([*lines, ""])
