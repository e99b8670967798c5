"""The contents of a report, and the page that is written from them."""

import json
import re
from base64 import b64decode, b64encode
from collections.abc import Iterator
from hashlib import sha256
from html.parser import HTMLParser
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st
from near_pairs import grouped
from pictures import encoded, photo, postscript
from PIL import Image
from reports import StoredDataset, a_copy, a_record, a_row, jpegs, stored_dataset, with_outcomes

from pixcore import ChunkKey, ChunkResult, InvalidRequest, NearPair, SeenImage, Status, StoreDenied
from pixcore.model.chunks import Reject, TwinPair
from pixcore.model.quality import Fingerprint
from pixcore.model.rows import COLUMNS, NUMBERS, Row
from pixcore_adapters.blob_store.memory import MemoryBlobStore
from pixcore_adapters.outputs.report import charts
from pixcore_adapters.outputs.report.build import Line, Report, Shown, gather
from pixcore_adapters.outputs.report.figures import Figures
from pixcore_adapters.outputs.report.funnel import Funnel
from pixcore_adapters.outputs.report.page import render, write
from pixcore_adapters.outputs.report.sums import ChunkSums
from pixcore_adapters.thumbnails import Thumbnails

THUMBNAILS = Thumbnails(budget=3000, side=128)
LIMIT = 25_000_000  # bytes of a page with 10,000 images


class Page(HTMLParser):
    """The parts of a page that these tests need, as a browser's parser finds them."""

    def __init__(self, report: Report) -> None:
        super().__init__(convert_charrefs=True)
        self.scripts: list[tuple[dict[str, str | None], str]] = []
        self.styles: list[str] = []
        self.metas: dict[str, str] = {}
        self.text = ""
        self._open = ""
        self.feed(b"".join(render(report)).decode())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Remember the element."""
        named = dict(attrs)
        self._open = tag
        if tag == "meta":
            self.metas[named.get("http-equiv") or named.get("name") or ""] = named.get("content") or ""
        elif tag == "script":
            self.scripts.append((named, ""))

    def handle_data(self, data: str) -> None:
        """Add the text to its element."""
        if self._open == "script":
            attributes, text = self.scripts.pop()
            self.scripts.append((attributes, text + data))
        elif self._open == "style":
            self.styles.append(data)
        else:
            self.text += data

    def handle_endtag(self, tag: str) -> None:
        """Leave the element."""
        del tag
        self._open = ""

    @property
    def images(self) -> list[dict[str, Any]]:
        """Return the images of the data block, by column."""
        ((_, text),) = [script for script in self.scripts if script[0].get("id") == "data"]
        data = json.loads(text)
        values = data["values"]
        lines = [dict(zip(data["columns"], line, strict=True)) for line in data["images"]]
        return [{name: values[name][item] if name in values else item for name, item in line.items()} for line in lines]


def empty() -> Report:
    """Return the report of a dataset whose only chunk failed."""
    return gather_none([a_record(1, status=Status.FAILED)])


def gather_none(records: list[Any]) -> Report:
    """Return the report of chunks without archives."""
    return gather("d", records, stored_dataset(Path("none"), []).archives, groups=[], attempts=[], done=lambda: None)


def test_the_funnel_accounts_for_every_candidate() -> None:
    """People who miss images add up the numbers. What curators excluded is no fault of the images."""
    chunks = Funnel()
    chunks.add(a_record(1, accepted=5, rejected={"damaged": 2, "near_duplicate": 1}, missed={"http_404": 3}))
    chunks.add(a_record(2, accepted=4, rejected={"duplicate": 1, "odd_words": 2}, missed={"timeout": 1, "http_404": 1}))
    chunks.add(a_record(3, accepted=7, status=Status.PROCESSING))
    assert [(stage.name, stage.left, stage.lost) for stage in chunks.stages] == [
        ("Candidates", 27, ()),
        ("Downloaded", 22, (("http_404", 4), ("timeout", 1))),
        ("Usable images", 18, (("damaged", 2), ("odd_words", 2))),
        ("Not duplicates", 16, (("duplicate", 1), ("near_duplicate", 1))),
        ("In the dataset", 9, (("chunk_not_complete", 7),)),
    ]
    chunks.add(a_record(4, accepted=1, rejected={"excluded": 2, "damaged": 1}))
    assert [(stage.name, stage.left, stage.lost) for stage in chunks.stages[2:5]] == [
        ("Usable images", 21, (("damaged", 3), ("odd_words", 2))),
        ("Not excluded", 19, (("excluded", 2),)),
        ("Not duplicates", 17, (("duplicate", 1), ("near_duplicate", 1))),
    ]


def test_of_many_chunks_those_that_lack_images_are_listed() -> None:
    """A page with a line for each of a hundred thousand chunks cannot be opened; the sums are those of all."""
    sums = ChunkSums(most=3)
    wanted = {2: 9, 5: 9}
    twins = (TwinPair("a", "b", "same picture"),) * 150
    records = [a_record(n, accepted=1, target=wanted.get(n), rejects=[Reject("u", "odd", "")]) for n in range(1, 7)]
    records = [evolve(one, result=evolve(one.result, twins=twins)) for one in records if one.result]
    assert list(sums.counted(records)) == records
    assert [record.chunk.id for record in sums.listed] == [1, 2, 5]
    assert all(record.result and not record.result.rejects for record in sums.listed)
    assert (sums.chunks, sums.finished, sums.wanted, sums.stored, sums.short, sums.shortfall) == (6, 6, 22, 6, 2, 16)
    assert (sums.copies, len(sums.twins)) == (900, 200)
    page = Page(evolve(empty(), sums=sums, lines=tuple(Line(record, ()) for record in sums.listed)))
    assert "3 of 6 chunks are listed, first those that failed or are short." in page.text


def test_figures_put_every_image_into_one_class() -> None:
    """A chart whose columns do not add up to the number of images misleads."""
    figures = Figures()
    for width, height, size, url in (
        (100, 50, 999, "https://A.example:8080/x.jpg"),
        (128, 128, 10_000, "http://a.example/y.jpg"),
        (4096, 1000, 9_000_000, "cats/z.jpg"),
        (1080, 1920, 60_000, "http://[broken"),
    ):
        figures.add(a_row(0, width=width, height=height, bytes=size, url=url, fetched_at=f"20{width}").values())
    figures.add(a_row(0, width=1920, height=1080, bytes=0, url="", orientation=6, fetched_at="20400").values())
    assert [count for _, count in figures.sides] == [1, 1, 0, 0, 2, 0, 1]
    assert [count for _, count in figures.weights] == [2, 1, 1, 0, 0, 1]
    assert {name: count for name, count in figures.aspects if count} == {"2:1": 1, "1:1": 1, "wide": 1, "9:16": 2}
    assert figures.by("host") == [("", 3), ("a.example", 2)]
    assert (figures.images, figures.bytes) == (5, 9_070_999)
    assert (figures.first, figures.last) == ("20100", "204096")


def opened(thumbnail: bytes) -> Image.Image:
    """Decode a thumbnail."""
    return Image.open(BytesIO(thumbnail)).convert("RGB")


def test_a_thumbnail_never_exceeds_its_budget() -> None:
    """The size of the page is limited, and noise compresses badly."""
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (600, 900, 3), np.uint8))
    for image in (noise, photo(1, 1200, 800), photo(2, 3000, 40), photo(3, 20, 30)):
        thumbnail = THUMBNAILS.thumbnail(encoded(image, "PNG"))
        assert 0 < len(thumbnail) <= THUMBNAILS.budget
        shape = opened(thumbnail).size
        assert abs(shape[0] / shape[1] / (image.width / image.height) - 1) < 0.35
        assert max(shape) <= 3 * THUMBNAILS.side


def test_thumbnails_of_many_images_come_in_order_before_the_error_that_ends_them() -> None:
    """Several threads make them; a damaged archive must not take those of its first images along."""
    large, small = encoded(photo(1, 1600, 1200)), encoded(photo(2, 64, 48), "WEBP")

    def images() -> Iterator[tuple[int, bytes]]:
        yield from enumerate([large, small, b"no picture"] * 5)
        raise InvalidRequest("the rest is damaged")

    made: list[tuple[int, bytes]] = []
    with pytest.raises(InvalidRequest, match="the rest is damaged"):
        made.extend(THUMBNAILS.all_of(images()))
    assert made == list(enumerate([THUMBNAILS.thumbnail(large), THUMBNAILS.thumbnail(small), b""] * 5))
    assert opened(made[0][1]).size == (148, 111)


@pytest.mark.parametrize("images", [0, 1, 500, 10_000, 10_400])
def test_so_many_thumbnails_leave_room_for_their_rows(images: int) -> None:
    """Ten thousand images fit into one page with their provenance."""
    assert images * Thumbnails.for_count(images).budget * 4 / 3 <= LIMIT - 6_000_000


def test_a_thumbnail_is_upright() -> None:
    """Cameras store rotated pictures with a tag that says so."""
    image = Image.new("RGB", (400, 200), "blue")
    image.paste("red", (0, 0, 200, 200))
    exif = Image.Exif()
    exif[0x0112] = 6  # rotate by 90 degrees clockwise
    seen = opened(THUMBNAILS.thumbnail(encoded(image, exif=exif)))
    assert seen.height > seen.width
    red, _, blue = seen.getpixel((seen.width // 2, 2))  # type: ignore[misc] - three bands
    assert red - blue > 150


def test_a_thumbnail_shows_what_a_viewer_shows() -> None:
    """Transparency on white, 16 bits scaled to 8, palettes as colours. Otherwise charts and maps are black squares."""
    clear = Image.new("RGBA", (64, 64), (0, 0, 0, 0))
    palette = Image.new("RGB", (64, 64), "red").quantize(4)
    deep = Image.fromarray(np.full((64, 64), 0x8000, np.uint16))
    seen = [opened(THUMBNAILS.thumbnail(encoded(image, "PNG"))).getpixel((32, 32)) for image in (clear, palette, deep)]
    expected = np.array([(255, 255, 255), (255, 0, 0), (128, 128, 128)])
    assert np.abs(np.array(seen) - expected).max() < 12


def test_a_file_that_is_no_picture_has_no_thumbnail() -> None:
    """Formats that no validator accepts are not tried: decoders of some start other programs."""
    other = encoded(photo(1, 64, 64), "PPM")
    half = encoded(photo(1))[:2000]
    assert [THUMBNAILS.thumbnail(data) for data in (b"", b"<html>", postscript(), other, half)] == [b""] * 5


def test_every_image_is_shown_with_its_row(tmp_path: Path) -> None:
    """The page shows what the archives hold, in their order."""
    images = [(a_row(number), data) for number, data in enumerate(jpegs(5))]
    page = Page(stored_dataset(tmp_path, [images[:3], images[3:]]).report())
    assert [{column: image[column] for column in COLUMNS} for image in page.images] == [
        row.values() for row, _ in images
    ]
    assert [image["chunk"] for image in page.images] == [1, 1, 1, 2, 2]
    assert all(opened(b64decode(image["thumbnail"])).size == (64, 48) for image in page.images)


def test_of_too_many_images_a_sample_is_shown_and_all_are_counted(tmp_path: Path) -> None:
    """The sample is spread evenly and named as a sample; images of near pairs are always shown."""
    images = [(a_row(number), data) for number, data in enumerate(jpegs(20))]
    fingerprint = Fingerprint(0, 0, "x", flat=False)
    one, other = (SeenImage(ChunkKey("d", 1), row.sha256, row.url, fingerprint) for row, _ in (images[0], images[1]))
    report = stored_dataset(tmp_path, [images[:7], images[7:]]).report(groups=grouped([NearPair(one, other)]), most=5)
    shown = [str(image.row["title"]) for image in report.images]
    assert shown == [f"picture {number}" for number in (0, 1, 3, 7, 11, 15, 19)]
    assert report.near[0].places == (0, 1)
    assert report.figures.images == report.sums.stored == 20
    assert "7 of 20 images are shown" in " ".join(Page(report).text.split())


def test_copies_that_a_chunk_kept_are_shown_with_their_sizes_and_what_decided(tmp_path: Path) -> None:
    """The two images are found by their URLs in the chunk, also if they are not in the sample or could not be read."""
    data = jpegs(6)
    images = [(a_row(number % 3, title=f"picture {number}", width=64 + number), data[number]) for number in range(6)]
    dataset = stored_dataset(tmp_path, [images[:3], images[3:]])
    urls = [row.url for row, _ in images[:3]]
    twins = (TwinPair(urls[1], urls[2], "same picture, mirrored <b>"), TwinPair(urls[0], "gone", "same picture"))
    records = [dataset.records[0], evolve(dataset.records[1], result=evolve(_result(dataset, 1), twins=twins))]
    report = evolve(dataset, records=records).report(most=1)
    shown = {place: str(image.row["title"]) for place, image in enumerate(report.images)}
    assert [[shown.get(place) for place in pair.places if place is not None] for pair in report.twins] == [
        ["picture 4", "picture 5"],
        ["picture 3"],
    ]
    assert [(pair.chunk, pair.pair) for pair in report.twins] == [(2, twins[0]), (2, twins[1])]
    chunk = records[1].chunk.key
    alike = [SeenImage(chunk, row.sha256, row.url, Fingerprint(0, 0, "x", flat=False)) for row, _ in images[3:]]
    near = grouped([NearPair(alike[1], alike[2]), NearPair(alike[0], alike[1])])
    report = evolve(dataset, records=records).report(groups=near)
    assert [pair.pair.one.url for pair in report.near] == [urls[0]]  # twins are not listed again
    both = evolve(dataset, records=records).report(groups=grouped([NearPair(alike[1], alike[2])]))
    assert "all images were kept. They are all above." in " ".join(Page(both).text.split())
    text = " ".join(Page(report).text.split())
    assert "2 pairs in 1 group have similar hashes; all images were kept. The nearest 1 that are not above" in text
    assert "2 pairs show the same picture." in text
    assert "68 \xd7 48, 1.0 kB 69 \xd7 48, 1.0 kB same picture, mirrored <b> chunk 2" in text
    assert "no preview" in text


def test_dropped_images_are_read_with_their_previews_and_twins(tmp_path: Path) -> None:
    """All pairs are shown; what cannot be read, or was not stored, is named, and the page is made all the same."""
    rows = [a_row(number) for number in range(3)]
    whole = stored_dataset(tmp_path, [[(row, data)] for row, data in zip(rows, jpegs(3), strict=True)])
    store = whole.archives.store
    copies = [a_copy(number, rows[0]) for number in range(9)]
    kept = a_copy(9, rows[0], outcome="accepted")
    records = list(whole.records)
    records[0] = with_outcomes(records[0], store, [*copies, kept], {str(copies[0]["sha256"]): b"picture"}, tmp_path)
    records[1] = with_outcomes(records[1], store, [], {}, tmp_path)
    store.delete(records[1].chunk.key.outcomes_key(".jsonl.gz"))
    report = evolve(whole, records=records).report(most=2)
    dropped = report.dropped
    assert (dropped.counts, len(dropped.pairs), dropped.without) == ({"near_duplicate": 9}, 2, 1)
    assert [one.preview for one in dropped.pairs] == [b"picture", b""]
    assert report.kept == {rows[0].sha256: 0}
    assert "9 images show the same picture" in Page(report).text
    assert list(dropped.unread) == [2]
    assert "2 of 9 images that were left out are shown, those of the first chunks." in Page(report).text
    assert "The outcomes of chunk 2 could not be read." in Page(report).text


def test_of_too_many_copies_the_first_pairs_are_shown(tmp_path: Path) -> None:
    """A thousand copies of one picture must not fill the page."""
    dataset = stored_dataset(tmp_path, [[(a_row(0), jpegs(1)[0])]])
    twins = [TwinPair(a_row(0).url, f"u{number}", "same picture") for number in range(999)]
    report = evolve(dataset, records=[evolve(dataset.records[0], result=evolve(_result(dataset, 0), twins=twins))])
    shown = report.report()
    assert (shown.sums.copies, len(shown.twins)) == (999, 200)
    assert "The first 200 are shown." in Page(shown).text


def _result(dataset: StoredDataset, number: int) -> ChunkResult:
    result = dataset.records[number].result
    assert result
    return result


def test_an_unreadable_archive_is_reported_and_the_others_are_shown(tmp_path: Path) -> None:
    """People need a report most when something is wrong."""
    store = MemoryBlobStore()
    images = [(a_row(number), data) for number, data in enumerate(jpegs(3))]
    dataset = stored_dataset(tmp_path, [images[:1], images[1:2], images[2:]], store)
    store.delete("d/data/chunk_1.zip")
    wrong = [*dataset.records[:1], evolve(dataset.records[1], result=dataset.records[0].result), dataset.records[2]]
    report = evolve(dataset, records=wrong).report()
    assert list(report.unread) == [1, 2]
    assert [image.row["title"] for image in report.images] == ["picture 2"]
    assert "The archive of chunk 1 could not be read" in Page(report).text


def test_a_store_that_refuses_is_an_error_and_no_empty_report(tmp_path: Path) -> None:
    """Wrong credentials are not a damaged dataset."""

    class Refusing(MemoryBlobStore):
        def open(self, key: str) -> Any:  # noqa: ANN401 - it never returns
            raise StoreDenied(f"{key}: forbidden")

    with pytest.raises(StoreDenied):
        stored_dataset(tmp_path, [[(a_row(0), jpegs(1)[0])]], Refusing()).report()


def test_rejects_are_listed_by_reason_with_samples_of_all_chunks() -> None:
    """A few samples of each chunk say more than all samples of the first."""
    records = [
        a_record(
            number, accepted=1, rejected={"damaged": 60, "odd": 1}, rejects=[Reject(f"u{number}", "damaged", "")] * 20
        )
        for number in range(1, 5)
    ]
    refused = gather_none(records).sums.rejections
    assert [(one.reason, one.count, len(one.samples)) for one in refused] == [("damaged", 240, 40), ("odd", 4, 0)]
    assert {chunk for chunk, _ in refused[0].samples} == {1, 2, 3, 4}


def test_the_same_dataset_gives_the_same_page(tmp_path: Path) -> None:
    """Two reports differ only if the dataset differs, not with the time."""
    images = [(a_row(number), data) for number, data in enumerate(jpegs(4))]
    dataset = stored_dataset(tmp_path, [images])
    one, other = (b"".join(render(dataset.report())) for _ in range(2))
    assert one == other


def test_the_policy_allows_only_this_script_and_this_style() -> None:
    """A script in a title from outside must not run, and nothing may be fetched."""
    page = Page(empty())
    policy = dict(part.split(" ", 1) for part in page.metas["Content-Security-Policy"].split("; "))
    (script,) = [text for attributes, text in page.scripts if "type" not in attributes]
    hashes = [f"'sha256-{b64encode(sha256(text.encode()).digest()).decode()}'" for text in (script, *page.styles)]
    assert policy == {
        "default-src": "'none'",
        "img-src": "data:",
        "script-src": hashes[0],
        "style-src": hashes[1],
        "base-uri": "'none'",
        "form-action": "'none'",
    }


HARD = st.one_of(
    st.text(max_size=40),
    st.sampled_from(
        [
            "</script><script>alert(1)</script>",
            "<!--<script>",
            "]]>",
            "\u2028\u2029\x00\x07\x1b[31m\r\n",
            "\u202egnp.exe\u2066",
            "👩\u200d🚀" * 20,
            "\"'`&amp;",
            "x" * 10_000,
            "\ufeff\uffff\U0010ffff",
        ]
    ),
)
ROWS = st.builds(Row, **{column: st.integers(0, 2**53) if column in NUMBERS else HARD for column in COLUMNS})


@given(rows=st.lists(ROWS, min_size=1, max_size=3))
def test_any_row_is_in_the_page_unchanged(rows: list[Row]) -> None:
    """Titles and addresses come from outside: none is changed, and none ends the block of data."""
    report = evolve(empty(), images=tuple(Shown(1, row.values(), b"") for row in rows))
    page = Page(report)
    assert [{column: image[column] for column in COLUMNS} for image in page.images] == [row.values() for row in rows]
    assert len(page.scripts) == 2


@given(reason=HARD, url=HARD, detail=HARD, error=HARD, keyword=HARD.filter(str.strip))
def test_any_text_of_the_status_database_is_shown_as_text(
    reason: str, url: str, detail: str, error: str, keyword: str
) -> None:
    """It is in the page's own markup: a parser must find the same text, and no further element."""
    record = a_record(
        1, keyword=keyword, error=error, rejected={reason: 1}, rejects=[Reject(url, reason, detail)], accepted=1
    )
    page = Page(gather_none([record]))
    for text in (reason.replace("_", " "), url, detail, error, keyword):
        assert text in page.text
    assert len(page.scripts) == 2


@given(
    counts=st.lists(st.tuples(HARD, st.integers(0, 10**9)), max_size=8),
    about=HARD,
    spans=st.lists(st.tuples(st.floats(0, 1e9), st.floats(0, 1e6)), max_size=5),
)
def test_charts_stay_within_their_frames(
    counts: list[tuple[str, int]], about: str, spans: list[tuple[float, float]]
) -> None:
    """For any numbers, nothing is drawn outside, and names are text."""
    last = max((began + lasted for began, lasted in spans), default=0.0)
    strip = charts.strip([charts.Span(began, began + lasted, "done", about) for began, lasted in spans], 0.0, last)
    for drawn, width in ((charts.columns(counts, about), 360), (strip, 100), (charts.share(*_two(counts)), 100)):
        tags = re.findall(r"<(/?\w+)", drawn)
        assert set(tags) <= {"svg", "/svg", "rect", "/rect", "line", "text", "/text", "title", "/title"}
        for left, wide in re.findall(r'<rect class="[a-z]+" x="([^"]+)"(?: y="[^"]+")? width="([^"]+)"', drawn):
            assert 0 <= float(left) <= width
            assert float(left) + float(wide) <= width + 0.45
        assert "nan" not in drawn.split("aria-label")[0]


def _two(counts: list[tuple[str, int]]) -> tuple[float, float]:
    numbers = sorted(count for _, count in counts) or [0]
    return numbers[0], numbers[-1]


def test_a_report_replaces_only_a_report(tmp_path: Path) -> None:
    """A typing error on the command line must not destroy a photograph."""
    target = tmp_path / "page.html"
    first = write(empty(), target)
    assert first == target.stat().st_size
    write(evolve(empty(), dataset="other"), target)
    assert "<title>other" in target.read_text()
    for existing in (tmp_path, tmp_path / "cat.jpg"):
        if not existing.exists():
            existing.write_bytes(b"a cat")
        with pytest.raises(InvalidRequest, match="is not a report of pixcore; choose another file"):
            write(empty(), existing)
    assert (tmp_path / "cat.jpg").read_bytes() == b"a cat"
    with pytest.raises(InvalidRequest, match="is not a folder; create it"):
        write(empty(), tmp_path / "nowhere" / "page.html")


def test_a_page_that_fails_half_way_leaves_the_earlier_one(tmp_path: Path) -> None:
    """No half page and no temporary file stay."""
    target = tmp_path / "page.html"
    write(empty(), target)
    before = target.read_bytes()
    with pytest.raises(AttributeError):
        write(evolve(empty(), lines=(None,)), target)  # type: ignore[arg-type] - the fault
    assert target.read_bytes() == before
    assert list(tmp_path.iterdir()) == [target]


def test_ten_thousand_images_fit(tmp_path: Path) -> None:
    """With the largest thumbnails and long addresses, the page can still be sent and opened."""
    thumbnail = bytes(Thumbnails.for_count(10_000).budget)
    images = tuple(Shown(number // 500, a_row(number, **_long(number)).values(), thumbnail) for number in range(10_000))
    assert write(evolve(empty(), images=images), tmp_path / "page.html") < LIMIT


def _long(number: int) -> dict[str, str]:
    digest = sha256(str(number).encode()).hexdigest()
    return {
        "url": f"https://upload.example.org/wikipedia/commons/thumb/{digest[:2]}/{digest[:40]}/1024px-picture.jpg",
        "page_url": f"https://commons.example.org/wiki/File:{digest[:40]}.jpg",
        "title": f"A picture of something, by somebody, number {number}",
        "creator": f"Somebody {number % 3000}",
        "license_url": "https://creativecommons.org/licenses/by-sa/4.0/",
        "sha256": digest,
        "phash": digest[:16],
        "dhash": digest[16:32],
        "hash_method": "imagehash-4.3.2/pillow-13.0.0",
    }
