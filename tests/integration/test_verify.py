"""``pixcore verify`` finds and names every kind of damage; a repair and a run remove it."""

import hashlib
import io
import json
import os
import zipfile
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import shelf as shelves
from attrs import evolve
from command import at_home, files, fill, jpeg, pixcore

from pixcore import Accepted, Blob, ChunkRecord, Download, Rejected, StoreDenied, Validator
from pixcore.model.claims import Claimed
from pixcore.model.quality import Fingerprint
from pixcore.stored.verify import repair, verify_dataset
from pixcore_adapters.archiver.tar import TarArchiver
from pixcore_adapters.blob_store.local import LocalBlobStore
from pixcore_adapters.status_repo.memory import MemoryStatusRepo
from pixcore_adapters.validator.decode import METHOD, decode
from pixcore_adapters.validator.picture import Limits, Picture

RUN = ("run", "cat", "--dataset", "cats", "--source", "folder:photos", "--chunk-size", "3", "--quiet")
DATA = Path("pixcore-data/blobs/cats/data")
FIRST, SECOND = DATA / "chunk_1.zip", DATA / "chunk_2.zip"
MEMBER = "images/000001.jpg"


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make a current folder with a dataset of three chunks of three images each."""
    at_home(tmp_path, monkeypatch)
    fill(tmp_path / "photos", 9)
    assert pixcore(*RUN).code == 0
    return tmp_path


def repacked(change: Callable[[dict[str, bytes]], None]) -> Callable[[], None]:
    """Return a damage that a zip program does: the archive is a valid zip file again."""

    def damage() -> None:
        with zipfile.ZipFile(FIRST) as packed:
            members = {name: packed.read(name) for name in packed.namelist()}
        change(members)
        made = io.BytesIO()
        with zipfile.ZipFile(made, "w") as packed:
            for name, data in members.items():
                packed.writestr(name, data)
        FIRST.write_bytes(made.getvalue())

    return damage


def flip_a_byte() -> None:
    """Change a byte in the middle of a picture."""
    data = bytearray(FIRST.read_bytes())
    with zipfile.ZipFile(FIRST) as packed:
        data[packed.getinfo(MEMBER).header_offset + 200] ^= 1
    FIRST.write_bytes(data)


def flip_a_byte_unnoticed() -> None:
    """Change a byte as a failing disk does: the times of the file, and so the metadata of the blob, stay."""
    times = FIRST.stat()
    flip_a_byte()
    os.utime(FIRST, ns=(times.st_atime_ns, times.st_mtime_ns))


@repacked
def drop_a_row(members: dict[str, bytes]) -> None:
    """Remove a row; its picture stays."""
    rows = members["rows.jsonl"].splitlines(keepends=True)
    members["rows.jsonl"] = b"".join(row for row in rows if MEMBER.encode() not in row)


@repacked
def change_measures(members: dict[str, bytes]) -> None:
    """Change what a row says of its picture, as another program does that fills in the columns."""
    rows = [json.loads(line) for line in members["rows.jsonl"].splitlines()]
    for row in rows:
        if row["file_name"] == MEMBER:
            row |= {"orientation": 6, "contrast": row["contrast"] + 1}
    members["rows.jsonl"] = b"".join(json.dumps(row).encode() + b"\n" for row in rows)


@repacked
def add_a_file(members: dict[str, bytes]) -> None:
    """Add a file, as an operating system does when it repacks archives."""
    members["__MACOSX/._000001.jpg"] = b"rubbish"


def swap() -> None:
    """Exchange two blobs."""
    FIRST.rename(DATA / "aside")
    SECOND.rename(FIRST)
    (DATA / "aside").rename(SECOND)


def truncate() -> None:
    """Cut the archive, as an interrupted copy does."""
    FIRST.write_bytes(FIRST.read_bytes()[:1000])


DAMAGES: Mapping[str, tuple[Callable[[], None], list[tuple[int, str]]]] = {
    "flipped byte": (flip_a_byte, [(1, "its sha256 is "), (1, f"Bad CRC-32 for file '{MEMBER}'")]),
    "flipped byte, times kept": (
        flip_a_byte_unnoticed,
        [(1, "its sha256 is "), (1, "its own metadata say "), (1, f"Bad CRC-32 for file '{MEMBER}'")],
    ),
    "changed measures": (
        change_measures,
        [
            (1, "its sha256 is "),
            (1, f"{MEMBER}: its orientation is 1, its row says 6"),
            (1, f"{MEMBER}: its contrast is "),
        ],
    ),
    "missing row": (
        drop_a_row,
        [
            (1, " bytes, "),
            (1, "its sha256 is "),
            (1, "has 2 rows, 3 images were accepted"),
            (1, f"{MEMBER}: has no row"),
        ],
    ),
    "extra file": (add_a_file, [(1, " bytes, "), (1, "its sha256 is "), (1, "__MACOSX/._000001.jpg: has no row")]),
    "swapped blobs": (swap, [(1, "is the archive of chunk cats/2"), (2, "is the archive of chunk cats/1")]),
    "truncated zip": (
        truncate,
        [(1, "holds 1000 bytes, "), (1, "its sha256 is "), (1, "is not a complete")],
    ),
    "missing blob": (FIRST.unlink, [(1, "is missing; it was stored as file:///")]),
}


@pytest.mark.usefixtures("home")
@pytest.mark.parametrize(("damage", "expected"), DAMAGES.values(), ids=DAMAGES)
def test_damage_is_found_and_repaired(damage: Callable[[], None], expected: list[tuple[int, str]]) -> None:
    """Every fault is named; only the damaged chunk is made again, and then the dataset is as before."""
    before = {name: (DATA.parent / name).read_bytes() for name in files(DATA.parent)}
    assert pixcore("verify", "cats", "--quiet").out == "archives: 3, images: 9, faults: 0\n"
    damage()
    after_damage = {name: (DATA.parent / name).read_bytes() for name in files(DATA.parent)}

    ran = pixcore("verify", "cats", "--repair", "--json")
    assert (ran.code, ran.document["archives"]) == (3, 3)
    faults = ran.document["faults"]
    assert len(faults) == len(expected)
    for fault, (chunk, message) in zip(faults, expected, strict=True):
        assert (fault["chunk"], fault["blob"]) == (chunk, f"cats/data/chunk_{chunk}.zip")
        assert message in fault["fault"]
    damaged = sorted({chunk for chunk, _ in expected})
    assert ran.document["reopened"] == damaged
    assert "pixcore retry cats" in ran.err
    assert {name: (DATA.parent / name).read_bytes() for name in files(DATA.parent)} == after_damage

    ran = pixcore(*RUN, "--json")
    assert (ran.code, [chunk["attempt"] for chunk in ran.chunks]) == (0, [1 + (n in damaged) for n in (1, 2, 3)])
    assert pixcore("verify", "cats", "--quiet").out == "archives: 3, images: 9, faults: 0\n"
    assert {name: (DATA.parent / name).read_bytes() for name in files(DATA.parent)} == before


@pytest.mark.usefixtures("home")
def test_blobs_of_no_chunk_are_named() -> None:
    """Loaders read all files among the archives. The dataset's card and lists belong there."""
    dataset = DATA.parent
    for name in ("README.md", "croissant.json"):
        (dataset / name).write_text("")
    strays = ["data/chunk_1.tar", "data/chunk_01.zip", "data/chunk_99.zip", f"data/chunk_{10**30}.zip", "data/x.json"]
    strays += ["chunk_1.zip", "state.json", "lists.txt"]
    for name in strays:
        (dataset / name).write_bytes(FIRST.read_bytes())
    ran = pixcore("verify", "cats", "--repair", "--json")
    assert ran.code == 3
    assert sorted(fault["blob"] for fault in ran.document["faults"]) == sorted(f"cats/{name}" for name in strays)
    assert {(fault["chunk"], fault["fault"][:20]) for fault in ran.document["faults"]} == {
        (None, "belongs to no chunk,")
    }
    assert (ran.document["archives"], ran.document["reopened"]) == (3, [])


@pytest.mark.usefixtures("home")
def test_every_fault_is_a_line_without_control_characters() -> None:
    """The name of a member comes from outside and must not control the terminal."""
    members = {"images/\x1b[2J.jpg": b"rubbish"}
    repacked(lambda packed: packed.update(members))()
    ran = pixcore("verify", "cats", "--quiet")
    *faults, sums = ran.out.splitlines()
    assert (ran.code, ran.err, sums) == (3, "", f"archives: 3, images: 9, faults: {len(faults)}")
    assert all(line.startswith("chunk 1: cats/data/chunk_1.zip: ") for line in faults)
    assert faults[-1].endswith("images/\\x1b[2J.jpg: has no row")


@pytest.mark.usefixtures("home")
def test_names_that_loaders_do_not_expect_are_faults() -> None:
    """Rows and files agree, but WebDataset takes a key with a dot for another sample."""

    def rename(members: dict[str, bytes]) -> None:
        members["images/1.small.jpg"] = members.pop(MEMBER)
        members["rows.jsonl"] = members["rows.jsonl"].replace(MEMBER.encode(), b"images/1.small.jpg")

    repacked(rename)()
    ran = pixcore("verify", str(FIRST))
    assert (ran.code, ran.out.splitlines()[:-1]) == (
        3,
        [f"{FIRST}: images/1.small.jpg: is not called images/NUMBER.EXTENSION, as loaders expect"],
    )


@pytest.mark.usefixtures("home")
def test_progress_is_on_standard_error() -> None:
    """Without a terminal, one line for each tenth."""
    ran = pixcore("verify", "cats")
    assert ran.err.splitlines() == [f"archives: {number} of 3" for number in (1, 2, 3)]


@pytest.mark.usefixtures("home")
def test_a_pending_chunk_is_not_read() -> None:
    """Its old archive may be damaged, because the chunk will be made again. The message counts such chunks."""
    truncate()
    assert pixcore("verify", "cats", "--repair").code == 3
    ran = pixcore("verify", "cats")
    assert (ran.code, ran.out) == (0, "archives: 2, images: 6, faults: 0\n")
    assert "chunks that were not checked because they are not completed: 1" in ran.err


@pytest.mark.usefixtures("home")
def test_an_empty_store_reopens_no_chunk() -> None:
    """An unmounted disk or a mistyped URL must not cause all work to be done again."""
    ran = pixcore("verify", "cats", "--repair", "--store", "file:./elsewhere")
    assert (ran.code, ran.out.count("is missing; it was stored as file:///")) == (2, 3)
    assert "holds no archive of dataset cats, so nothing was reopened" in ran.err
    assert pixcore("verify", "cats").code == 0


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (("dogs",), 2, "no dataset 'dogs'"),
        (("./photos",), 2, "no archive such as chunk_1.zip is at or below photos"),
        (("./photos", "--repair"), 2, "a folder has none"),
        (("cats", "--store", "s3://bucket/x?endpoint=http://127.0.0.1:9"), 1, "127.0.0.1:9"),
    ],
)
@pytest.mark.usefixtures("home")
def test_an_unreadable_dataset_is_reported(
    words: tuple[str, ...], code: int, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The error is one line, and the exit code distinguishes wrong usage from an unreachable service."""
    for name, value in (("AWS_ACCESS_KEY_ID", "x"), ("AWS_SECRET_ACCESS_KEY", "x"), ("AWS_MAX_ATTEMPTS", "1")):
        monkeypatch.setenv(name, value)
    ran = pixcore("verify", *words, "--quiet")
    assert (ran.code, ran.out, ran.err.count("\n")) == (code, "", 1)
    assert message in ran.err


def test_a_folder_is_verified_without_a_status_database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """People who were given archives can check them: pixels and hashes are compared, not only checksums."""
    at_home(tmp_path, monkeypatch)
    whole = jpeg(1)
    prints = decode(fill(tmp_path / "photos", 2) / "0001.jpg", Limits())
    assert isinstance(prints, Picture)
    shelf = shelves.Shelf(tmp_path)
    shelf.add([shelves.Picture(whole)])
    shelf.add([shelves.Picture(whole[:-300], title="cut"), shelves.Picture(jpeg(2), format="PNG")])
    shelf.archiver = TarArchiver()
    shelf.add([shelves.Picture(whole, phash=prints.fingerprint.phash ^ 1, method=METHOD)])
    ran = pixcore("verify", "./store")
    assert ran.code == 3
    second, third = (f"store/cats/data/chunk_{name}: images/" for name in ("2.zip", "3.tar"))
    *faults, sums = ran.out.splitlines()
    assert faults[0].startswith(f"{second}000000.jpg: cannot be decoded (damaged: ")
    assert faults[1] == f"{second}000001.png: its format is JPEG, its row says PNG"
    wrong = prints.fingerprint.phash ^ 1
    assert faults[2] == f"{third}000000.jpg: its phash is {prints.fingerprint.phash:016x}, its row says {wrong:016x}"
    assert faults[3].startswith(f"{third}000000.jpg: its dhash is ")
    assert (len(faults), sums) == (4, "archives: 3, images: 3, faults: 4")
    assert "not compared because another version made their hashes: 2" in ran.err
    assert pixcore("verify", "./store/cats/data/chunk_1.zip").out == "archives: 1, images: 1, faults: 0\n"
    assert not list((tmp_path / "work").iterdir())


class Accepting:
    """A validator that accepts everything, and calls a function before each verdict."""

    def __init__(self, happens: Callable[[], None] = lambda: None) -> None:
        self._happens = happens

    def validate(self, downloads: Iterable[Download]) -> Generator[Accepted | Rejected]:
        """Yield the sizes and hashes that the shelf has written."""
        for download in downloads:
            self._happens()
            data = download.path.read_bytes()
            yield Accepted(
                download, hashlib.sha256(data).hexdigest(), 64, 64, "JPEG", Fingerprint(0, 0, "test", flat=False)
            )


@pytest.mark.usefixtures("home")
def test_a_blob_of_many_times_its_size_is_not_fetched() -> None:
    """It would fill the disk of the work directory and end the check of all other chunks."""
    with FIRST.open("r+b") as blob:
        blob.truncate(64 << 20)
    ran = pixcore("verify", "cats", "--quiet")
    assert "cats/data/chunk_1.zip: holds more than" in ran.out
    assert "so it was not fetched to its end" in ran.out
    assert ran.out.endswith("archives: 3, images: 6, faults: 1\n")
    report = pixcore("report", "cats", "--out", "cats.html")
    assert (report.code, (report.out + report.err).count("holds more than")) == (3, 1)


def checked(shelf: shelves.Shelf, validator: Validator | None = None) -> list[tuple[str, tuple[str, ...]]]:
    """Return the faults of each blob."""
    found = verify_dataset("cats", archives=shelf.archives, status=shelf.status, validator=validator or Accepting())
    return [(each.blob, each.faults) for each in found]


def again(shelf: shelves.Shelf, record: ChunkRecord) -> None:
    """Make the chunk again, as a run does."""
    claimed = shelf.status.claim(record.chunk.key, "owner", 60)
    assert isinstance(claimed, Claimed)
    shelf.finish(claimed, [shelves.Picture(jpeg(7))])


def test_a_chunk_that_is_made_again_during_the_check_is_not_damaged(tmp_path: Path) -> None:
    """A run may be active: an archive is compared with the record that is valid after it was read."""
    shelf = shelves.Shelf(tmp_path)
    record = shelf.add([shelves.Picture(jpeg(1))])
    shelf.status.reopen(record.chunk.key)
    again(shelf, record)
    old = evolve(shelf.status.get(record.chunk.key), result=record.result)

    class Stale:
        """A status database that lists an outdated record."""

        def __getattr__(self, name: str) -> object:
            return getattr(shelf.status, name)

        def find(self, *_: object) -> list[ChunkRecord]:
            return [old]

    found = verify_dataset("cats", archives=shelf.archives, status=Stale(), validator=Accepting())  # type: ignore[arg-type] # has what is needed
    assert [each.faults for each in found] == [()]


def test_a_chunk_that_is_reopened_during_the_check_is_skipped(tmp_path: Path) -> None:
    """Its archive will be replaced."""
    shelf = shelves.Shelf(tmp_path)
    record = shelf.add([shelves.Picture(jpeg(1)[:-1], format="PNG")])
    assert len(checked(shelf)) == 1
    assert checked(shelf, Accepting(lambda: shelf.status.reopen(record.chunk.key) and None)) == []


@pytest.mark.parametrize(
    "metadata",
    [
        {},
        {"pixcore_status": "another database", "pixcore_chunk": "1", "pixcore_attempt": "1"},
        {"pixcore_status": None, "pixcore_chunk": "2", "pixcore_attempt": "1"},
        {"pixcore_status": None, "pixcore_chunk": "1", "pixcore_attempt": "9"},
    ],
    ids=["none", "of another database", "of another chunk", "of a later attempt"],
)
def test_a_repaired_chunk_replaces_any_blob_in_its_place(metadata: dict[str, str | None], tmp_path: Path) -> None:
    """Otherwise a blob of another owner would block the chunk for ever. Its bytes stay until they are replaced."""
    shelf = shelves.Shelf(tmp_path)
    record = shelf.add([shelves.Picture(jpeg(1))])
    key, other = shelf.archives.key(record), tmp_path / "other"
    other.write_bytes(b"something else")
    shelf.store.put(
        key,
        other,
        sha256=hashlib.sha256(b"something else").hexdigest(),
        size=14,
        content_type="text/plain",
        metadata={name: value or shelf.status.identity for name, value in metadata.items()},
        replacing=shelf.store.head(key).etag,
    )
    assert len(checked(shelf)[0][1]) == 3
    assert repair(record.chunk.key, archives=shelf.archives, status=shelf.status)
    with shelf.store.open(key) as blob:
        assert blob.read() == b"something else"
    assert not repair(record.chunk.key, archives=shelf.archives, status=shelf.status)
    again(shelf, record)
    assert checked(shelf) == [(key, ())]


def test_a_store_that_cannot_replace_says_so(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """That chunk stays completed, because its next attempt could not be published; others are reopened."""
    put = LocalBlobStore.put

    def create_only(self: LocalBlobStore, key: str, *args: Any, replacing: str | None = None, **more: Any) -> Blob:  # noqa: ANN401 - whatever the port takes
        if replacing:
            raise StoreDenied("this store cannot replace blobs; delete it")
        return put(self, key, *args, **more)

    monkeypatch.setattr(LocalBlobStore, "put", create_only)
    del home
    truncate()
    SECOND.unlink()
    ran = pixcore("verify", "cats", "--repair", "--json")
    assert (ran.code, ran.document["reopened"]) == (3, [2])
    assert "chunk 1 was not reopened: this store cannot replace blobs; delete it" in ran.err


def test_records_are_read_twice_however_many_archives_are_damaged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Comparing each damaged archive with all records made the cost grow with the square of the chunks."""
    shelf, read = shelves.Shelf(tmp_path), 0
    for number in range(6):
        shelf.add([shelves.Picture(jpeg(number))])
    (tmp_path / "store/cats/data/chunk_6.zip").replace(tmp_path / "store/cats/data/chunk_1.zip")
    for number in range(2, 6):
        (tmp_path / f"store/cats/data/chunk_{number}.zip").write_bytes(b"x")
    find = MemoryStatusRepo.find

    def counted(*args: Any) -> Iterator[ChunkRecord]:  # noqa: ANN401 - those of the port
        nonlocal read
        for record in find(*args):
            read += 1
            yield record

    monkeypatch.setattr(MemoryStatusRepo, "find", counted)
    faults = dict(checked(shelf))
    assert (len(faults), read) == (6, 12)
    assert faults["cats/data/chunk_1.zip"] == ("is the archive of chunk cats/6",)
