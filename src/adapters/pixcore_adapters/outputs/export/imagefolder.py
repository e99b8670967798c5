"""One folder a split, with its images as files and a ``metadata.jsonl`` that describes them."""

import json
import re
from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from hashlib import sha256
from pathlib import Path
from typing import IO

from attrs import frozen

from pixcore.model.rows import METADATA
from pixcore.stored.samples import Sample

_SPLITS = "train|training|valid|validation|dev|val|test|testing|eval|evaluation"
# What may not stay in a folder's name: all but letters and digits of any language, and marks that no file system and no
# loader minds; what hides it or gets lost at its ends; and the first letter of what loaders take for a split's name,
# where it stands as a word.
_UNSAFE = re.compile(rf"[^\w ,'()&+.-]|^[._ ]|[. ]$|(?<![^\W\d_])(?=(?:{_SPLITS})(?![^\W\d_])).")
_LONGEST = 200  # bytes; file systems take 255


@frozen
class ImageFolder:
    """Writes ``{split}/{file}``, or with ``by_label`` ``{split}/{label}/{file}``.

    A label's folder is called as the label; characters that would harm there are written ``%XX``, as in URLs.
    """

    by_label: bool

    def __call__(self, samples: Iterable[Sample], into: Path) -> Mapping[str, str]:
        """See ``Layout``."""
        with ExitStack() as opened:
            described: dict[str, IO[str]] = {}
            for sample in samples:
                folder = into / sample.split
                if sample.split not in described:
                    folder.mkdir()
                    described[sample.split] = opened.enter_context((folder / METADATA).open("w", encoding="ascii"))
                place = Path(_folder(str(sample.row["label"])) if self.by_label else "", str(sample.row["file_name"]))
                (folder / place.parent).mkdir(exist_ok=True)
                (folder / place).write_bytes(sample.data)
                described[sample.split].write(f"{json.dumps({**sample.row, 'file_name': place.as_posix()})}\n")
        return {split: f"{split}/**" for split in described}


def _folder(label: str) -> str:
    """Another name for every other label."""
    name = _UNSAFE.sub(_escaped, label)
    if len(name.encode()) > _LONGEST:
        name = f"{name.encode()[: _LONGEST - 80].decode(errors='ignore')}%{sha256(label.encode()).hexdigest()}"
    return name or "%"


def _escaped(found: "re.Match[str]") -> str:
    return "".join(f"%{byte:02X}" for byte in found[0].encode())
