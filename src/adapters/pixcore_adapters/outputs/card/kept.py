"""Counts of a dataset that are kept as a text, so that the next card adds only the chunks that came later."""

import json
from collections.abc import Iterable, Mapping
from typing import Any

import cattrs
from attrs import define, field, fields_dict
from cattrs.preconf.json import make_converter

from pixcore.model.chunks import ChunkRecord
from pixcore_adapters.outputs.card.counts import ARCHIVES, DatasetCounts, Frequencies

_converter = make_converter()
_converter.register_unstructure_hook(Frequencies, lambda found: [found.others, list(found.items())])
_converter.register_structure_hook(
    Frequencies, lambda values, _: Frequencies(values[0], {tuple(value): count for value, count in values[1]})
)


@define
class KeptCounts:
    """The sums over a dataset's chunks up to one of them.

    They hold as long as none of these chunks is attempted again: compare ``attempts``.

    Attributes:
        counts: The sums.
        last: The id of the last chunk that was counted; 0 for none.
        attempts: The sum of the numbers of the last attempts at these chunks.
        chunks: Their number.
    """

    counts: DatasetCounts
    last: int = field(default=0)
    attempts: int = field(default=0)
    chunks: int = field(default=0)

    def add(self, records: Iterable[ChunkRecord]) -> None:
        """Count more chunks, by rising id."""
        for record in records:
            self.counts.add(record)
            self.last = record.chunk.id
            self.attempts += record.attempt
            self.chunks += 1

    @property
    def is_worth_keeping(self) -> bool:
        """Whether the dataset has so many chunks that to count them again costs more than the text."""
        return self.chunks > ARCHIVES

    def text(self) -> str:
        """Return the counts as a text."""
        return json.dumps({"fields": _fields(), **_converter.unstructure(self)})


def from_text(text: str, dataset: str) -> KeptCounts:
    """Return what ``text`` returned; nothing counted if another version of pixcore wrote it or it is empty."""
    try:
        values: Mapping[str, Any] = json.loads(text) if text else {}
        if values.get("fields") == _fields():
            return _converter.structure(values, KeptCounts)
    except (ValueError, TypeError, KeyError, cattrs.BaseValidationError):
        pass
    return KeptCounts(DatasetCounts(dataset))


def _fields() -> list[str]:
    # of another version, some sums may be missing
    return list(fields_dict(DatasetCounts))
