"""Plain files of images with captions in COCO's format: ``annotations/captions_{split}.json`` for each split.

The ``row`` of each image has all columns. An image without a ``caption`` has no annotation.
"""

import json
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from tempfile import TemporaryFile

from pixcore_adapters.outputs.export.imagefolder import AddRow, ImageFolder, Index
from pixcore_adapters.outputs.export.layout import ExportRequest, without_shards


def layout(request: ExportRequest) -> ImageFolder:
    """Make the layout for an export.

    Raises:
        InvalidRequest: A shard size is asked for.
    """
    without_shards("coco", request)
    index = Index("annotations/captions_{split}.json", True, partial(_opened, request.title), _USAGE)
    return ImageFolder(request, index)


@contextmanager
def _opened(title: str, path: Path) -> Generator[AddRow]:
    licenses: dict[tuple[str, str], int] = {}
    images = captions = 0
    # The annotations follow all images in the document, so they wait beside it. Memory does not grow with the images.
    with path.open("w", encoding="ascii") as file, TemporaryFile("w+", encoding="ascii", dir=path.parent) as later:
        file.write(f'{{"info": {json.dumps({"description": title})},\n"images": [')

        def add(row: Mapping[str, object]) -> None:
            nonlocal images, captions
            images += 1
            named = (str(row["license"]), str(row["license_url"]))
            number = licenses.setdefault(named, len(licenses) + 1)
            described = {column: row[column] for column in ("file_name", "width", "height")}
            image = {"id": images, **described, "license": number, "coco_url": row["url"], "row": row}
            file.write(f"{',' if images > 1 else ''}\n{json.dumps(image)}")
            if row["caption"]:
                captions += 1
                annotation = {"id": captions, "image_id": images, "caption": row["caption"]}
                later.write(f"{',' if captions > 1 else ''}\n{json.dumps(annotation)}")

        yield add
        file.write('\n],\n"annotations": [')
        later.seek(0)
        while block := later.read(1 << 20):
            file.write(block)
        listed = [{"id": number, "name": name, "url": url} for (name, url), number in licenses.items()]
        file.write(f'\n],\n"licenses": {json.dumps(listed)}}}\n')


_USAGE = """\
`annotations/captions_SPLIT.json` has the captions in COCO's format, and each image's `row`. Images without a caption
have no annotation there. torchvision reads it with `pycocotools`:

```python
from torchvision.datasets import CocoCaptions

images = CocoCaptions(root="PATH/SPLIT", annFile="PATH/annotations/captions_SPLIT.json")
```
"""
