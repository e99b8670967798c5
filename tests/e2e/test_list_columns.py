"""The columns of a list, from the list to what real loaders read from every layout."""

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from command import at_home, jpeg, pixcore
from hostile import Site, picture
from loaders import load

pytestmark = pytest.mark.loaders

IMAGES = 6
LOADED = {
    "store": ["load_dataset"],
    "imagefolder": ["load_dataset", "pandas_metadata"],
    "webdataset": ["load_dataset", "webdataset"],
    "parquet": ["load_dataset", "pyarrow", "duckdb"],
    "csv": ["pandas", "duckdb"],
    "jsonl": ["pandas", "duckdb"],
    "coco": ["coco_json"],
}
COLUMNS = ("url", "caption", "label", "similarity", "n", "boxes", "list_WIDTH", "maybe")


def test_loaders_read_the_columns_of_a_list(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Captions, labels and further columns are the same in the list, in the rows and in every layout."""
    at_home(tmp_path, monkeypatch)
    with Site({f"/{n}.jpg": picture(jpeg(n)) for n in range(IMAGES)}) as site:
        rows: list[dict[str, Any]] = [
            {
                "URL": site.url(f"/{n}.jpg"),
                "TEXT": f'a "cat", n° {n}\n猫' if n else "",
                "label": ["Felis", "Lynx"][n % 2],
                "similarity": 0.25 + n,
                "n": 10 + n,
                "boxes": [[n, 1]],
                "WIDTH": 640 + n,
                "maybe": n or None,
            }
            for n in range(IMAGES)
        ]
        pq.write_table(pa.Table.from_pylist(rows), "cats.parquet", row_group_size=2)
        ran = pixcore("run", "--source", "urls:cats.parquet", "--json", "--allow-private-hosts", site.host)
    assert (ran.code, ran.chunks[0]["accepted"]) == (0, IMAGES)
    wanted = [
        (
            row["URL"],
            row["TEXT"],
            row["label"],
            repr(row["similarity"]),
            row["n"],
            str(row["boxes"]),
            row["WIDTH"],
            str(row["maybe"] or ""),
        )
        for row in rows
    ]
    assert "Lynx" in Path("pixcore-data/blobs/cats/README.md").read_text()
    for layout in LOADED:
        if layout != "store":
            assert pixcore("export", "cats", "--format", layout, "--out", layout).code == 0
    Path("store").symlink_to("pixcore-data/blobs/cats")
    pairs = [(loader, layout) for layout, loaders in LOADED.items() for loader in loaders]
    loaded = load("loaders", [[loader, str(tmp_path / layout)] for loader, layout in pairs], tmp_path / "spare")
    for pair, splits in zip(pairs, loaded, strict=True):
        (split,) = splits.values()
        found = [_flat(row) for row in split["rows"]]
        assert sorted(tuple(row[column] for column in COLUMNS) for row in found) == sorted(wanted), pair


def _flat(row: dict[str, Any]) -> dict[str, Any]:
    """Return the row of a sample, with the columns that a WebDataset keeps in its JSON."""
    return {**row, **row["json"]} if isinstance(row.get("json"), dict) else row
