"""The common loaders return every image with every cell as it was written, from each layout and from a store."""

import gzip
from collections.abc import Iterable, Mapping
from pathlib import Path

import loader_cases
import older
import pytest
from exports import LAYOUTS, request_of
from loader_cases import CASES
from loaders import load
from shelf import Shelf

from pixcore.model.images import Candidate, CandidateKey, Miss, Transfer
from pixcore.model.outcomes import OutcomeLines, to_bytes
from pixcore.model.rows import required
from pixcore.stored.samples import samples
from pixcore.stored.splits import Splits
from pixcore_adapters.outputs.card.counts import count
from pixcore_adapters.outputs.card.readme import card
from pixcore_adapters.outputs.export import export
from pixcore_adapters.outputs.export.destinations.folder import Folder

pytestmark = pytest.mark.loaders


def test_every_loader_returns_every_cell(tmp_path: Path) -> None:
    """Pictures of all kinds, texts that look like other types, and columns that only some chunks have."""
    home = loader_cases.home(tmp_path)
    # to `datasets`, the layouts with an index are imagefolders
    datasets = [case for case in CASES["datasets"] if case.layout not in ("csv", "jsonl", "coco")]
    cases = (*datasets, *CASES["loaders"])
    loaded = load("loaders", [[case.loader, str(tmp_path / case.path)] for case in cases], tmp_path / "spare")
    scores = [home.score(case, found) for case, found in zip(cases, loaded, strict=True)]
    wrong = [(case, score) for case, score in zip(cases, scores, strict=True) if not score.complete]
    assert wrong == []


def test_archives_of_different_versions_load_together(tmp_path: Path) -> None:
    """From the store, all images load with the columns that all archives have; from an export, with every column."""
    shelf = Shelf(tmp_path)
    older.store(shelf)
    older.store(shelf, older.LATER)
    (tmp_path / "store/cats/README.md").write_bytes(card(count("cats", shelf.records())))
    request = request_of(shelf.records(), shelf.archives)
    for name, layout in {"flat": "imagefolder", "parquet": "parquet", "webdataset": "webdataset"}.items():
        export(
            samples(shelf.records(), shelf.archives, Splits.parse("train=1"), {}, "label"),
            LAYOUTS[layout](request),
            Folder(tmp_path / name),
            "c",
        )
    loaders = {
        "store/cats": "load_dataset",
        "flat": "load_dataset",
        "parquet": "load_dataset",
        "webdataset": "webdataset",
    }
    loaded = load("loaders", [[loader, str(tmp_path / path)] for path, loader in loaders.items()], tmp_path)
    stored = older.stored_rows(shelf)
    compared = sorted({*required(1)} - {"file_name", "fetched_at"})

    def described(rows: Iterable[Mapping[str, object]], columns: Iterable[str]) -> list[str]:
        return sorted(repr([row[column] for column in columns]) for row in rows)

    in_zips = [row for row in stored if row["url"] not in ("0006.jpg", "0007.jpg")]
    (in_store, *exports) = (splits["train"]["rows"] for splits in loaded)
    assert described(in_store, compared) == described(in_zips, compared)
    empty = {column: 0 if isinstance(value, int) else "" for column, value in older.LATER.items()} | {"row_version": 1}
    for rows in exports:
        wanted = [{**empty, **row} for row in stored]
        assert described(rows, [*compared, *older.LATER]) == described(wanted, [*compared, *older.LATER])


def test_loaders_read_the_outcomes_of_a_chunk_as_they_are(tmp_path: Path) -> None:
    """Lines have different keys; a loader must neither fail nor change a value."""
    keys = [CandidateKey("urls", "l.csv", number) for number in range(3)]
    described = OutcomeLines((("likes", "integer"),))
    by = Transfer("https://example.org/b", 404, 3)
    lines = [
        described.untried(Candidate(keys[0], "https://example.org/a", listed={"likes": 7})),
        described.missed(Miss(Candidate(keys[1], "https://example.org/b"), "http_404", permanent=True, transfer=by)),
        described.missed(Miss(Candidate(keys[2], '🐈 "кот"'), "not_a_url", permanent=True, detail="two\nlines")),
    ]
    file = tmp_path / "chunk_1.jsonl.gz"
    file.write_bytes(gzip.compress(b"".join(map(to_bytes, lines))))
    (loaded,) = load("loaders", [["outcomes", str(file)]], tmp_path)
    assert loaded == {"datasets": lines, "pandas": lines}
