"""Divide the samples of each split among numbered files, in layouts whose files hold many samples."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path

from pixcore.stored.samples import Sample
from pixcore_adapters.outputs.export.destinations import Files
from pixcore_adapters.outputs.export.layout import ShardSize

Add = Callable[[Sample], int]  # returns the number of bytes that the sample takes

_DEFAULT = ShardSize(samples=1000)


def spread(
    samples: Iterable[Sample],
    files: Files,
    kind: str,
    size: ShardSize | None,
    opened: Callable[[Path], AbstractContextManager[Add]],
) -> Mapping[str, str]:
    """Write the samples of each split to files ``{split}-000000.{kind}`` and so on.

    Return the glob pattern of each split's files.

    Args:
        samples: The samples.
        files: Takes the files.
        kind: The extension.
        size: When a file is full; 1,000 samples if it is None.
        opened: Opens a file at a path and returns the function that adds a sample to it.
    """
    full = (size or _DEFAULT).full
    numbers: Counter[str] = Counter()
    within: Counter[str] = Counter()
    sizes: Counter[str] = Counter()
    adding: dict[str, Add] = {}
    with ExitStack() as all_files:
        stacks = defaultdict[str, ExitStack](lambda: all_files.enter_context(ExitStack()))
        for sample in samples:
            split = sample.split
            if split not in adding:
                numbers.setdefault(split, 0)
                path = stacks[split].enter_context(files.create(f"{split}-{numbers[split]:06d}.{kind}"))
                adding[split] = stacks[split].enter_context(opened(path))
            sizes[split] += adding[split](sample)
            within[split] += 1
            if full(within[split], sizes[split]):
                del adding[split], within[split], sizes[split]
                stacks[split].close()
                numbers[split] += 1
    return {split: f"{split}-*.{kind}" for split in numbers}
