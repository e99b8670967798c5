"""Write tar shards for WebDataset: an image and its row are adjacent and share a key without dots."""

import io
import json
import tarfile
from collections.abc import Generator, Iterable, Mapping
from contextlib import contextmanager
from pathlib import Path

from pixcore.stored.samples import Sample
from pixcore_adapters.outputs.export import Add, Layout, spread
from pixcore_adapters.outputs.export.destinations import Files


def layout(*, by_label: bool) -> Layout:  # noqa: ARG001 - the row of an image has its label
    """Return the function that writes this layout."""
    return webdataset


def webdataset(samples: Iterable[Sample], into: Files) -> Mapping[str, str]:
    """Write ``{split}-000000.tar`` and so on; see ``Layout``."""
    return spread(samples, into, "tar", _shard)


@contextmanager
def _shard(path: Path) -> Generator[Add]:
    with tarfile.open(path, "w", format=tarfile.USTAR_FORMAT) as shard:

        def put(name: str, data: bytes) -> None:
            member = tarfile.TarInfo(name)  # without owner and time, so that the same samples give the same bytes
            member.size = len(data)
            shard.addfile(member, io.BytesIO(data))

        def add(sample: Sample) -> None:
            put(f"{sample.key}.{sample.extension}", sample.data)
            put(f"{sample.key}.json", json.dumps(sample.row).encode())

        yield add
