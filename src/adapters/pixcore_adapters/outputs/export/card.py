"""Write the card of an export: the files, types and sizes of its splits for loaders, and for people how to load it."""

from collections.abc import Iterator, Mapping

from pixcore_adapters.outputs.export.layout import Loading
from pixcore_adapters.outputs.features import declared


def card(title: str, loading: Loading, counts: Mapping[str, int]) -> str:
    """Return the card. ``counts`` has the number of images of each split."""
    return "\n".join(_lines(title, loading, counts))


def _lines(title: str, loading: Loading, counts: Mapping[str, int]) -> Iterator[str]:
    if loading.features:
        yield from ("---", "configs:", "- config_name: default", "  data_files:")
        for split, pattern in loading.data_files.items():
            yield from (f"  - split: {split}", f"    path: {pattern}")
        yield from (*declared(loading.features, of_tar=loading.of_tar), "---", "")
    yield from (f"# {title}", "", "| split | images |", "|---|---|")
    yield from (f"| {split} | {counts[split]} |" for split in loading.data_files)
    yield from (
        "",
        "## How to load",
        "",
        "Replace `PATH` by the path of this folder, and `SPLIT` by the name of a split.",
    )
    if loading.features:
        yield _LOAD_DATASET
    yield from ("", loading.usage, _ORIENTATION)


_LOAD_DATASET = """
```python
from datasets import load_dataset

images = load_dataset("PATH", split="SPLIT")
```"""
_ORIENTATION = """\
`width` and `height` are those of the stored pixels. `orientation` says how a viewer turns them; from 5 on, the sides
are swapped. `datasets` turns the image; Pillow, torchvision and `webdataset` do not.
"""
