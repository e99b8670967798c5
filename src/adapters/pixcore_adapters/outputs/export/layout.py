"""What a layout is: it decides which files an export has, and how a sample becomes bytes in them.

Layouts of other distributions register by entry point; ``pixcore_contract.layout`` has the tests that each must pass.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Protocol

from attrs import Factory, frozen

from pixcore.errors import InvalidRequest
from pixcore.stored.samples import Sample
from pixcore_adapters.outputs.export.destinations import Files
from pixcore_adapters.outputs.features import Feature

_SHARD = re.compile(r"(?P<number>[1-9][0-9]{0,11})(?P<unit>MB|GB)?")
_UNITS = {"MB": 10**6, "GB": 10**9}


@frozen
class ShardSize:
    """When a shard is full: at ``samples``, or when its files have ``bytes``, whichever comes first; 0 means never."""

    samples: int = 0
    bytes: int = 0

    @classmethod
    def parse(cls, text: str) -> "ShardSize":
        """Parse a number of images, such as ``1000``, or a size, such as ``500MB`` or ``2GB``.

        Raises:
            InvalidRequest: It is neither.
        """
        found = _SHARD.fullmatch(text.strip())
        if found is None:
            raise InvalidRequest(f"the shard size {text!r} is invalid; write a number of images, or a size as in 500MB")
        number = int(found["number"])
        return cls(bytes=number * _UNITS[found["unit"]]) if found["unit"] else cls(samples=number)

    def full(self, samples: int, size: int) -> bool:
        """Return whether a shard with that many samples and bytes is full."""
        return 0 < self.samples <= samples or 0 < self.bytes <= size


@frozen
class ExportRequest:
    """What is known of an export before its first sample.

    Attributes:
        title: The name of the dataset.
        columns: The columns of every row, each with ``"string"`` or ``"integer"`` (64 bits). No value is missing.
        classes: The names of all classes, which are the values of the column ``label``, in the order of their numbers;
            empty unless the user asked for classes.
        shard: When a shard is full; None for the layout's own choice.
    """

    title: str
    columns: Mapping[str, str]
    classes: tuple[str, ...] = ()
    shard: ShardSize | None = None


@frozen
class Loading:
    """How loaders read an export, for its card.

    Attributes:
        data_files: The glob pattern of the files of each split. The patterns of two splits match different files.
        features: The columns as ``load_dataset`` shall return them, each with its type as in a card's YAML: see
            ``pixcore_adapters.outputs.features``. Empty if ``load_dataset`` does not read the layout: the card then
            does not name it.
        of_tar: Whether the files are tar files, whose features ``load_dataset`` takes from another place of the card.
        usage: How people load it, in Markdown.
        notes: What a user must know of this export, such as images that a loader skips: a line each, with the remedy.
    """

    data_files: Mapping[str, str]
    features: Mapping[str, Feature] = Factory(dict[str, Feature])
    of_tar: bool = False
    usage: str = ""
    notes: tuple[str, ...] = ()


class Layout(Protocol):
    """Writes samples as files. It is made for one export, by a call with its ``ExportRequest``.

    That call raises ``InvalidRequest`` for a request that the layout cannot satisfy, such as a shard size if it has no
    shards.
    """

    def write(self, samples: Iterable[Sample], files: Files) -> Loading:
        """Write all samples, in their order, each with all of its columns.

        Iterates over ``samples`` once, and holds a bounded number of them. What ``samples`` raises passes through
        unchanged. Deterministic: the same samples give the same files. A file's name depends on samples only through
        their split, their key, and escaped values. ``README.md`` is not among the files.

        Raises:
            OSError: A file cannot be written.
        """
        ...


def without_shards(layout: str, request: ExportRequest) -> None:
    """Check that no shard size was asked of a layout that has no shards.

    Raises:
        InvalidRequest: One was.
    """
    if request.shard is not None:
        raise InvalidRequest(f"the layout {layout} has no shards, so it takes no shard size; leave out --shard-size")
