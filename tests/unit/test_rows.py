"""Users load the rows of a dataset: they must be correct and load everywhere."""

import json
import re
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from pixcore.errors import InvalidRequest
from pixcore.model.images import Accepted, Candidate, CandidateKey, Download, Provenance, Transfer
from pixcore.model.measures import Measures
from pixcore.model.quality import Fingerprint
from pixcore.model.requests import ChunkRequest, Slice
from pixcore.model.rows import (
    COLUMNS,
    NUMBERS,
    ROW_VERSION,
    Row,
    candidate,
    complete,
    fetched_at,
    metadata,
    own_name,
    required,
    reserved,
    row,
)

REQUEST = ChunkRequest(0, "Siamese cat", 500, (Slice("folder", "/a", 0, 9),), dataset="cats")
IMAGE = Accepted(
    Download(
        Candidate(
            CandidateKey("openverse", "Siamese cat", 4),
            "https://example.org/4.png",
            Provenance("https://example.org/4", "A cat", "Ann", "CC BY 4.0", "https://cc/by", "noai", "A cat on a mat"),
        ),
        Path("/work/4"),
        size=1234,
        fetched_at=datetime(2024, 2, 29, 23, 59, 58, 999_999, tzinfo=UTC),
    ),
    sha256="ab" * 32,
    width=640,
    height=480,
    format="PNG",
    fingerprint=Fingerprint(0x1F, 2**64 - 1, "phash pillow-13.0", flat=False),
    frames=3,
    mode="RGB",
    orientation=6,
    measures=Measures(720, 3, 60, 400, 7000, 0, 1333, 0),
)


def test_a_candidate_that_is_restored_from_its_row_gets_the_same_row() -> None:
    """A retry takes good images from the archive, and must not change what is recorded of them."""
    request = evolve(REQUEST, columns=(("score", "integer"), ("note", "string")))
    key = CandidateKey("urls", "/list.csv", 4)
    listed = evolve(IMAGE.download.candidate, key=key, label="siam", listed={"score": 7, "note": "of \udcff"})
    first = row(7, evolve(IMAGE, download=evolve(IMAGE.download, candidate=listed)), request)
    values = complete(json.loads(metadata([first])))
    restored = evolve(IMAGE.download, candidate=candidate(values, key), fetched_at=fetched_at(values))
    assert row(7, evolve(IMAGE, download=restored), request) == first


# any text, with lone surrogates, which file names that are not UTF-8 contain
texts = st.text(st.characters())
rows = st.builds(
    Row,
    **{column: st.integers() if column in NUMBERS else texts for column in COLUMNS},
)


def test_a_row_describes_the_image() -> None:
    """Its creator, origin and licence are recorded nowhere else."""
    assert row(7, IMAGE, REQUEST).values() == {
        "file_name": "images/000007.png",
        "label": "Siamese cat",
        "keyword": "Siamese cat",
        "source": "openverse",
        "url": "https://example.org/4.png",
        "page_url": "https://example.org/4",
        "title": "A cat",
        "creator": "Ann",
        "license": "CC BY 4.0",
        "license_url": "https://cc/by",
        "opt_out": "noai",
        "sha256": "ab" * 32,
        "phash": "000000000000001f",
        "dhash": "ffffffffffffffff",
        "hash_method": "phash pillow-13.0",
        "width": 640,
        "height": 480,
        "format": "PNG",
        "bytes": 1234,
        "fetched_at": "2024-02-29T23:59:58Z",
        "row_version": ROW_VERSION,
        "caption": "A cat on a mat",
        "orientation": 6,
        "frames": 3,
        "mode": "RGB",
        "sharpness": 720,
        "darkest": 3,
        "lightest": 60,
        "contrast": 400,
        "information": 7000,
        "colourfulness": 0,
        "aspect": 1333,
        "text_lines": 0,
        "flags": "dark,grayscale",
        "original_sha256": "",
        "original_width": 0,
        "original_height": 0,
        "original_bytes": 0,
        "conversion": "",
        "final_url": "",
    }


@pytest.mark.parametrize(("redirected", "final"), [(True, "https://cdn.example/a.jpg?token=***"), (False, "")])
def test_the_end_of_redirects_stands_in_the_row(final: str, *, redirected: bool) -> None:
    """Where an image came from is not where its list says; without redirects the same URL would stand there twice."""
    transfer = Transfer("https://cdn.example/a.jpg?token=secret", 200, 1, redirected)
    fetched = evolve(IMAGE, download=evolve(IMAGE.download, transfer=transfer))
    assert row(0, fetched, REQUEST).final_url == final


def test_a_row_of_an_image_that_was_not_measured() -> None:
    """A validator of other people's need not measure anything."""
    values = row(0, evolve(IMAGE, measures=None), REQUEST).values()
    assert [values[name] for name in ("sharpness", "aspect", "text_lines", "flags")] == [0, 0, 0, ""]


def test_the_columns_and_their_order_are_documented() -> None:
    """Users' code depends on them; a new order would change the bytes of every archive."""
    promised = (
        "file_name label keyword source url page_url title creator license license_url opt_out"
        " sha256 phash dhash hash_method width height format bytes fetched_at row_version caption"
        " orientation frames mode"
        " sharpness darkest lightest contrast information colourfulness aspect text_lines flags"
        " original_sha256 original_width original_height original_bytes conversion final_url"
    )
    assert tuple(promised.split()) == COLUMNS
    assert list(json.loads(metadata([row(0, IMAGE, REQUEST)]))) == promised.split()


def test_no_column_is_taken_for_a_picture() -> None:
    """The imagefolder loader reads a column `image`, and any that ends in `_file_name`, as files."""
    assert not [column for column in COLUMNS if reserved(column)]
    assert [reserved(name) for name in ("image", "mask_file_name", "file_name", "images")] == [True, True, False, False]


def test_rows_of_every_version_have_the_columns_that_it_wrote() -> None:
    """Stored rows are never rewritten: a column that is missing in this list would make older archives faulty."""
    first = (
        "file_name label keyword source url page_url title creator license license_url opt_out"
        " sha256 phash dhash hash_method width height format bytes fetched_at"
    )
    assert required(1) == tuple(first.split())
    second = (
        "row_version caption orientation frames mode"
        " sharpness darkest lightest contrast information colourfulness aspect text_lines flags"
    )
    assert required(2) == (*required(1), *second.split())
    assert required(ROW_VERSION) == required(ROW_VERSION + 1) == COLUMNS


def test_an_older_row_is_completed() -> None:
    """Users' code finds every column, whichever version of pixcore made the archive; unknown columns stay."""
    newest = row(0, IMAGE, REQUEST).values()
    assert complete(newest) == newest
    oldest = {column: newest[column] for column in required(1)}
    added = {column: 0 if column in NUMBERS else "" for column in COLUMNS if column not in oldest}
    assert complete(oldest) == oldest | added | {"row_version": 1}
    assert complete(newest | {"row_version": 99, "mood": "calm"}) == newest | {"row_version": 99, "mood": "calm"}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda row: row.pop("title"), f"a row of version {ROW_VERSION} lacks title"),
        (lambda row: row.pop("row_version") and row.pop("title"), "a row of version 1 lacks title"),
        (lambda row: row.update(image="x"), f"a row of version {ROW_VERSION} has a column image"),
        (lambda row: row.update(mask_file_name="x"), f"a row of version {ROW_VERSION} has a column mask_file_name"),
    ],
)
def test_a_row_that_no_version_wrote_is_refused(change: Callable[[dict[str, object]], object], message: str) -> None:
    """An export of it would lack values that the image had, or load as something else."""
    stored = row(0, IMAGE, REQUEST).values()
    change(stored)
    with pytest.raises(InvalidRequest, match=f"{message}; `pixcore verify` lists every fault"):
        complete(stored)


def test_a_label_takes_precedence_over_the_keyword() -> None:
    """One class may be collected with several keywords."""
    labelled = row(0, IMAGE, evolve(REQUEST, label="cat"))
    assert (labelled.label, labelled.keyword) == ("cat", "Siamese cat")


@pytest.mark.parametrize(
    ("found", "extension"),
    [
        ("JPEG", "jpg"),
        ("MPO", "jpg"),
        ("TIFF", "tif"),
        ("PNG", "png"),
        ("GIF", "gif"),
        ("WEBP", "webp"),
        ("BMP", "bmp"),
    ],
)
def test_the_extension_is_that_of_the_detected_format(found: str, extension: str) -> None:
    """A PNG that its server named .jpg must open here."""
    assert row(3, evolve(IMAGE, format=found), REQUEST).file_name == f"images/000003.{extension}"


@given(st.datetimes(timezones=st.just(UTC)))
def test_times_have_one_format(moment: datetime) -> None:
    """One time stamp of another format would make a loader read the whole column as text, or refuse it."""
    written = row(0, evolve(IMAGE, download=evolve(IMAGE.download, fetched_at=moment)), REQUEST).fetched_at
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", written)
    assert datetime.fromisoformat(written) == moment.replace(microsecond=0)


@given(st.lists(rows, max_size=4))
def test_any_text_survives_and_nothing_is_null(described: list[Row]) -> None:
    """Titles and file names are text from outside: each image still has exactly one line."""
    lines = metadata(described).split(b"\n")
    assert lines.pop() == b""
    loaded = [json.loads(line) for line in lines]
    assert loaded == [each.values() for each in described]
    for each in loaded:
        for column, value in each.items():
            assert type(value) is (int if column in NUMBERS else str)


def test_text_that_is_not_utf8_becomes_printable() -> None:
    r"""A file name of Latin-1 bytes has lone surrogates, which no UTF-8 file can hold: shown as \udce9 instead."""
    candidate = evolve(IMAGE.download.candidate, address=b"caf\xe9.jpg".decode(errors="surrogateescape"))
    described = row(0, evolve(IMAGE, download=evolve(IMAGE.download, candidate=candidate)), REQUEST)
    assert described.url == r"caf\udce9.jpg"


def test_the_same_rows_are_the_same_readable_bytes() -> None:
    """Archives are deterministic only if rows are, and people should be able to read Chinese text in them."""
    described = [row(n, evolve(IMAGE, format="PNG"), evolve(REQUEST, label="猫")) for n in range(2)]
    assert metadata(described) == metadata(list(described))
    assert "猫".encode() in metadata(described)


def test_a_row_has_the_columns_of_its_list() -> None:
    """Every row of a chunk has the same columns with the same types, whatever the candidate has."""
    candidate = evolve(
        IMAGE.download.candidate, label="Felis", listed={"score": 3, "id": 7, "url": "no", "x": "\udcff"}
    )
    request = evolve(
        REQUEST, columns=(("score", "string"), ("id", "integer"), ("n", "integer"), ("t", "string"), ("x", "string"))
    )
    image = evolve(IMAGE, download=evolve(IMAGE.download, candidate=candidate))
    values = row(0, image, request).values()
    assert list(values) == [*COLUMNS, "score", "id", "n", "t", "x"]
    assert [values[name] for name in ("score", "id", "n", "t", "x")] == ["3", 7, 0, "", "\\udcff"]
    assert (values["label"], values["url"]) == ("Felis", "https://example.org/4.png")
    assert row(0, image, evolve(request, label="cat")).label == "cat"


@given(
    st.lists(
        st.sampled_from([*COLUMNS, "image", "mask_file_name", "list_url", "score", "WIDTH", "List_Url", "id", "ID"]),
        unique=True,
    )
)
def test_the_columns_of_a_list_get_names_of_their_own(columns: list[str]) -> None:
    """A list's column differs from all others, also for tools that ignore the case of letters."""
    names: list[str] = []
    for column in columns:
        names.append(own_name(column, names, {*columns} - {column}))
    assert len({name.casefold() for name in (*names, *COLUMNS)}) == len(columns) + len(COLUMNS)
    assert not [name for name in names if reserved(name)]
    assert [name for name, column in zip(names, columns, strict=True) if column == "score"] in ([], ["score"])
