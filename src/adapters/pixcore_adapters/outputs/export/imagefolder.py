"""Write the images as files, one folder for each split, with a ``metadata.parquet`` that describes them.

Layouts that add an index for other tools are made of this one.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack
from hashlib import sha256
from pathlib import Path, PurePosixPath

from attrs import frozen

from pixcore.stored.samples import Sample
from pixcore_adapters.outputs.export.destinations import Files
from pixcore_adapters.outputs.export.layout import ExportRequest, Loading, without_shards
from pixcore_adapters.outputs.features import features
from pixcore_adapters.row_table import row_table

_METADATA = "metadata.parquet"

_SPLITS = "train|training|valid|validation|dev|val|test|testing|eval|evaluation"
# Characters that are escaped in the name of a folder: all but letters, digits and the punctuation that every file
# system and loader accepts; a first character that hides the folder, or a last one that file systems drop; and the
# first letter of a word that loaders take for the name of a split.
_UNSAFE = re.compile(rf"[^\w ,'()&+.-]|^[._ ]|[. ]$|(?<![^\W\d_])(?=(?:{_SPLITS})(?![^\W\d_])).")
_LONGEST = 200  # bytes; file systems take 255
# The extensions of files that torchvision's ImageFolder takes for images unless it is told otherwise.
_TORCHVISION = frozenset({"jpg", "jpeg", "png", "ppm", "bmp", "pgm", "tif", "tiff", "webp"})

AddRow = Callable[[Mapping[str, object]], None]


@frozen
class Index:
    """A file that describes the images of a split for a tool.

    Attributes:
        name: Its name within the export; ``{split}`` stands for the split.
        below_split: Whether its ``file_name`` is relative to the split's folder; otherwise it is to the export's.
        opened: Opens it at a path, and returns the function that adds the row of an image.
        usage: How people load it, in Markdown.
    """

    name: str
    below_split: bool
    opened: Callable[[Path], AbstractContextManager[AddRow]]
    usage: str


@frozen
class ImageFolder:
    """A ``Layout``: ``{split}/{file}``, or with classes ``{split}/{label}/{file}``.

    The folder of a label has the label as its name; unsafe characters are written as ``%XX``, as in URLs. Each split
    has a ``metadata.parquet`` and, if there is one, an ``index``.
    """

    request: ExportRequest
    index: Index | None = None

    @classmethod
    def of(cls, request: ExportRequest) -> "ImageFolder":
        """Make the layout for an export.

        Raises:
            InvalidRequest: A shard size is asked for.
        """
        without_shards("imagefolder", request)
        return cls(request)

    def write(self, samples: Iterable[Sample], files: Files) -> Loading:
        """See ``Layout``."""
        skipped: Counter[str] = Counter()
        with ExitStack() as opened:
            described: dict[str, list[tuple[str, AddRow]]] = {}
            for sample in samples:
                skipped[str(sample.row["format"])] += sample.extension not in _TORCHVISION
                split = sample.split
                if split not in described:
                    described[split] = list(self._described(split, files, opened))
                folder = _folder(str(sample.row["label"])) if self.request.classes else ""
                name = PurePosixPath(folder, str(sample.row["file_name"])).as_posix()
                with files.create(f"{split}/{name}") as path:
                    path.write_bytes(sample.data)
                for prefix, add in described[split]:
                    add({**sample.row, "file_name": f"{prefix}{name}"})
        columns = {"image" if column == "file_name" else column: kind for column, kind in self.request.columns.items()}
        typed = features(columns, self.request.classes) | {"image": "image"}
        usage = (_USAGE_OF_CLASSES if self.request.classes else "", self.index.usage if self.index else "")
        notes = _skipped(+skipped) if self.request.classes else ()
        return Loading(
            {split: f"{split}/**" for split in described}, typed, usage="\n".join(filter(None, usage)), notes=notes
        )

    def _described(self, split: str, files: Files, opened: ExitStack) -> Iterator[tuple[str, AddRow]]:
        """Open the files that describe a split. Yield for each what precedes the names of its files, and its rows."""
        path = opened.enter_context(files.create(f"{split}/{_METADATA}"))
        yield "", opened.enter_context(row_table(opened.enter_context(path.open("wb")), self.request.columns)).add
        if index := self.index:
            path = opened.enter_context(files.create(index.name.format(split=split)))
            yield "" if index.below_split else f"{split}/", opened.enter_context(index.opened(path))


_USAGE_OF_CLASSES = """\
torchvision takes the folders as classes. It skips files whose extension it does not know, such as GIF and AVIF, unless
it is told that every file is an image:

```python
from torchvision.datasets import ImageFolder

images = ImageFolder("PATH/SPLIT", is_valid_file=lambda path: True)
```
"""


def _skipped(formats: Counter[str]) -> tuple[str, ...]:
    counts = ", ".join(f"{count} {name}" for name, count in sorted(formats.items()))
    note = f"torchvision's ImageFolder skips {counts} unless it gets is_valid_file, as README.md shows"
    return (f"{note}; export with --encode jpg to convert them",) if counts else ()


def _folder(label: str) -> str:
    """Map distinct labels to distinct folder names."""
    name = _UNSAFE.sub(_escaped, label)
    if len(name.encode()) > _LONGEST:
        name = f"{name.encode()[: _LONGEST - 80].decode(errors='ignore')}%{sha256(label.encode()).hexdigest()}"
    return name or "%"


def _escaped(found: "re.Match[str]") -> str:
    return "".join(f"%{byte:02X}" for byte in found[0].encode())
