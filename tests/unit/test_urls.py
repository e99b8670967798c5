"""URL lists come from spreadsheets and scripts: every line becomes a candidate or a miss at its position."""

import gzip
import json
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import pytest
from apis import PagesInMemory, no_page
from hostile import Answer, Site, policy, redirect, silent, slow, status
from hypothesis import given
from hypothesis import strategies as st
from listings import JUNK, lane_of

from pixcore.errors import InvalidRequest, SourceChanged, SourceUnavailable
from pixcore.model.images import Candidate, Miss, MissReason, Provenance
from pixcore.model.requests import Slice
from pixcore.planning.plan import Lane
from pixcore_adapters.blob_store.local import LocalBlobStore
from pixcore_adapters.blob_store.memory import MemoryBlobStore
from pixcore_adapters.downloader.fetch.policy import FetchPolicy
from pixcore_adapters.downloader.listing import new_listing
from pixcore_adapters.downloader.lists.files import files
from pixcore_adapters.downloader.lists.options import ListOptions
from pixcore_adapters.downloader.lists.reading import Reading
from pixcore_adapters.downloader.urls import Urls

A, B, C = "http://a.example/1.jpg", "https://b.example/2.jpg?w=1,2&h=3", "http://c.example/ü 3.jpg"


@pytest.fixture
def source() -> Urls:
    """Return the source, with its own store."""
    return Urls(MemoryBlobStore(), FetchPolicy())


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the folder for temporary files."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    return tmp_path


@pytest.fixture
def site() -> Iterator[Site]:
    """Return a site without pages."""
    with Site() as site:
        yield site


def proposed(source: Urls, lane: Lane) -> list[Candidate | Miss]:
    """Return all that the source proposes for the lane."""
    return read(source, Slice(lane.source, lane.query, lane.start, lane.stop, lane.snapshot))


def read(source: Urls, slice_: Slice) -> list[Candidate | Miss]:
    """Return what the source proposes for the slice, which requests no page."""
    pages = PagesInMemory(no_page)
    return list(pages.read(source.candidates(slice_, pages)))


def found(path: Path, options: ListOptions = JUNK) -> list[dict[str, object]]:
    """Return the entries of the list."""
    return list(Reading(str(path), files(str(path), options), options).entries())


def packed(path: Path, data: bytes) -> Path:
    """Write a list in the format that its name says."""
    path.write_bytes(gzip.compress(data, mtime=0) if path.suffix == ".gz" else data)
    return path


FORMS = {
    ".txt": f"{A}\n{B}\n{C}\n",
    ".csv": f'n,url,title\n1,{A},\n2,"{B}",\n3,{C},\n',
    ".tsv": f"n\turl\ttitle\n1\t{A}\t\n2\t{B}\t\n3\t{C}\t\n",
    ".jsonl": f'{{"url": "{A}"}}\n"{B}"\n{json.dumps({"url": C, "title": None, "n": 3})}\n',
}


@pytest.mark.parametrize("packing", ["", ".gz"])
@pytest.mark.parametrize("bom", ["", "\ufeff"])
@pytest.mark.parametrize("line_end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("ending", FORMS)
def test_every_form_gives_the_same_urls(tmp_path: Path, ending: str, line_end: str, bom: str, packing: str) -> None:
    """Every format gives the same URLs: commas belong to URLs in plain lists, and Excel writes a BOM."""
    text = bom + FORMS[ending].replace("\n", line_end)
    listed = found(packed(tmp_path / f"List{ending.upper()}{packing}", text.encode()))
    assert [entry["url"] for entry in listed] == [A, B, C]


def test_a_list_without_a_last_line_end_is_whole(tmp_path: Path) -> None:
    """A last line without a line end is read."""
    assert found(packed(tmp_path / "list.txt", f"{A}\n{B}".encode())) == [{"url": A}, {"url": B}]


def test_quoted_cells_hold_commas_quotes_and_lines(tmp_path: Path) -> None:
    """Quoted cells may hold commas, quotes and line breaks, as spreadsheets write them."""
    text = f'title,url\n"two\nlines, ""quoted""","{B}"\n'
    assert found(packed(tmp_path / "list.csv", text.encode())) == [
        {"url": B, "caption": 'two\nlines, "quoted"', "title": 'two\nlines, "quoted"'}
    ]


@pytest.mark.parametrize(
    ("ending", "text"),
    [
        (
            ".csv",
            f"""URL, Page_URL,title,creator,license,license_url,opt_out,sha256,other
{A}, http://a.example/,A cat,Ann,CC0,http://cc0.example/,x,y,z""",
        ),
        (
            ".jsonl",
            json.dumps(
                {
                    "url": A,
                    "page_url": "http://a.example/ ",
                    "title": "A cat",
                    "creator": "Ann",
                    "license": "CC0",
                    "license_url": "http://cc0.example/",
                    "opt_out": "x",
                    "other": {"deep": []},
                }
            ),
        ),
    ],
)
def test_provenance_columns_reach_the_candidate(source: Urls, tmp_path: Path, ending: str, text: str) -> None:
    """Provenance columns reach the candidate. A column `opt_out` does not; only the fetcher sets it."""
    lane = lane_of(source, str(packed(tmp_path / f"list{ending}", text.encode())), "cats")
    (candidate,) = proposed(source, lane)
    assert isinstance(candidate, Candidate)
    assert candidate.url == A
    assert candidate.provenance == Provenance(
        "http://a.example/", "A cat", "Ann", "CC0", "http://cc0.example/", "", "A cat"
    )


@pytest.mark.parametrize(
    ("ending", "lines"),
    [
        (
            ".txt",
            ["no url", "ftp://a.example/1.jpg", "http://", "//a.example/x", "http://[::1/x", "\x00\xff", "<html>"],
        ),
        (".csv", ["no url,", ",empty", "ftp://a.example/1.jpg,x", '"http://",x']),
        (
            ".jsonl",
            ["{", "[1]", "null", "3", '{"url": 3}', '{"title": "x"}', '{"url": null}', "[" * 99_999, "9" * 9_999],
        ),
    ],
)
def test_junk_is_a_miss_in_its_place(source: Urls, tmp_path: Path, ending: str, lines: list[str]) -> None:
    """A line without a URL is one miss at its position and shifts no other line."""
    good = {".txt": A, ".csv": f"{A},t", ".jsonl": json.dumps({"url": A})}[ending]
    rows = ["url,title"] * (ending == ".csv") + [row for line in lines for row in (good, line, "")]
    lane = lane_of(source, str(packed(tmp_path / f"list{ending}", "\n".join(rows).encode("latin-1"))), "cats")
    items = proposed(source, lane)
    assert len(items) == 2 * len(lines)
    assert all(isinstance(item, Candidate) and item.url == A for item in items[::2])
    for position, item in enumerate(items[1::2]):
        assert isinstance(item, Miss)
        assert item.permanent
        assert item.reason in {MissReason.NOT_A_URL, "not_json", "list_instead_of_text", "undecodable_bytes"}
        assert item.detail.startswith("line ")
        assert item.candidate.key.position == 2 * position + 1
        assert len(item.candidate.url) <= 200


@pytest.mark.parametrize("ending", FORMS)
def test_a_line_without_end_costs_no_memory(tmp_path: Path, ending: str) -> None:
    """A line of gigabytes takes bounded memory, and the lines after it are read."""
    header, good = {".csv": ("url\n", A), ".tsv": ("url\n", A)}.get(ending, ("", json.dumps(A)))
    good = A if ending == ".txt" else good
    path = packed(tmp_path / f"list{ending}.gz", f"{header}{good}\n{'y' * (24 << 20)}\n{good}\n".encode())
    tracemalloc.start()
    try:
        listed = found(path)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert (listed[0], listed[-1]) == ({"url": A}, {"url": A})
    assert all("junk" in entry for entry in listed[1:-1])
    assert peak < 8 << 20


def test_a_quote_that_is_never_closed_ends_with_its_cell(tmp_path: Path) -> None:
    """An unclosed quote ends at the longest possible cell and does not swallow the rest of the list."""
    text = "url\n" + f"{A}\n" * 10 + '"http://a.example/\n' + f"{A}\n" * 20_000
    listed = found(packed(tmp_path / "list.csv", text.encode()))
    assert [entry.get("url") for entry in listed[:10]] == [A] * 10
    assert listed[10].keys() == {"junk", "reason", "line"}
    assert listed[11:] == [{"url": A}] * len(listed[11:])
    assert len(listed) > 10_000


@pytest.mark.parametrize(
    ("name", "data", "complaint"),
    [
        (
            "list.xlsx",
            b"PK",
            "is not a list; name a file that ends in .txt, .csv, .tsv, .jsonl, .ndjson, .json, .parquet, each also",
        ),
        ("list", b"", "is not a list; name a file that ends in .txt"),
        ("list.gz", b"", "is not a list; name a file that ends in .txt"),
        (
            "list.csv",
            b"",
            "has no column with a usual name for URLs; it has no column at all; name the column of the URLs",
        ),
        (
            "list.csv",
            b"http://a.example/1.jpg\n",
            "has no header: its first line holds a URL; name its columns in order",
        ),
        ("list.csv", b"a;b\n", "has no column with a usual name for URLs; it has 'a', 'b'"),
        ("list.tsv", b"a,url\n", "has no column with a usual name for URLs; it has 'a,url'"),
        ("list.csv", bytes(range(256)) * 999, "has no column with a usual name for URLs"),
        ("list.csv", b"x" * (1 << 19), "has no column with a usual name for URLs"),
        ("list.txt.gz", gzip.compress(b"x" * 9999, mtime=0)[:-9], "cannot be read: EOFError"),
        ("list.txt.gz", gzip.compress(b"x" * 9999, mtime=0)[:12] + b"\xff" * 99, "cannot be read: error"),
        ("list.txt.gz", b"http://a.example/1.jpg", "cannot be read: BadGzipFile"),
        ("gone.txt", None, "cannot be read: No such file or directory"),
        ("gone.txt/x.txt", None, "cannot be read: No such file or directory"),
        (".", None, "holds no list"),
    ],
)
def test_no_list_is_refused_by_its_name(
    source: Urls, tmp_path: Path, name: str, data: bytes | None, complaint: str
) -> None:
    """A file that is not a list is refused before planning, with the remedy."""
    path = tmp_path / name
    if data is not None:
        path.write_bytes(data)
    with pytest.raises(InvalidRequest) as refused:
        lane_of(source, str(path), "cats")
    assert complaint in str(refused.value)
    assert str(path) in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_folder_with_a_lists_name_is_refused(source: Urls, tmp_path: Path) -> None:
    """A folder with a list's name is refused."""
    (tmp_path / "list.txt").mkdir()
    with pytest.raises(InvalidRequest, match=r"list\.txt' holds no list; lists end in \.txt"):
        lane_of(source, str(tmp_path / "list.txt"), "cats")


# -- lists that change -----------------------------------------------------------------------------------------------


def planned(lane: Lane) -> list[Slice]:
    """Return a plan's slices that cover the whole lane."""
    return [Slice(lane.source, lane.query, lane.start, lane.stop, lane.snapshot)]


def test_a_list_that_grew_at_its_end_continues(source: Urls, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A list that grew at its end continues after the planned positions, by any spelling of its path."""
    monkeypatch.chdir(tmp_path)
    path = packed(tmp_path / "list.txt", f"{A}\njunk\n".encode())
    first = lane_of(source, "list.txt", "cats")
    assert (first.source, first.query, first.start, first.stop) == ("urls", str(path), 0, 2)
    packed(path, f"{A}\n\njunk\n{B}\n".encode())
    more = lane_of(source, str(path), "cats", planned(first))
    assert (more.start, more.stop) == (2, 3)
    (candidate,) = proposed(source, more)
    assert isinstance(candidate, Candidate)
    assert (candidate.url, candidate.key.position) == (B, 2)
    assert lane_of(source, str(path), "cats", planned(more)).start == 3


@pytest.mark.parametrize(("text", "entry"), [(f"{B}\n{A}\n", 1), (f"{A}\n", 2), ("", 1), (f"{A}\njunk\n{B}\n", 2)])
def test_a_list_that_changed_before_its_end_is_refused(source: Urls, tmp_path: Path, text: str, entry: int) -> None:
    """A list that changed before its end is refused, because planned positions would change."""
    path = packed(tmp_path / "list.txt", f"{A}\n{B}\n".encode())
    first = lane_of(source, str(path), "cats")
    packed(path, text.encode())
    with pytest.raises(InvalidRequest) as refused:
        lane_of(source, str(path), "cats", planned(first))
    assert str(refused.value) == (
        f"the list {path} has changed at entry {entry}, which is already planned; only add lines at its end, or use"
        " another dataset name"
    )


def test_a_folder_of_one_list_is_that_list(source: Urls, tmp_path: Path) -> None:
    """A folder may hold one list as well as many."""
    packed(tmp_path / "list.csv", f"url\n{A}\n".encode())
    lane = lane_of(source, tmp_path, "d")
    assert (lane.query, lane.stop) == (str(tmp_path), 1)


def test_a_listing_of_an_earlier_version_is_extended(source: Urls, tmp_path: Path) -> None:
    """Earlier versions kept fewer columns, and took the URL of a row with too many cells."""
    path = packed(tmp_path / "list.csv", f"url,title,score\n{A},t,1\n{B},t,2,3\nno,t,3\n{C},t,4\n".encode())
    earlier = [{"url": A, "title": "t"}, {"url": B, "title": "t"}, {"junk": "no,t,3"}]
    with new_listing("urls", str(path), lambda _: earlier, store=source.store, dataset="d", planned=()) as listing:
        listing.keep(source.store)
    items = proposed(source, listing.lane)
    assert [item.candidate.url if isinstance(item, Miss) else item.url for item in items] == [A, B, "no,t,3"]
    more = lane_of(source, path, "d", planned(listing.lane))
    assert (more.start, more.stop, more.columns) == (3, 4, (("score", "string"),))
    (candidate,) = proposed(source, more)
    assert isinstance(candidate, Candidate)
    assert (candidate.url, candidate.listed) == (C, {"score": "4"})


# -- lists on the web ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "data"),
    [
        ("/list.txt", f"{A}\n".encode()),
        ("/List.CSV.GZ?token=1.txt", gzip.compress(f"url\n{A}\n".encode(), mtime=0)),
        ("/list.jsonl", json.dumps(A).encode()),
    ],
)
def test_a_web_lists_path_selects_its_format(site: Site, path: str, data: bytes) -> None:
    """A web list's path selects its format, whatever the Content-Type. Its query is neither stored nor shown."""
    site.routes[path.partition("?")[0]] = status(200, data, Content_Type="text/html")
    source = Urls(MemoryBlobStore(), policy(site))
    lane = lane_of(source, site.url(path), "cats")
    assert lane.query == site.url(path.partition("?")[0])
    (candidate,) = proposed(source, lane)
    assert isinstance(candidate, Candidate)
    assert candidate.url == A


@pytest.mark.parametrize(
    ("answer", "error", "complaint"),
    [
        (status(404), SourceChanged, "http_404"),
        (status(503), SourceUnavailable, "http_503"),
        (silent(), SourceUnavailable, "timeout"),
        (slow(9, status(200)), SourceUnavailable, "timeout"),
        (status(200, gzip.compress(b"x" * 9999, mtime=0)[:-9]), InvalidRequest, "cannot be read: EOFError"),
        (redirect("http://127.0.0.1:1/list.txt.gz"), InvalidRequest, "address_refused"),
    ],
)
def test_an_unreachable_web_list_is_reported(
    site: Site, temporary: Path, answer: Answer, error: type[Exception], complaint: str
) -> None:
    """The error for an unreachable list names the address without signature, and no temporary file remains."""
    site.routes["/list.txt.gz"] = answer
    source = Urls(MemoryBlobStore(), policy(site, seconds=0.2, attempts=1))
    with pytest.raises(error, match=complaint) as refused:
        lane_of(source, site.url("/list.txt.gz?sig=hidden"), "cats")
    assert f"{site.host}/list.txt.gz" in str(refused.value)
    assert "hidden" not in str(refused.value)
    assert list(temporary.iterdir()) == []


def test_a_list_at_a_private_address_is_refused(site: Site) -> None:
    """A list at a private address is refused, so that lists cannot read pages of an intranet."""
    site.routes["/list.txt"] = status(200, A.encode())
    with pytest.raises(InvalidRequest, match=r"address_refused.*pass --allow-private-hosts"):
        lane_of(Urls(MemoryBlobStore(), FetchPolicy()), site.url("/list.txt"), "cats")
    assert site.paths() == []


def test_an_address_that_is_not_a_list_is_not_fetched(site: Site) -> None:
    """A web address without a list's extension is refused before it is fetched."""
    site.routes["/list"] = status(200, A.encode())
    with pytest.raises(InvalidRequest, match=r"'127[0-9.:]+/list' is not a list; name a file that ends in \.txt"):
        lane_of(Urls(MemoryBlobStore(), policy(site)), site.url("/list").replace("//", "//me:hidden@"), "cats")
    assert site.paths() == []


# -- invariants ------------------------------------------------------------------------------------------------------


@given(st.lists(st.text(st.characters(exclude_characters="\r\n\x85\u2028\u2029"))), st.sampled_from(list(FORMS)))
def test_no_text_is_too_strange(tmp_path_factory: pytest.TempPathFactory, lines: list[str], ending: str) -> None:
    """Whatever a list holds, each entry becomes a candidate or a miss."""
    folder = tmp_path_factory.mktemp("list", numbered=True)
    text = "\n".join((["url"] if ending in (".csv", ".tsv") else []) + lines)
    source = Urls(MemoryBlobStore(), FetchPolicy())
    lane = lane_of(source, str(packed(folder / f"list{ending}", text.encode("utf-8", "surrogatepass"))), "cats")
    if ending == ".txt":
        assert lane.stop == sum(1 for line in lines if line.removeprefix("\ufeff").strip())
    if lane.stop:
        assert len(proposed(source, lane)) == lane.stop


def peak_of_a_list(tmp_path: Path, lines: int) -> int:
    """Return the peak of memory while a list of this many lines is listed and its length checked."""
    path = tmp_path / "list.txt"
    with path.open("w") as file:
        file.writelines(f"http://host.example/pictures/{n:09}.jpg\n" for n in range(lines))
    source = Urls(LocalBlobStore(tmp_path / "store"), FetchPolicy())
    tracemalloc.start()
    try:
        lane = lane_of(source, str(path), "cats")
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert lane.stop == lines
    (last,) = read(source, Slice(lane.source, lane.query, lines - 1, lines, lane.snapshot))
    assert isinstance(last, Candidate)
    assert last.url.endswith(f"{lines - 1:09}.jpg")
    return peak


def test_memory_does_not_grow_with_the_list(tmp_path: Path) -> None:
    """Memory does not grow with the list."""
    assert peak_of_a_list(tmp_path, 40_000) < 4 << 20


@pytest.mark.soak
def test_memory_does_not_grow_with_a_list_of_a_million(tmp_path: Path) -> None:
    """Memory does not grow with a list of a million lines."""
    assert peak_of_a_list(tmp_path, 1_000_000) < 4 << 20
