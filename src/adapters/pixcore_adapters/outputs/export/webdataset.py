"""Write tar shards for WebDataset. The files of a sample are adjacent and share a key without dots.

Each sample has the same extensions, because loaders take those of the first samples for those of all: ``datasets``
fails on a shard that mixes ``.jpg`` and ``.png``, or loads a sample without its picture. So every image is a ``.jpg``,
whatever its format: loaders decode by content, and the column ``format`` names the format.
"""

import io
import json
import tarfile
from collections.abc import Generator, Iterable
from contextlib import contextmanager
from pathlib import Path

from attrs import field, frozen

from pixcore.stored.samples import Sample
from pixcore_adapters.outputs.export.destinations import Files
from pixcore_adapters.outputs.export.layout import ExportRequest, Loading
from pixcore_adapters.outputs.export.shards import Add, spread
from pixcore_adapters.outputs.features import ClassLabel, Feature, features

_HEADER = 512


@frozen
class WebDataset:
    """A ``Layout``: ``{split}-000000.tar`` and so on.

    A sample is ``{key}.jpg``, its row ``{key}.json``, its caption ``{key}.txt`` (empty if it has none) and, with
    classes, the number of its class ``{key}.cls``.
    """

    request: ExportRequest
    _numbers: dict[str, int] = field(init=False)

    @_numbers.default
    def _(self) -> dict[str, int]:
        return {name: number for number, name in enumerate(self.request.classes)}

    def write(self, samples: Iterable[Sample], files: Files) -> Loading:
        """See ``Layout``."""
        patterns = spread(samples, files, "tar", self.request.shard, self._shard)
        typed: dict[str, Feature] = {
            "jpg": "image",
            "json": features(self.request.columns),
            "txt": "string",
            **({"cls": ClassLabel(self.request.classes)} if self.request.classes else {}),
            "__key__": "string",
            "__url__": "string",
        }
        return Loading(patterns, typed, of_tar=True, usage=_USAGE)

    @contextmanager
    def _shard(self, path: Path) -> Generator[Add]:
        with tarfile.open(path, "w", format=tarfile.USTAR_FORMAT) as shard:

            def put(name: str, data: bytes) -> int:
                member = tarfile.TarInfo(name)  # without owner and time, so that the same samples give the same bytes
                member.size = len(data)
                shard.addfile(member, io.BytesIO(data))
                return _HEADER + len(data)

            def add(sample: Sample) -> int:
                image = f"{sample.key}.jpg"
                size = put(image, sample.data)
                size += put(f"{sample.key}.json", json.dumps({**sample.row, "file_name": image}).encode())
                size += put(f"{sample.key}.txt", str(sample.row["caption"]).encode())
                if self._numbers:
                    size += put(f"{sample.key}.cls", str(self._numbers[str(sample.row["label"])]).encode())
                return size

            yield add


_USAGE = """\
The image of each sample is its `.jpg`, whatever its format; loaders decode by content. `.json` is its row, `.txt` its
caption, `.cls` the number of its class, if there are classes. With `webdataset`:

```python
from glob import glob

import webdataset as wds

shards = sorted(glob("PATH/SPLIT-*.tar"))
images = wds.WebDataset(shards, shardshuffle=False).decode("pil").to_tuple("jpg", "json")
```
"""
