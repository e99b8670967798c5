"""Run the commands of docs/from-img2dataset.md as they are written, on lists in the form of the published ones."""

import base64
import csv
import hashlib
import io
import json
import re
import shlex
import tarfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from command import at_home, jpeg, pixcore
from hostile import Site, picture
from PIL import Image

PAGE = (Path(__file__).parents[2] / "docs" / "from-img2dataset.md").read_text()
COMMANDS = [
    shlex.split(line)
    for block in re.findall(r"^```console\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)
    for line in re.findall(r"^\$ pixcore (.+)$", block, re.MULTILINE)
]
IMAGES = 6
BY, NC = "https://creativecommons.org/licenses/by/2.0/", "https://creativecommons.org/licenses/by-nc/2.0/"


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    """Change to a folder with the lists; yield the site that their URLs lead to."""
    at_home(tmp_path, monkeypatch)
    with Site({f"/{n}.jpg": picture(jpeg(n)) for n in range(IMAGES)}) as site:
        monkeypatch.setenv("PIXCORE_PRIVATE_HOSTS", site.host)
        write_lists([site.url(f"/{n}.jpg") for n in range(IMAGES)])
        yield site


def write_lists(urls: list[str]) -> None:
    """Write the lists. The last checksum of OpenImages is that of another image."""
    texts = [f"a cat, {n}" for n in range(IMAGES)]
    digests = [hashlib.md5(jpeg(n), usedforsecurity=False) for n in range(IMAGES)]
    laion = {
        "URL": urls,
        "TEXT": texts,
        "WIDTH": [64] * IMAGES,
        "NSFW": ["UNLIKELY"] * IMAGES,
        "similarity": [0.3] * IMAGES,
    }
    pq.write_table(pa.table(laion), "laion.parquet", row_group_size=4)
    Path("cc12m.tsv").write_text("".join(f"{url}\t{text}\n" for url, text in zip(urls, texts, strict=True)))
    rows = io.StringIO()
    writer = csv.writer(rows)
    writer.writerow(["ImageID", "OriginalURL", "License", "Author", "Title", "OriginalMD5"])
    for n, url in enumerate(urls):
        md5 = base64.b64encode(digests[min(n, IMAGES - 2)].digest()).decode()
        writer.writerow([f"{n:04}", url, NC if n == 0 else BY, "Jane", f'"{texts[n]}"', md5])
    Path("openimages.csv").write_text(rows.getvalue())
    Path("pd12m").mkdir()
    for n, url in enumerate(urls):
        row = {"id": str(n), "url": url, "caption": texts[n], "mime_type": "image/jpeg", "source": "x"}
        pq.write_table(pa.Table.from_pylist([row | {"hash": digests[n].hexdigest()}]), f"pd12m/{n}.parquet")


def rows(dataset: str) -> list[dict[str, str]]:
    """Return the rows of all archives of a dataset."""
    document = pixcore("status", dataset, "--json").document
    found: list[dict[str, str]] = []
    for chunk in document["chunks"]:
        with zipfile.ZipFile(chunk["url"].removeprefix("file://")) as archive:
            name = next(name for name in archive.namelist() if name.endswith(".jsonl"))
            found += map(json.loads, archive.read(name).decode().splitlines())
    return found


@pytest.mark.usefixtures("site")
def test_the_commands_of_the_page_do_what_it_says() -> None:
    """Whoever moves copies them. Checksums and licences leave out what the lists say."""
    assert [pixcore(*words).code for words in COMMANDS] == [0] * 6
    assert [row["caption"] for row in rows("laion")] == [f"a cat, {n}" for n in range(IMAGES)]
    assert {row["similarity"] for row in rows("laion")} == {"0.3"}
    with tarfile.open(next(Path("laion-tars").glob("*.tar"))) as shard:
        pictures = [Image.open(shard.extractfile(name) or "") for name in shard.getnames() if name.endswith(".jpg")]
        assert [one.size for one in pictures] == [(256, 256)] * IMAGES
    assert len(rows("cc12m")) == 4
    assert [(row["ImageID"], row["caption"]) for row in rows("openimages")] == [
        (f"{n:04}", f'"a cat, {n}"') for n in range(1, IMAGES - 1)
    ]
    assert {(row["mime_type"], row["id"]) for row in rows("pd12m")} == {("image/jpeg", str(n)) for n in range(IMAGES)}
    assert rows("pd12m")[0]["keyword"] == "pd12m"
