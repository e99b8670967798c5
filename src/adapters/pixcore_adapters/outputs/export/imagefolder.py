"""Write one folder for each split, with the images as files and a ``metadata.jsonl`` that describes them."""

import json
import re
from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from hashlib import sha256
from pathlib import PurePosixPath
from typing import IO

from attrs import frozen

from pixcore.model.rows import METADATA
from pixcore.stored.samples import Sample
from pixcore_adapters.outputs.export.destinations import Files

_SPLITS = "train|training|valid|validation|dev|val|test|testing|eval|evaluation"
# Characters that are escaped in the name of a folder: all but letters, digits and the punctuation that every file
# system and loader accepts; a first character that hides the folder, or a last one that file systems drop; and the
# first letter of a word that loaders take for the name of a split.
_UNSAFE = re.compile(rf"[^\w ,'()&+.-]|^[._ ]|[. ]$|(?<![^\W\d_])(?=(?:{_SPLITS})(?![^\W\d_])).")
_LONGEST = 200  # bytes; file systems take 255


@frozen
class ImageFolder:
    """Writes ``{split}/{file}``, or with ``by_label`` ``{split}/{label}/{file}``.

    The folder of a label has the label as its name; unsafe characters are written as ``%XX``, as in URLs.
    """

    by_label: bool

    def __call__(self, samples: Iterable[Sample], into: Files) -> Mapping[str, str]:
        """See ``Layout``."""
        with ExitStack() as opened:
            described: dict[str, IO[str]] = {}
            for sample in samples:
                split = sample.split
                if split not in described:
                    metadata = opened.enter_context(into.create(f"{split}/{METADATA}"))
                    described[split] = opened.enter_context(metadata.open("w", encoding="ascii"))
                folder = _folder(str(sample.row["label"])) if self.by_label else ""
                name = PurePosixPath(folder, str(sample.row["file_name"])).as_posix()
                with into.create(f"{split}/{name}") as path:
                    path.write_bytes(sample.data)
                described[split].write(f"{json.dumps({**sample.row, 'file_name': name})}\n")
        return {split: f"{split}/**" for split in described}


def _folder(label: str) -> str:
    """Map distinct labels to distinct folder names."""
    name = _UNSAFE.sub(_escaped, label)
    if len(name.encode()) > _LONGEST:
        name = f"{name.encode()[: _LONGEST - 80].decode(errors='ignore')}%{sha256(label.encode()).hexdigest()}"
    return name or "%"


def _escaped(found: "re.Match[str]") -> str:
    return "".join(f"%{byte:02X}" for byte in found[0].encode())
