"""Lists in every format and encoding are read with all columns, and every faulty row is counted."""

import base64
import csv
import gzip
import hashlib
import io
import json
from pathlib import Path
from tempfile import gettempdir

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from contract.disk import no_file_above
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pixcore.errors import InvalidRequest, WorkspaceFull
from pixcore_adapters.downloader.licences import slug
from pixcore_adapters.downloader.lists.files import files
from pixcore_adapters.downloader.lists.options import ListOptions
from pixcore_adapters.downloader.lists.reading import Reading

A, B = "http://a.example/1.jpg", "http://b.example/2.jpg"
JUNK = ListOptions(accept_junk=True)
AS_FOUND = ListOptions()


def reading(path: Path, options: ListOptions = AS_FOUND) -> tuple[Reading, list[dict[str, object]]]:
    """Return a finished reading of a list and its entries."""
    found = Reading(str(path), files(str(path), options), options)
    return found, list(found.entries())


def written(path: Path, content: str | bytes) -> Path:
    """Write a list."""
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def refused(path: Path, options: ListOptions = AS_FOUND) -> str:
    """Return the message with which a list is refused; it is one line."""
    with pytest.raises(InvalidRequest) as refusal:
        reading(path, options)
    message = str(refusal.value)
    assert "\n" not in message
    return message


cells = st.text(
    st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="\ufeff\x85\u2028\u2029"), max_size=20
)
numbers = st.integers(-(2**63), 2**63 - 1)
tables = st.lists(st.tuples(cells, cells, numbers), min_size=1, max_size=8)


def in_format(path: Path, rows: list[tuple[str, str, int]]) -> Path:
    """Write rows with the columns url, note, Score and n in the format that the path says."""
    records = [{"url": A, "note": note, "Score": score, "n": n} for note, score, n in rows]
    out = io.StringIO()
    match path.suffix:
        case ".parquet":
            pq.write_table(pa.Table.from_pylist(records), path)
            return path
        case ".json":
            json.dump(records, out)
        case ".jsonl":
            out.writelines(json.dumps(record) + "\n" for record in records)
        case ".csv":
            writer = csv.DictWriter(out, list(records[0]))
            writer.writeheader()
            writer.writerows(records)
        case _:
            out.write("\t".join(records[0]) + "\n")
            out.writelines("\t".join(map(str, record.values())) + "\n" for record in records)
    return written(path, out.getvalue())


@pytest.mark.parametrize("suffix", ["parquet", "json", "jsonl", "csv", "tsv"])
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=40)
@given(rows=tables)
def test_every_format_gives_the_written_rows(tmp_path: Path, suffix: str, rows: list[tuple[str, str, int]]) -> None:
    """Every cell must be read as it was written, whatever the format. Text formats hold text only."""
    number = str if suffix in ("csv", "tsv") else int
    found, entries = reading(in_format(tmp_path / f"list.{suffix}", rows))
    assert [entry["listed"] for entry in entries] == [
        {"note": note, "Score": score, "n": number(n)} for note, score, n in rows
    ]
    assert {entry["url"] for entry in entries} == {A}
    assert dict(found.kinds())["n"] == ("string" if number is str else "integer")


@pytest.mark.parametrize("column", ["url", "URL", "image_url", "OriginalURL"])
@pytest.mark.parametrize("caption", ["caption", "TEXT", "alt", "Title"])
def test_usual_names_are_found_in_any_case(tmp_path: Path, column: str, caption: str) -> None:
    """Published lists name the columns of the URL and the caption differently."""
    _, (entry,) = reading(written(tmp_path / "list.csv", f"{column},{caption},label,width\n{A},a cat,Felis,640\n"))
    assert (entry["url"], entry["caption"], entry["label"]) == (A, "a cat", "Felis")
    assert entry["listed"] == {"list_width": "640"}


def test_options_choose_the_columns(tmp_path: Path) -> None:
    """Columns may have any name; a file may have no header."""
    path = written(tmp_path / "list.tsv", f"a cat\t{A}\t7\n")
    options = ListOptions(columns=["text", "link", "id"], url="link", drop=["id"])
    _, (entry,) = reading(path, options)
    assert entry == {"url": A, "caption": "a cat"}
    assert reading(path, ListOptions(columns=["k", "link", "id"], url="LINK", keep=["id"]))[1][0]["listed"] == {
        "id": "7"
    }


@pytest.mark.parametrize("delimiter", [",", ";", "|", "\t"])
def test_a_csv_list_may_be_separated_otherwise(tmp_path: Path, delimiter: str) -> None:
    """Spreadsheets of many countries write semicolons. Commas in other columns and in URLs must not mislead."""
    rows = [["url", "text, long", "n"], [f"{A}?a,b;c|d", "x, y", "7"]]
    out = io.StringIO()
    csv.writer(out, delimiter=delimiter).writerows(rows)
    found, (entry,) = reading(written(tmp_path / "list.csv", out.getvalue()))
    assert (entry["url"], entry["listed"]) == (rows[1][0], {"text, long": "x, y", "n": "7"})
    assert found.summary()["delimiter"] == delimiter
    bare = written(tmp_path / "bare.csv", out.getvalue().partition("\n")[2])
    assert reading(bare, ListOptions(columns=["url", "t", "n"]))[1][0]["listed"] == {"t": "x, y", "n": "7"}


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
@pytest.mark.parametrize("packed", [False, True])
def test_encodings_and_gzip_are_recognised(tmp_path: Path, encoding: str, packed: bool) -> None:
    """A byte order mark or an option names the encoding, and the first bytes show gzip, whatever the name."""
    data = f"url,caption\n{A},Zürich\n".encode(encoding)
    path = written(tmp_path / "list.csv", gzip.compress(data) if packed else data)
    _, (entry,) = reading(path, ListOptions(encoding=encoding if encoding == "cp1252" else ""))
    assert entry["caption"] == "Zürich"


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("list.tsv", f'url\tcaption\n"{A}"\t"a\tb"\n"{B}"\t"c"\n'),
        ("list.tsv", f'"url"\t"caption"\r\n"{A}"\t"a\tb"\r\n"{B}"\t"c"'),
        ("list.tsv", f"url\tcaption\r{A}\ta\\tb\r{B}\tc\r".replace("\\t", " ")),
        ("list.csv", f"\ufeff\ufeffurl,caption\r\n\ufeff{A},a b\r\n\r\n{B},c"),
        ("list.csv", f"url,caption\r{A},a b\r{B},c\r"),
        ("list.csv", f"sep=;\nurl;caption\n{A};a b\n {B} ;c\n"),
        ("list.csv", f'url,caption\n"{A}\n",a b\n{B},c\n'),
        ("list.csv", f"url,caption\n{A},a b\n{B},c\n".encode("utf-32")),
        ("list.jsonl", f'\ufeff{{"url":"{A}","caption":"a b"}}\n\ufeff{{"url":" {B}\\n","caption":"c"}}\n'),
    ],
)
def test_line_ends_marks_and_quotes_in_any_usual_form(tmp_path: Path, name: str, data: str | bytes) -> None:
    """Spreadsheets, old systems and files that were put together from several write all of these."""
    _, entries = reading(written(tmp_path / name, data))
    assert [(entry["url"], str(entry["caption"]).replace("\t", " ")) for entry in entries] == [(A, "a b"), (B, "c")]


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("list.csv", f"url\n{A}\n".encode("utf-16-le"), "without a byte order mark; add --list-encoding utf-16-le"),
        ("list.txt", f"{A}\n".encode("utf-16-be"), "without a byte order mark; add --list-encoding utf-16-be"),
        ("list.csv", f"url,url\n{A},{B}\n", "several columns of URLs: url, url_2; choose one with --url-column"),
        ("list.txt", f"{A} a cat\n", "1 have text after the URL"),
        ("list.csv", f"url,c\n{A} {B},x\n", "1 have text after the URL"),
        ("list.csv", f'url,c\n{A},"a \\"b\\" c"\n', "1 have a quoted cell that goes on after a quote"),
        ("list.jsonl", json.dumps({"url": A}, indent=1), "add --list-format json if the file is one document"),
    ],
)
def test_what_looks_wrong_names_its_remedy(tmp_path: Path, name: str, data: str | bytes, message: str) -> None:
    """A row must not be changed in silence, and no URL fetched that the list does not hold."""
    assert message in refused(written(tmp_path / name, data))


def test_values_of_every_parquet_type_are_kept(tmp_path: Path) -> None:
    """Several row groups, repeated names, bytes, times with nanoseconds, missing and nested values."""
    columns = {
        "url": pa.array([A.encode(), B.encode(), A.encode()]),
        "word": pa.array(["x", "y", "x"]).dictionary_encode(),
        "a": pa.array([[1], None, []]),
        "a.b": pa.array([{"c": 1}, None, {"c": None}]),
        "bytes": pa.array([b"\xff", b"abc", None]),
        "time": pa.array([1, None, 10**9], pa.timestamp("ns")),
        "price": pa.array(["1.50", None, "2"]).cast(pa.decimal128(5, 2)),
        "n": pa.array([1, None, 3]),
        "big": pa.array([2**64 - 1, 1, 2], pa.uint64()),
    }
    table = pa.Table.from_arrays([*columns.values(), pa.array([7, 8, 9])], names=[*columns, "n"])
    pq.write_table(table, tmp_path / "list.parquet", row_group_size=2)
    found, entries = reading(tmp_path / "list.parquet", ListOptions(drop=["a"]))
    assert [entry["url"] for entry in entries] == [A, B, A]
    assert [list(entry["listed"].values()) for entry in entries] == [  # type: ignore[attr-defined]
        ["x", '{"c": 1}', "/w==", "1970-01-01T00:00:00.000000001", "1.50", 1, str(2**64 - 1), 7],
        ["y", "", "abc", "", "", "", 1, 8],
        ["x", '{"c": null}', "", "1970-01-01T00:00:01", "2.00", 3, 2, 9],
    ]
    assert [name for name, kind in found.kinds() if kind == "integer"] == ["n_10"]


def test_json_documents(tmp_path: Path) -> None:
    """A document is an array, an object of columns, or JSON lines. Values may be nested or missing."""
    for text in (
        json.dumps([{"image_urls": A, "captions": "a"}, {"image_urls": B, "captions": "b"}]),
        json.dumps({"image_urls": [A, B], "captions": ["a", "b"]}),
        json.dumps({"image_urls": {"0": A, "1": B}, "captions": {"0": "a", "1": "b"}}),
        f'{{"image_urls": "{A}", "captions": "a"}}\n{{"image_urls": "{B}", "captions": "b"}}\n',
    ):
        _, entries = reading(written(tmp_path / "list.json", text))
        assert [(entry["url"], entry["caption"]) for entry in entries] == [(A, "a"), (B, "b")]
    found, entries = reading(
        written(tmp_path / "list.jsonl", f'{{"URL": "{A}", "n": 1}}\n{{"URL": "{B}", "box": [1]}}\n"{A}"\n')
    )
    assert [entry.get("listed") for entry in entries] == [{"n": 1}, {"box": "[1]"}, None]
    assert dict(found.kinds()) == {"n": "string", "box": "string"}
    assert "not complete JSON" in refused(written(tmp_path / "list.json", "[1, 2"))


def test_a_quotation_mark_swallows_no_row(tmp_path: Path) -> None:
    """In TSV, quotes are plain characters unless every row is quoted. In CSV, only the row with the mark is junk."""
    rows = [f"{A}{sep}{chr(34) if n in (5, 9) else ''}title {n}" for n in range(40) for sep in ("S",)]
    tsv = "url\ttitle\n" + "\n".join(rows).replace("S", "\t")
    _, entries = reading(written(tmp_path / "list.tsv", tsv))
    assert [entry["title"] for entry in entries] == [f"{chr(34) if n in (5, 9) else ''}title {n}" for n in range(40)]
    path = written(tmp_path / "list.csv", "url,title\n" + "\n".join(rows).replace("S", ","))
    found, entries = reading(path, JUNK)
    assert [place for place, entry in enumerate(entries) if "junk" in entry] == [5, 9]
    assert dict(found.faults.counts) == {"cell_spans_lines": 2}
    assert [fault.line for _, fault in found.faults.first] == [7, 11]
    assert "line 7" in refused(path)
    _, entries = reading(written(tmp_path / "quoted.tsv", f'"url"\t"title"\n"{A}"\t"a ""b"""\n'))
    assert entries[0]["title"] == 'a "b"'


@pytest.mark.parametrize(
    ("name", "line", "reason"),
    [
        ("list.csv", f"{A},a,b", "too_many_cells"),
        ("list.csv", "http://a.example/1.jpg?w=1,h=2,a", "url_cut_by_comma"),
        ("list.csv", A, "too_few_cells"),
        ("list.csv", "no,b", "not_a_url"),
        ("list.csv", f"{A},\udcff", "undecodable_bytes"),
        ("list.csv", f"{A},{'x' * 140_000}", "cell_too_long"),
        ("list.txt", f"{A}\ta cat", "tab_in_line"),
        ("list.txt", "x" * (1 << 21), "line_too_long"),
        ("list.jsonl", "{", "not_json"),
        ("list.jsonl", json.dumps({"url": [A]}), "list_instead_of_text"),
        ("list.jsonl", json.dumps({"url": A, "caption": ["a"]}), "list_instead_of_text"),
    ],
)
def test_every_fault_is_counted_with_its_line(tmp_path: Path, name: str, line: str, reason: str) -> None:
    """Up to 1 % of the rows may be faulty; beyond that, the message names the line and the remedy."""
    good = {".csv": f"{A},t", ".txt": A, ".jsonl": json.dumps({"url": A, "caption": "c"})}[Path(name).suffix]
    head = ["url,title"] if name == "list.csv" else []
    text = "\n".join([*head, *[good] * 3, line, *[good] * 96]).encode("utf-8", "surrogateescape")
    found, entries = reading(written(tmp_path / name, text))
    assert len(entries) == 100
    assert dict(found.faults.counts) == {reason: 1}
    assert found.faults.first[0][1].line == 4 + len(head)
    message = refused(written(tmp_path / name, "\n".join([*head, good, line]).encode("utf-8", "surrogateescape")))
    assert "1 of 2 rows are faulty" in message
    assert "--accept-junk" in message


def test_the_longest_cell_is_the_same_whatever_another_library_permits(tmp_path: Path) -> None:
    """The limit of the csv module belongs to the whole process, so any other library may have raised it."""
    limit = csv.field_size_limit(1 << 30)
    try:
        rows = "\n".join(["url,title", *[f"{A},t"] * 99, f"{A},{'x' * 140_000}"])
        found, _ = reading(written(tmp_path / "list.csv", rows.encode()))
    finally:
        csv.field_size_limit(limit)
    assert dict(found.faults.counts) == {"cell_too_long": 1}


def test_licences_choose_the_rows(tmp_path: Path) -> None:
    """Rows under other licences are left out and counted."""
    path = written(
        tmp_path / "list.csv", f"url,License\n{A},https://creativecommons.org/licenses/by/2.0/\n{B},CC0 1.0\n"
    )
    found, (entry,) = reading(path, ListOptions(licenses=["by"]))
    assert (entry["url"], found.summary()["rows_under_other_licenses"]) == (A, 1)
    assert "no column of licences" in refused(written(tmp_path / "l.csv", f"url\n{A}\n"), ListOptions(licenses=["by"]))
    texts = [
        "CC BY-SA 4.0",
        "cc-by-nc",
        "https://creativecommons.org/publicdomain/zero/1.0/",
        "PDM",
        "by-nc-nd",
        "baby",
    ]
    assert [*map(slug, texts)] == ["by-sa", "by-nc", "cc0", "pdm", "by-nc-nd", ""]


def test_checksums_are_hexadecimal_or_base64(tmp_path: Path) -> None:
    """OpenImages has base64, others hexadecimal; a cell that is neither is a fault."""
    digest = hashlib.md5(b"x", usedforsecurity=False)
    text = f"url,h\n{A},{digest.hexdigest().upper()}\n{A},{base64.b64encode(digest.digest()).decode()}\n{A},-17\n"
    _, entries = reading(written(tmp_path / "list.csv", text), ListOptions(verify_hash="md5:h", accept_junk=True))
    assert [entry.get("checksum") for entry in entries] == [f"md5:{digest.hexdigest()}"] * 2 + [None]


def test_a_folder_of_lists_is_one_list(tmp_path: Path) -> None:
    """Its files are read in the order of their paths, and must have the same columns."""
    written(tmp_path / "b.csv", f"url,n\n{B},2\n")
    written(tmp_path / "a.csv.gz", gzip.compress(f"n,url\n1,{A}\n".encode()))
    written(tmp_path / "readme.md", "no list")
    for place in (tmp_path, tmp_path / "*.csv*"):
        assert [entry["listed"] for entry in reading(place)[1]] == [{"n": "1"}, {"n": "2"}]
    written(tmp_path / "c.csv", f"url,m\n{A},1\n")
    assert "files with different columns: c.csv and a.csv.gz differ in 'm', 'n'" in refused(tmp_path)
    (tmp_path / "c.csv").unlink()
    written(tmp_path / "d.jsonl", json.dumps({"image_url": A, "n": 1}))
    assert "differ in url from image_url, url from url; collect them" in refused(tmp_path)


def test_bad_input_is_refused_in_one_line(tmp_path: Path) -> None:
    """A damaged or hostile list must not be planned."""
    path = in_format(tmp_path / "list.parquet", [("a", "b", 1)] * 9)
    written(path, path.read_bytes()[: path.stat().st_size // 2])
    assert "cannot be read as Parquet" in refused(path)
    bomb = written(tmp_path / "bomb.txt", gzip.compress(b"x" * (80 << 20)))
    assert "unpacks to more than 200 times its size" in refused(bomb)
    assert reading(bomb, JUNK)[0].faults.counts == {"line_too_long": 1}
    two = written(tmp_path / "two.csv", f"url,URL\n{A},{B}\n")
    assert "several columns of URLs: url, URL; choose one with --url-column" in refused(two)
    assert reading(two, ListOptions(url="URL"))[1][0]["url"] == B
    one = written(tmp_path / "one.csv", f"url,n\n{A},1\n")
    assert "has no column 'link'; it has 'url', 'n'" in refused(one, ListOptions(url="link"))
    assert "has no column 'm'; it has 'url', 'n'" in refused(one, ListOptions(keep=["m"]))
    junk = written(tmp_path / "junk.txt", "no url\n" * 100_000)
    assert "the first 10000 rows are faulty" in refused(junk)
    assert "blank lines" in refused(written(tmp_path / "blank.txt", "\n" * 2_000_002))


def test_a_full_folder_for_temporary_files_is_named(tmp_path: Path) -> None:
    """The columns of a document wait there. The list itself is good, and the message must not say otherwise."""
    path = written(tmp_path / "list.json", json.dumps({"url": [A] * 100}))
    with no_file_above(100), pytest.raises(WorkspaceFull, match=f"room in {gettempdir()}, or set TMPDIR"):
        reading(path)
