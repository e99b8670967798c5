"""iNaturalist's open tables: joined into a list of photos that has the species, creator, licence and page of each."""

import gzip
import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from command import at_home, pixcore
from contract.source import Asked, Reply, serving

TAXA = [
    ("taxon_id", "ancestry", "rank_level", "rank", "name", "active"),
    (48460, "", 100, "stateofmatter", "Life", "true"),
    (1, "48460", 70, "kingdom", "Animalia", "true"),
    (70, "48460/1", 20, "genus", "Ailurus", "true"),
    (7, "48460/1/70", 10, "species", "Ailurus fulgens", "true"),
    (71, "48460/1/70/7", 5, "subspecies", "Ailurus fulgens fulgens", "true"),
    (8, "48460/1", 10, "species", "Ursus arctos", "true"),
    (700, "48460/1", 10, "species", "Ailurus gone", "false"),
    (9, "48460/1", 20, "genus", "Morus", "true"),
    (10, "48460", 20, "genus", "Morus", "true"),
]
OBSERVERS = [("observer_id", "login", "name"), (5, "ada", 'Ada "A." Lovelace'), (6, "ben", "")]


def write(folder: Path, tables: dict[str, list[Any]]) -> Path:
    """Write tables as iNaturalist does: separated by tabs, gzipped, with quotes that mean nothing."""
    folder.mkdir()
    for name, rows in tables.items():
        text = "".join("\t".join(map(str, row)) + "\n" for row in rows)
        (folder / f"{name}.csv.gz").write_bytes(gzip.compress(text.encode()))
    return folder


def observation(number: int, taxon: int, grade: str = "research") -> Sequence[object]:
    """Return a row of the table of observations."""
    return (f"observation-{number}", 5, 1.5, 2.5, 10, taxon, grade, "2024-05-01", 0)


def photo(number: int, observed: int, license: str = "CC-BY-NC", observer: int = 5) -> Sequence[object]:  # noqa: A002
    """Return a row of the table of photos."""
    return (f"photo-{number}", number, f"observation-{observed}", observer, "jpg", license, 2048, 1536, 0)


@pytest.fixture
def tables(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder with 600 photos of red pandas, a few of bears, and rows with each fault."""
    at_home(tmp_path, monkeypatch)
    observations = [observation(n, 71 if n % 3 == 0 else 7) for n in range(300)]
    photos = [photo(n, n // 2, "CC0" if n % 2 else "CC-BY-NC", 5 + n % 2) for n in range(599, -1, -1)]
    observations += [observation(1000, 8), observation(1001, 70), observation(1002, 7, "casual")]
    photos += [photo(7, 3), photo(2000, 1000), photo(2001, 1001), photo(2002, 1002), photo(2003, 1, ""), (1, 2)]
    photos += [photo(2004, 9999), ("photo-x", "x", "observation-1", 5, "jpg", "CC0", 1, 1, 0)]
    observed = "observation_uuid observer_id latitude longitude positional_accuracy taxon_id quality_grade observed_on"
    of_photos = "photo_uuid photo_id observation_uuid observer_id extension license width height position"
    return write(
        tmp_path / "tables",
        {
            "taxa": TAXA,
            "observers": OBSERVERS,
            "observations": [(*observed.split(), "anomaly_score"), *observations],
            "photos": [of_photos.split(), *photos],
        },
    )


def listed(path: str) -> list[dict[str, Any]]:
    """Return the entries of a list."""
    return [json.loads(line) for line in gzip.decompress(Path(path).read_bytes()).splitlines()]


def test_all_photos_of_a_taxon_are_listed_with_their_provenance(tables: Path) -> None:
    """A photo of a subspecies is one of its species; what is left out is counted by its reason."""
    ran = pixcore("inaturalist", tables, "ailurus", "--out", "pandas.jsonl.gz", "--json")
    assert (ran.code, ran.document["photos"], ran.document["species"]) == (0, 600, 1), ran.err
    assert ran.document["left_out"] == {
        "photos of another quality": 1,
        "photos of no certain species": 1,
        "photos without a known licence": 1,
        "rows of photos that several observations have": 1,
        "rows with another number of columns": 1,
        "rows without a number": 1,
    }
    assert "left out: photos of another quality: 1" in ran.err
    entries = listed("pandas.jsonl.gz")
    assert [entry["photo_id"] for entry in entries] == list(range(600))
    assert {entry["label"] for entry in entries} == {"Ailurus fulgens"}
    assert Counter(entry["taxon_rank"] for entry in entries) == {"subspecies": 200, "species": 400}
    assert entries[2] == {
        "url": "https://inaturalist-open-data.s3.amazonaws.com/photos/2/original.jpg",
        "page_url": "https://www.inaturalist.org/observations/observation-1",
        "title": "Ailurus fulgens",
        "creator": 'Ada "A." Lovelace',
        "license": "CC BY-NC 4.0",
        "license_url": "https://creativecommons.org/licenses/by-nc/4.0/",
        "label": "Ailurus fulgens",
        "photo_id": 2,
        "taxon_id": 7,
        "taxon_rank": "species",
        "quality_grade": "research",
        "observed_on": "2024-05-01",
    }
    assert (entries[1]["creator"], entries[1]["license"]) == ("ben", "CC0 1.0")
    planned = pixcore("plan", "--source", "urls:pandas.jsonl.gz", "--license", "cc0", "--json")
    assert [planned.document["lists"][0][name] for name in ("rows", "rows_without_url")] == [600, 0], planned.err
    assert sum(chunk["target"] for chunk in planned.chunks) == 300


def test_tables_are_read_from_a_web_address(tables: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The bucket is public, so a user need not download the tables beforehand; one is on the disk at a time."""

    def answer(asked: Asked) -> Reply:
        file = tables / asked.path.rpartition("/")[2]
        return Reply(file.read_bytes()) if file.is_file() else Reply(status=404)

    with serving(answer) as server:
        monkeypatch.setenv("PIXCORE_PRIVATE_HOSTS", f"127.0.0.1:{server.port}")
        ran = pixcore("inaturalist", f"{server.url}/open/", "7", "--out", "list.jsonl.gz", "--json")
        assert (ran.code, ran.document["photos"]) == (0, 600), ran.err
        names = [f"/open/{name}.csv.gz" for name in ("taxa", "observations", "observers", "photos")]
        assert [asked.path for asked in server.asked] == names
        (tables / "observers.csv.gz").unlink()
        missing = pixcore("inaturalist", f"{server.url}/open", "7", "--out", "other.jsonl.gz")
    assert (missing.code, missing.out) == (2, "")
    assert f"{server.url}/open/observers.csv.gz: http_404" in missing.err


@pytest.mark.parametrize(
    ("words", "photos"),
    [
        (("71",), 200),
        (("Ursus arctos",), 1),
        (("7", "--quality", "any", "--license", "cc0,by"), 300),
        (("7", "--quality", "casual", "--size", "medium"), 1),
        ((), 601),
    ],
    ids=["by number", "another species", "licences", "another quality", "all of life"],
)
def test_taxon_quality_and_licences_choose(tables: Path, words: tuple[str, ...], photos: int) -> None:
    """Each choice must narrow the list, and nothing else may."""
    ran = pixcore("inaturalist", tables, *words, "--out", "list.jsonl.gz", "--json")
    assert (ran.code, ran.document["photos"]) == (0, photos), ran.err
    if "medium" in words:
        assert listed("list.jsonl.gz")[0]["url"].endswith("/2002/medium.jpg")


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (("Panthera",), 2, "the table of taxa has no taxon 'Panthera'; write its scientific name or its number"),
        (("Morus",), 2, "several taxa are called Morus; write the number of one of them: 9 (genus), 10 (genus)"),
        (("Ailurus gone",), 4, "the tables have no photo to list; left out: rows with another number of columns: 1,"),
    ],
)
def test_an_unusable_taxon_is_one_line_and_no_list(
    tables: Path, words: tuple[str, ...], code: int, message: str
) -> None:
    """The name must be one of the tables, and one of a single taxon; an empty list would only fail later."""
    ran = pixcore("inaturalist", tables, *words, "--out", "list.jsonl.gz")
    assert (ran.code, ran.out) == (code, "")
    assert ran.err.startswith(f"pixcore: {message}")
    assert not Path("list.jsonl.gz").exists()


def test_unusable_tables_and_names_are_one_line(tables: Path) -> None:
    """A table that is missing, cut off or another one must be named, with what to do."""
    Path("kept.jsonl.gz").write_bytes(b"kept")
    assert "kept.jsonl.gz exists; name another file" in pixcore("inaturalist", tables, "--out", "kept.jsonl.gz").err
    assert "must end in .jsonl.gz" in pixcore("inaturalist", tables, "--out", "list.csv").err
    photos = tables / "photos.csv.gz"
    whole = photos.read_bytes()
    photos.write_bytes(whole[: len(whole) // 2])
    cut = pixcore("inaturalist", tables, "7", "--out", "list.jsonl.gz")
    assert (cut.code, "photos.csv.gz cannot be read: EOFError: " in cut.err) == (2, True), cut.err
    photos.write_bytes((tables / "taxa.csv.gz").read_bytes())
    assert "photos.csv.gz has no column 'photo_id'" in pixcore("inaturalist", tables, "--out", "list.jsonl.gz").err
    photos.unlink()
    missing = pixcore("inaturalist", tables, "7", "--out", "list.jsonl.gz")
    assert (missing.code, "has no table photos.csv.gz" in missing.err) == (2, True)
    assert sorted(path.name for path in Path().iterdir()) == ["kept.jsonl.gz", "tables"]
