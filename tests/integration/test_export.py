"""Exports appear whole or not at all, are deterministic, keep every row, and keep near-duplicates in one split."""

import fcntl
import os
import signal
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from random import Random
from typing import Any

import pyarrow.parquet as pq
import pytest
from attrs import evolve
from command import at_home, ended, files, fill, jpeg, pixcore, start
from contract.disk import no_file_above
from exports import LAYOUTS, PLAIN, read_back
from hypothesis import given
from hypothesis import strategies as st
from pictures import encoded, photo
from shelf import Picture, Shelf
from tenacity import Retrying, stop_after_delay, wait_fixed

from pixcore.errors import InvalidRequest, StoreUnavailable, WorkspaceFull
from pixcore.model.claims import Claimed
from pixcore.model.quality import NearRule, Quality
from pixcore.model.rows import COLUMNS, NUMBERS
from pixcore.stored.completed import CompletedChunks, require_whole
from pixcore.stored.samples import Sample, classes, placed_together, samples
from pixcore.stored.splits import Splits
from pixcore_adapters.outputs.export import export
from pixcore_adapters.outputs.export.destinations.folder import Folder
from pixcore_adapters.outputs.export.imagefolder import ImageFolder
from pixcore_adapters.outputs.export.layout import Layout

each_layout = pytest.mark.parametrize(
    "layout", [LAYOUTS[name](PLAIN) for name in ("imagefolder", "webdataset", "parquet", "coco")]
)
# text from outside that a row can hold
texts = st.text(st.characters(codec="utf-8")) | st.sampled_from(
    [
        "🐈",
        '"quoted"\'',
        "two\nlines\r\n",
        "\0\x1b[31m",
        "\u2028\u0085",
        "\u202egpj.exe",
        "x" * 10_240,
        ".",
        "../..",
        "~",
    ]
)


def sample(number: int, split: str = "train", data: bytes | None = None, **values: str) -> Sample:
    """Make an image of an export."""
    row: dict[str, object] = {column: number if column in NUMBERS else "" for column in COLUMNS}
    described = {**row, "label": "cat", **values, "file_name": f"1-{number:06d}.jpg"}
    return Sample(split, f"1-{number:06d}", "jpg", described, f"picture {number}".encode() if data is None else data)


@given(one=texts, other=texts)
def test_another_label_is_another_folder(one: str, other: str) -> None:
    """Two classes in one folder would be trained on as one class."""
    from pixcore_adapters.outputs.export.imagefolder import _folder  # noqa: PLC0415 (the rule that is tested)

    assert (_folder(one) == _folder(other)) == (one == other)


@pytest.mark.parametrize(
    ("label", "folder"),
    [
        ("red panda", "red panda"),
        ("кот 2", "кот 2"),
        ("a/b", "a%2Fb"),
        ("..", "%2E%2E"),
        (".hidden", "%2Ehidden"),
        ("__pycache__", "%5F_pycache__"),
        ("100%", "100%25"),
        ("test tubes", "%74est tubes"),
        ("crash test", "crash %74est"),
        ("contest", "contest"),
        ("", "%"),
    ],
)
def test_a_label_names_its_folder(label: str, folder: str, tmp_path: Path) -> None:
    """Unchanged, except for names that lead elsewhere, are hidden, or that loaders take for a split."""
    export([sample(0, label=label)], ImageFolder(evolve(PLAIN, classes=(label,))), Folder(tmp_path / "out"), "cats")
    assert files(tmp_path / "out") == sorted(["README.md", f"train/{folder}/1-000000.jpg", "train/metadata.parquet"])


@each_layout
@pytest.mark.parametrize("existing", [False, True], ids=["new folder", "empty folder"])
@pytest.mark.parametrize("error", [StoreUnavailable("away"), KeyboardInterrupt(), RuntimeError("bug")])
def test_nothing_is_left_of_an_export_that_ended_early(
    layout: Layout, tmp_path: Path, error: BaseException, *, existing: bool
) -> None:
    """People would train on half a dataset as if it were whole."""

    def failing() -> Iterator[Sample]:
        yield sample(0)
        yield sample(1, "test")
        raise error

    out = tmp_path / "out"
    if existing:
        out.mkdir()
    with pytest.raises(type(error)) as raised:
        export(failing(), layout, Folder(out), "cats")
    assert raised.value is error
    assert [path.name for path in tmp_path.rglob("*")] == (["out"] if existing else [])


@each_layout
@pytest.mark.parametrize("room", [0, 100, 5_000, 60_000])
def test_a_full_disk_is_reported_and_nothing_is_left(layout: Layout, tmp_path: Path, room: int) -> None:
    """This must hold wherever in the export the disk becomes full."""
    some = [sample(number, data=Random(number).randbytes(100_000)) for number in range(3)]  # noqa: S311 - no secret
    with no_file_above(room), pytest.raises(WorkspaceFull, match=r"nothing was exported to .*free some space"):
        export(some, layout, Folder(tmp_path / "out"), "cats")
    assert not list(tmp_path.iterdir())


@each_layout
def test_existing_files_are_not_overwritten(layout: Layout, tmp_path: Path) -> None:
    """The export must not overwrite files, folders with files, or files that appear during the export."""
    taken, file = tmp_path / "taken", tmp_path / "file"
    taken.mkdir()
    file.write_text("mine")
    (taken / "mine").write_text("mine")
    for out in (taken, file):
        with pytest.raises(InvalidRequest, match="is not an empty folder; nothing was written"):
            export([sample(0)], layout, Folder(out), "cats")

    def slow() -> Iterator[Sample]:
        yield sample(0)
        (tmp_path / "late").mkdir()
        (tmp_path / "late" / "mine").write_text("mine")

    with pytest.raises(InvalidRequest, match="is not an empty folder; nothing was written"):
        export(slow(), layout, Folder(tmp_path / "late"), "cats")
    assert files(tmp_path) == ["file", "late/mine", "taken/mine"]


def test_what_a_killed_export_left_is_removed(tmp_path: Path) -> None:
    """It takes as much space as the export. What a running export writes to the same folder stays."""
    (tmp_path / ".out.partial-0123abcd" / "train").mkdir(parents=True)
    (tmp_path / ".other.partial-0123abcd").mkdir()
    out = Folder(tmp_path / "out")

    def while_another_runs() -> Iterator[Sample]:
        yield sample(0)
        export([sample(0)], LAYOUTS["webdataset"](PLAIN), out, "cats")
        yield sample(1)

    with pytest.raises(InvalidRequest, match="is not an empty folder"):
        export(while_another_runs(), LAYOUTS["webdataset"](PLAIN), out, "cats")
    assert sorted(path.name for path in tmp_path.iterdir()) == [".other.partial-0123abcd", "out"]


def test_a_layout_cannot_write_outside_of_the_export(tmp_path: Path) -> None:
    """Layouts of other packages write exports too, and labels are text from outside."""
    for name in ("../a", "/a", "a//b", "."):
        with (
            pytest.raises(InvalidRequest, match="cannot hold a file named"),
            Folder(tmp_path / "out").writing() as files,
            files.create(name),
        ):
            pass


def test_a_folder_that_cannot_be_created_is_reported(tmp_path: Path) -> None:
    """In one line, with a remedy."""
    (tmp_path / "file").write_text("")
    with pytest.raises(InvalidRequest, match=r"nothing was exported to .*Not a directory; choose a folder"):
        export([sample(0)], LAYOUTS["webdataset"](PLAIN), Folder(tmp_path / "file" / "out"), "cats")


@pytest.mark.parametrize("name", ["webdataset", "parquet"])
def test_files_hold_a_thousand_samples(name: str, tmp_path: Path) -> None:
    """A file with a million images could not be shuffled or fetched in parts. None is lost between two files."""
    some = [sample(number, "test" if number % 4 == 3 else "train") for number in range(2_800)]
    export(some, LAYOUTS[name](PLAIN), Folder(tmp_path / "out"), "cats")
    kind = {"webdataset": "tar", "parquet": "parquet"}[name]
    numbered = ["test-000000", "train-000000", "train-000001", "train-000002"]
    assert files(tmp_path / "out") == ["README.md", *(f"{file}.{kind}" for file in numbered)]
    assert {split: len(found) for split, found in read_back(tmp_path / "out", name).items()} == {
        "test": 700,
        "train": 2_100,
    }


def test_row_groups_are_small(tmp_path: Path) -> None:
    """A reader holds one row group in memory."""
    export([sample(number) for number in range(250)], LAYOUTS["parquet"](PLAIN), Folder(tmp_path / "many"), "cats")
    export(
        [sample(number, data=bytes(30 << 20)) for number in range(4)],
        LAYOUTS["parquet"](PLAIN),
        Folder(tmp_path / "large"),
        "cats",
    )
    for name, sizes in (("many", [100, 100, 50]), ("large", [3, 1])):
        about = pq.ParquetFile(tmp_path / name / "train-000000.parquet").metadata
        assert [about.row_group(number).num_rows for number in range(about.num_row_groups)] == sizes


def test_near_duplicates_are_in_one_split_by_the_datasets_rule(tmp_path: Path) -> None:
    """If chunks were planned with different rules, one rule that finds two images near keeps them together."""
    shelf = Shelf(tmp_path)
    loose = Quality(near=NearRule(8, 8))
    hashes = (0, 0x0F, 0xFF, 0xFFFF_FFFF_0000)
    for number, phash in enumerate(hashes):
        shelf.add([Picture(jpeg(number), phash=phash)], quality=loose if number == 0 else Quality(near=NearRule(2, 2)))
    records = shelf.records()
    placed = placed_together("cats", records, shelf.seen)
    splits = Splits.parse("a=0.5,b=0.5")
    found = list(samples(records, shelf.archives, splits, placed, "label"))
    assert len(placed) == 3
    assert len({each.split for each in found[:3]}) == 1
    assert placed_together("cats", records[1:2], shelf.seen) == {}


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make a dataset of nine photos in three chunks; the last three are the first three, recompressed."""
    at_home(tmp_path, monkeypatch)
    photos = fill(tmp_path / "photos", 6)
    for number in range(3):
        (photos / f"{6 + number:04}.jpg").write_bytes(encoded(photo(number, 64, 64), quality=50))
    assert pixcore("run", "cat", "--dataset", "cats", "--source", "folder:photos", "--chunk-size", "3").code == 0
    return tmp_path


def titles(found: Sequence[tuple[bytes, Mapping[str, Any]]]) -> set[str]:
    """Return the names of the original files."""
    return {row["url"] for _, row in found}


@pytest.mark.usefixtures("home")
@pytest.mark.parametrize("name", LAYOUTS)
def test_a_dataset_is_exported_in_splits(name: str) -> None:
    """Each image is exported once, with its near-duplicates, and in the same split in every layout."""
    ran = pixcore("export", "cats", "--format", name, "--out", "out", "--split", "train=0.6,test=0.4", "--json")
    assert (ran.code, ran.document["dataset"], ran.document["format"], ran.document["out"]) == (0, "cats", name, "out")
    found = read_back(Path("out"), name)
    assert {split: len(images) for split, images in found.items()} == ran.document["splits"]
    assert titles(found["train"]) | titles(found["test"]) == {f"{number:04}.jpg" for number in range(9)}
    for images in found.values():
        urls = titles(images)
        assert all((f"{number:04}.jpg" in urls) == (f"{number + 6:04}.jpg" in urls) for number in range(3))
        assert all(row["label"] == "cat" for _, row in images)


@pytest.mark.usefixtures("home")
def test_a_label_or_the_keyword_names_the_folders() -> None:
    """Without --label, all images of a split are in one folder."""
    for label, folder in (("label", "cat/"), ("keyword", "cat/"), ("", "")):
        more = ("--label", label) if label else ()
        assert pixcore("export", "cats", "--format", "imagefolder", "--out", f"by-{label}", *more).code == 0
        assert files(Path(f"by-{label}"))[1] == f"train/{folder}1-000000.jpg"


def test_the_keyword_can_replace_the_label(tmp_path: Path) -> None:
    """People who searched for two breeds as one class may want the breeds later."""
    shelf = Shelf(tmp_path)
    shelf.add([Picture(jpeg(0))], keyword="siamese", label="cat")
    for column, wanted in (("label", "cat"), ("keyword", "siamese")):
        (found,) = samples(shelf.records(), shelf.archives, Splits.parse("train=1"), {}, column)
        assert (found.row["label"], found.row["keyword"]) == (wanted, "siamese")


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (("cats", "--out", "photos"), 2, "photos already exists and is not an empty folder"),
        (("cats", "--out", "nosuch:out"), 2, "nothing can be exported to nosuch:; write ./nosuch:out for a folder"),
        (("cats", "--out", "nosuch://out"), 2, "nothing can be exported to nosuch://out: "),
        (("cats", "--out", "s3://bucket"), 2, "names a whole store; add the name of a folder, as in s3://bucket/NAME"),
        (("cats", "--out", "s3://key:word@bucket/out"), 2, "--out holds a credential"),
        (("cats", "--out", "memory://out"), 2, "would be lost when this command ends"),
        (("cats", "--out", "file://host/out"), 2, "names no folder of this machine; write file:./out"),
        (("dogs", "--out", "out"), 2, "no dataset 'dogs'"),
        (("cats", "--out", "out", "--split", "train=0.5"), 2, "add up to 0.5"),
        (("cats", "--out", "out", "--shard-size", "much"), 2, "write a number of images, or a size as in 500MB"),
        (("cats", "--out", "out", "--shard-size", "500MB"), 2, "the layout imagefolder has no shards"),
        (("cats",), 2, "Missing option '--out'"),
    ],
)
@pytest.mark.usefixtures("home")
def test_an_impossible_export_is_refused_at_once(words: tuple[str, ...], code: int, message: str) -> None:
    """With one line, before anything is fetched."""
    before = files(Path())
    ran = pixcore("export", *words, "--format", "imagefolder")
    assert (ran.code, ran.out, ran.err.count("\n")) == (code, "", 1)
    assert message in ran.err
    assert files(Path()) == before


@pytest.mark.usefixtures("home")
def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the command that installs it."""
    monkeypatch.setitem(__import__("sys").modules, "pixcore_adapters.outputs.export.parquet", None)
    ran = pixcore("export", "cats", "--format", "parquet", "--out", "out")
    assert (ran.code, ran.out) == (2, "")
    assert "pip install 'pixcore[parquet]'" in ran.err


def test_the_completed_chunks_of_an_incomplete_dataset_are_exported(home: Path) -> None:
    """The exit code says that chunks are missing. Without any completed chunk, nothing is written."""
    data = home / "pixcore-data/blobs/cats/data"
    for number, code, images in ((2, 3, {"train": 6}), (1, 3, {"train": 3}), (3, 4, None)):
        (data / f"chunk_{number}.zip").unlink()
        assert pixcore("verify", "cats", "--repair").code == 3
        ran = pixcore("export", "cats", "--format", "webdataset", "--out", f"without-{number}", "--json")
        assert ran.code == code
        if images:
            assert ran.document["splits"] == images
            assert "chunks that were not exported because they are not completed: " in ran.err
    assert "nothing to export" in ran.err
    assert not Path("without-3").exists()


@pytest.mark.usefixtures("home")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_export_leaves_nothing(number: signal.Signals) -> None:
    """After Ctrl-C or SIGTERM no partial export may be left, and the exit code must show the interrupt."""
    before = files(Path())
    # this test holds the lock of the work directory, so that the export waits in the middle
    Path("work").mkdir(mode=0o700, exist_ok=True)
    held = os.open("work", os.O_RDONLY)
    fcntl.flock(held, fcntl.LOCK_EX)
    try:
        process = start("export", "cats", "--format", "webdataset", "--out", "out")
        for attempt in Retrying(stop=stop_after_delay(60), wait=wait_fixed(0.02)):
            with attempt:
                assert list(Path().glob(".out.partial-*"))
        process.send_signal(number)
        ran = ended(process)
    finally:
        os.close(held)
    assert (ran.code, ran.out) == (130, "")
    assert "interrupted; nothing was exported" in ran.err
    assert files(Path()) == before


def test_an_image_that_is_not_the_one_of_its_row_is_not_exported(tmp_path: Path) -> None:
    """The archive is the recorded one, but a row in it describes another image; nothing may be left of the export."""
    shelf = Shelf(tmp_path)
    shelf.add([Picture(jpeg(0)), Picture(jpeg(1), sha256="0" * 64)])
    some = samples(shelf.records(), shelf.archives, Splits.parse("train=1"), {}, "label")
    with pytest.raises(InvalidRequest, match=r"cats/data/chunk_1.zip: images/000001.jpg is not the image that its row"):
        export(some, LAYOUTS["csv"](PLAIN), Folder(tmp_path / "out"), "cats")
    assert not (tmp_path / "out").exists()


def test_images_that_a_loader_would_skip_are_counted(tmp_path: Path) -> None:
    """Torchvision goes by the extension, and says nothing of files that it leaves out."""
    formats = (("GIF", "gif"), ("JPEG", "jpg"), ("AVIF", "avif"))
    some = [
        Sample("train", each.key, extension, {**each.row, "format": name}, each.data)
        for each, (name, extension) in zip(map(sample, range(3)), formats, strict=True)
    ]
    notes: list[str] = []
    for number, request in enumerate((PLAIN, evolve(PLAIN, classes=("cat",)))):
        export(some, LAYOUTS["imagefolder"](request), Folder(tmp_path / f"{number}"), "cats", note=notes.append)
    (note,) = notes
    assert "ImageFolder skips 1 AVIF, 1 GIF unless" in note


def test_classes_are_the_labels_of_all_chunks(tmp_path: Path) -> None:
    """Counted ones and, where an older version did not count them, those of the rows; the same order every time."""
    shelf = Shelf(tmp_path)
    for label, keyword in (("tiger", "cats"), ("", "lion"), ("bear", "cats")):
        shelf.add([Picture(jpeg(len(label)))], keyword=keyword, label=label)
    records = shelf.records()
    assert records[2].result
    records[2] = evolve(records[2], result=evolve(records[2].result, tally={}))
    assert classes(records, shelf.archives, "label") == ("bear", "lion", "tiger")
    assert classes(records, shelf.archives, "keyword") == ("cats", "lion")


@pytest.mark.usefixtures("home")
def test_damage_is_not_exported() -> None:
    """One message names all archives that are missing or another size, and the commands that help."""
    data = Path("pixcore-data/blobs/cats/data")
    (data / "chunk_1.zip").unlink()
    whole = (data / "chunk_2.zip").read_bytes()
    (data / "chunk_2.zip").write_bytes(whole[:-1])
    ran = pixcore("export", "cats", "--format", "imagefolder", "--out", "out")
    assert (ran.code, ran.err.count("\n")) == (2, 1)
    assert (
        "archives that cannot be read: 2 of 3: cats/data/chunk_1.zip is missing; cats/data/chunk_2.zip is not the"
        " archive that was recorded. `pixcore verify` says what is wrong, and `pixcore verify cats --repair`"
    ) in ran.err
    assert not Path("out").exists()


def test_a_damage_that_only_the_bytes_show_is_not_exported(tmp_path: Path) -> None:
    """A failing disk changes bytes, but neither the size nor the metadata."""
    shelf = Shelf(tmp_path)
    record = shelf.add([Picture(jpeg(1))])
    path = tmp_path / "store/cats/data/chunk_1.zip"
    times, data = path.stat(), bytearray(path.read_bytes())
    data[100] ^= 1
    path.write_bytes(data)
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
    found = CompletedChunks("cats", shelf.status)
    require_whole(found, shelf.archives)
    with pytest.raises(InvalidRequest, match="`pixcore verify` says what is wrong with it"):
        list(samples(found, shelf.archives, Splits.parse("train=1"), {}, "label"))
    assert list(found) == [record]


def test_chunks_are_those_that_were_completed_first(tmp_path: Path) -> None:
    """An export goes through them several times: columns and classes must be those of the images that follow."""
    shelf = Shelf(tmp_path)
    first, second = shelf.add([Picture(jpeg(1))]), shelf.add([Picture(jpeg(2))])
    found = CompletedChunks("cats", shelf.status)
    shelf.add([Picture(jpeg(3))])  # is completed later
    shelf.status.reopen(second.chunk.key)  # its archive stays until another attempt replaces it
    assert [record.chunk.id for record in found] == [first.chunk.id, second.chunk.id]
    assert (len(found), found.others) == (2, 0)
    claimed = shelf.status.claim(second.chunk.key, "owner", 60)
    assert isinstance(claimed, Claimed)
    shelf.finish(claimed, [Picture(jpeg(4))])
    with pytest.raises(InvalidRequest, match=r"chunk cats/2 was processed again while its dataset was read; repeat"):
        list(found)
    assert len(CompletedChunks("cats", shelf.status)) == 3
