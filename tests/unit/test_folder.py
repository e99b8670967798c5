"""A folder may hold anything: planned positions stay valid, and every file becomes a download or a miss."""

import errno
import hashlib
import io
import os
import shutil
import socket
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import pytest
from listings import lane_of

from pixcore.errors import InvalidRequest, SourceUnavailable, StoreConflict, StoreNotFound
from pixcore.model.images import Download, Miss
from pixcore.model.requests import Slice
from pixcore.planning.plan import DatasetRequest, KeywordRequest, Lane, plan
from pixcore_adapters.blob_store.memory import MemoryBlobStore
from pixcore_adapters.downloader.folder import FolderDownloader

Items = list[Download | Miss]


@pytest.fixture
def store() -> MemoryBlobStore:
    """Return the store that keeps the listings."""
    return MemoryBlobStore()


@pytest.fixture
def downloader(store: MemoryBlobStore) -> FolderDownloader:
    """Return the downloader."""
    return FolderDownloader(store, max_bytes=1000)


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Return an empty folder."""
    folder = tmp_path / "photos"
    folder.mkdir()
    return folder


@pytest.fixture
def into(tmp_path: Path) -> Path:
    """Return an empty work directory."""
    folder = tmp_path / "work"
    folder.mkdir()
    return folder


def put(folder: Path, *names: str) -> None:
    """Create files that hold their own names."""
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(os.fsencode(name))


def whole(lane: Lane) -> list[Slice]:
    """Return one slice of the whole lane."""
    return [Slice(lane.source, lane.query, lane.start, lane.stop, lane.snapshot)]


def names(items: Sequence[Download | Miss]) -> list[str]:
    """Return the items' paths in the folder."""
    return [item.candidate.url for item in items]


def reasons(items: Sequence[Download | Miss]) -> dict[str, str]:
    """Return the reason of each miss, "" for downloads."""
    return {item.candidate.url: item.reason if isinstance(item, Miss) else "" for item in items}


def all_of(downloader: FolderDownloader, folder: Path, into: Path) -> Items:
    """Plan the folder and download it."""
    return list(downloader.download(whole(lane_of(downloader, folder, "cats")), into))


# -- listing ---------------------------------------------------------------------------------------------------------


def test_folders_below_are_listed_and_hidden_files_are_not(
    downloader: FolderDownloader, photos: Path, into: Path
) -> None:
    """Subfolders are listed; hidden files and folders are not."""
    put(photos, "b.jpg", "a/z.jpg", "a/b/c.JPG", "A.jpg", ".hidden.jpg", ".cache/x.jpg", "a/.DS_Store")
    assert names(all_of(downloader, photos, into)) == ["A.jpg", "a/b/c.JPG", "a/z.jpg", "b.jpg"]


def test_a_listing_is_in_the_store_under_its_own_hash(
    downloader: FolderDownloader, store: MemoryBlobStore, photos: Path
) -> None:
    """A listing is stored under its own hash, so that every worker finds it and equal listings are stored once."""
    put(photos, "a.jpg")
    lanes = [lane_of(downloader, photos, "cats"), lane_of(downloader, photos, "cats"), lane_of(downloader, photos, "")]
    cats, none = [blob.key for blob in store.list()]
    sha256 = store.head(cats).sha256
    assert (cats, none) == (f"cats/lists/{sha256}/000000.jsonl", f"lists/{sha256}/000000.jsonl")
    assert [f"{lane.snapshot}/000000.jsonl" for lane in lanes] == [cats, cats, none]


def test_names_of_any_bytes_are_distinct_and_found(downloader: FolderDownloader, photos: Path, into: Path) -> None:
    """File names of any bytes are listed and found: Latin-1, line breaks, leading dashes, text that looks like JSON."""
    odd = [b"caf\xe9.jpg", "café.jpg".encode(), b"two\nlines.jpg", b"-rf", b'"quoted".jpg', b"back\\slash", b"\x1b[31m"]
    decoded = [os.fsdecode(name) for name in odd]
    put(photos, *decoded)
    items = all_of(downloader, photos, into)
    assert names(items) == sorted(decoded, key=os.fsencode)
    assert [item.path.read_bytes() for item in items if isinstance(item, Download)] == sorted(odd)
    assert all(item.path.parent == into for item in items if isinstance(item, Download))


def test_files_added_and_removed_later_shift_no_slice(downloader: FolderDownloader, photos: Path, into: Path) -> None:
    """Files added or removed after planning shift no slice."""
    put(photos, "b", "d", "f", "h")
    slices = whole(lane_of(downloader, photos, "cats"))
    put(photos, "a", "c", "e")
    (photos / "d").unlink()
    assert reasons(list(downloader.download(slices, into))) == {"b": "", "d": "gone", "f": "", "h": ""}


def test_a_later_listing_appends_the_new_files(downloader: FolderDownloader, photos: Path, into: Path) -> None:
    """A later listing appends the new files, wherever they sort, and repeats none."""
    put(photos, "b", "d", "f", "h")
    cats = KeywordRequest("cat", [lane_of(downloader, photos, "cats")], count=2)
    first = list(plan(DatasetRequest("cats", [cats], chunk_size=2)))
    planned = [slice_ for chunk in first for slice_ in chunk.slices]
    assert names(list(downloader.download(planned, into))) == ["b", "d"]
    put(photos, "a", "c")
    lane = lane_of(downloader, photos, "cats", [Slice("bing", "cat", 0, 99), *planned])
    assert names(list(downloader.download(whole(lane), into))) == ["f", "h", "a", "c"]
    # the slices of the first plan still name the same files
    assert names(list(downloader.download(planned, into))) == ["b", "d"]


def test_nothing_new_is_an_empty_lane(downloader: FolderDownloader, photos: Path) -> None:
    """A folder without new files gives an empty lane."""
    put(photos, "a", "b")
    lane = lane_of(downloader, photos, "cats")
    assert lane_of(downloader, photos, "cats", whole(lane)) == Lane("folder", str(photos), 2, 2, lane.snapshot)


def test_an_empty_folder_is_an_empty_lane(downloader: FolderDownloader, photos: Path) -> None:
    """An empty folder gives an empty lane; the plan reports it."""
    lane = lane_of(downloader, photos, "cats")
    assert (lane.start, lane.stop) == (0, 0)


def test_the_folder_is_the_same_by_any_name(
    downloader: FolderDownloader, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A relative path, the full path and a symlink name the same source, because workers have other current folders."""
    put(photos, "a")
    (photos.parent / "link").symlink_to(photos)
    monkeypatch.chdir(photos.parent)
    ways = [photos, Path("photos"), Path("link"), photos / ".." / "photos"]
    assert {lane_of(downloader, way, "cats").query for way in ways} == {str(photos.resolve())}


def test_a_folder_of_a_moved_project_is_the_same_folder(
    downloader: FolderDownloader, tmp_path: Path, into: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The old path does not exist any more. What was planned is downloaded, and only new files are planned."""
    project = tmp_path / "project"
    put(project / "photos", "a.jpg", "b.jpg")
    monkeypatch.chdir(project)
    lane = lane_of(downloader, Path("photos"), "cats")
    slices = [Slice(lane.source, lane.query, lane.start, lane.stop, lane.snapshot)]
    moved = project.rename(tmp_path / "moved")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SourceUnavailable, match=r"/photos does not exist; .* was moved, run pixcore there"):
        list(downloader.download(slices, into))
    monkeypatch.chdir(moved)
    found = [item.path.read_bytes() for item in downloader.download(slices, into) if isinstance(item, Download)]
    assert found == [b"a.jpg", b"b.jpg"]
    put(moved / "photos", "c.jpg")
    with downloader.listing(moved / "photos", "cats", slices) as listing:
        assert (listing.lane.query, listing.lane.start, listing.lane.stop) == (lane.query, 2, 3)
    put(project / "photos", "a.jpg")  # another folder at the old place: the slices mean that one
    with downloader.listing(moved / "photos", "cats", slices) as listing:
        assert (listing.lane.start, listing.lane.stop) == (0, 3)


@pytest.mark.parametrize("wrong", ["missing", "file", "loop"])
def test_a_path_that_is_not_a_folder_is_refused_when_planning(
    downloader: FolderDownloader, photos: Path, wrong: str
) -> None:
    """A path that is not a folder is refused when the plan is made."""
    put(photos, "file")
    (photos / "loop").symlink_to("loop")
    with pytest.raises(InvalidRequest, match=rf"the folder .+{wrong} cannot be listed: "):
        lane_of(downloader, photos / wrong, "cats")


def test_a_folder_that_cannot_be_listed_to_the_end_is_refused(
    downloader: FolderDownloader, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A subfolder that cannot be listed is an error; the incomplete listing would be kept forever."""
    put(photos, "a", "album/b")
    scandir = os.scandir

    def shut(path: str) -> object:
        if path.endswith("album"):
            raise PermissionError(errno.EACCES, "Permission denied", path)
        return scandir(path)

    monkeypatch.setattr(os, "scandir", shut)
    with pytest.raises(InvalidRequest, match="album cannot be listed: Permission denied"):
        lane_of(downloader, photos, "cats")


def test_another_blob_at_the_listings_key_is_refused(
    downloader: FolderDownloader, store: MemoryBlobStore, photos: Path, tmp_path: Path
) -> None:
    """A blob at the listing's key with another hash is damaged or foreign, so it is refused."""
    put(photos, "a")
    key = f"{whole(lane_of(downloader, photos, 'cats'))[0].snapshot}/000000.jsonl"
    store.delete(key)
    (tmp_path / "else").write_bytes(b"")
    empty = hashlib.sha256().hexdigest()
    store.put(key, tmp_path / "else", sha256=empty, size=0, content_type="", metadata={})
    with pytest.raises(StoreConflict, match="already exists"):
        lane_of(downloader, photos, "cats")


def test_a_missing_listing_is_an_error(
    downloader: FolderDownloader, store: MemoryBlobStore, photos: Path, into: Path
) -> None:
    """A missing listing is an error: without it, the files of a chunk are unknown."""
    put(photos, "a")
    slices = whole(lane_of(downloader, photos, "cats"))
    store.delete(f"{slices[0].snapshot}/000000.jsonl")
    with pytest.raises(StoreNotFound):
        next(downloader.download(slices, into))


# -- downloading -----------------------------------------------------------------------------------------------------


def test_links_are_followed_within_the_folder_only(downloader: FolderDownloader, photos: Path, into: Path) -> None:
    """Symlinks within the folder are followed. Those that lead outside are misses."""
    put(photos, "real.jpg", "album/own.jpg")
    put(photos.parent, "secret", "outside/more.jpg", "photos2/neighbour.jpg")
    (photos / "album" / "inside.jpg").symlink_to("../real.jpg")
    (photos / "absolute.jpg").symlink_to(photos.parent / "secret")
    (photos / "relative.jpg").symlink_to("../photos2/neighbour.jpg")
    (photos / "twice.jpg").symlink_to("relative.jpg")
    (photos / "broken.jpg").symlink_to("nowhere.jpg")
    (photos / "loop.jpg").symlink_to("loop.jpg")
    (photos / "linked-album").symlink_to(photos.parent / "outside")
    (photos / "cycle").symlink_to(photos)
    items = all_of(downloader, photos, into)
    assert reasons(items) == {
        "absolute.jpg": "outside_folder",
        "album/inside.jpg": "",
        "album/own.jpg": "",
        "broken.jpg": "gone",
        "loop.jpg": "unreadable",
        "real.jpg": "",
        "relative.jpg": "outside_folder",
        "twice.jpg": "outside_folder",
    }
    assert all(item.permanent for item in items if isinstance(item, Miss))
    assert {item.path.read_bytes() for item in items if isinstance(item, Download)} == {b"real.jpg", b"album/own.jpg"}


def test_a_folder_swapped_for_a_link_since_the_plan_is_not_followed_out(
    downloader: FolderDownloader, photos: Path, into: Path
) -> None:
    """A folder replaced by a symlink after planning is not followed outside."""
    put(photos, "album/a.jpg")
    put(photos.parent, "outside/a.jpg")
    slices = whole(lane_of(downloader, photos, "cats"))
    shutil.rmtree(photos / "album")
    (photos / "album").symlink_to("../outside")
    assert reasons(list(downloader.download(slices, into))) == {"album/a.jpg": "outside_folder"}


def test_a_folder_moved_and_linked_back_is_still_the_folder(
    downloader: FolderDownloader, photos: Path, into: Path
) -> None:
    """A folder that was moved and replaced by a symlink to it is still the same source."""
    put(photos, "a.jpg")
    slices = whole(lane_of(downloader, photos, "cats"))
    photos.rename(photos.parent / "larger-disk")
    photos.symlink_to("larger-disk")
    assert reasons(list(downloader.download(slices, into))) == {"a.jpg": ""}


def test_a_pipe_is_a_miss_that_neither_hangs_nor_leaks(downloader: FolderDownloader, photos: Path, into: Path) -> None:
    """A pipe, and a file that became a folder, are misses. Opening them neither blocks nor leaks descriptors."""
    handles = len(list(Path("/dev/fd").iterdir()))
    os.mkfifo(photos / "pipe")
    put(photos, "became-folder", "became-part-of-path/x")
    slices = whole(lane_of(downloader, photos, "cats"))
    (photos / "became-folder").unlink()
    (photos / "became-folder").mkdir()
    shutil.rmtree(photos / "became-part-of-path")
    put(photos, "became-part-of-path")
    assert reasons(list(downloader.download(slices, into))) == {
        "became-folder": "not_a_file",
        "became-part-of-path/x": "gone",
        "pipe": "not_a_file",
    }
    assert len(list(Path("/dev/fd").iterdir())) == handles


def test_a_socket_is_a_miss(
    downloader: FolderDownloader, photos: Path, into: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A socket is a miss."""
    monkeypatch.chdir(photos)  # the path of a socket must be short
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind("socket")
        assert reasons(all_of(downloader, photos, into)) == {"socket": "unreadable"}


def test_a_file_above_the_limit_is_a_miss(downloader: FolderDownloader, photos: Path, into: Path) -> None:
    """A file above the size limit is a miss."""
    for size in (999, 1000, 1001):
        (photos / f"{size:04}").write_bytes(bytes(size))
    items = all_of(downloader, photos, into)
    assert reasons(items) == {"0999": "", "1000": "", "1001": "too_large"}
    assert [item.detail for item in items if isinstance(item, Miss)] == ["1001 bytes"]
    assert len(list(into.iterdir())) == 2


def test_a_file_without_permission_is_a_miss(
    downloader: FolderDownloader, photos: Path, into: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file without read permission is one miss."""
    put(photos, "mine", "theirs")
    opens = os.open

    def refusing(path: Path, flags: int, *mode: int) -> int:
        if Path(path).name == "theirs":
            raise PermissionError(errno.EACCES, "Permission denied", "theirs")
        return opens(path, flags, *mode)

    monkeypatch.setattr(os, "open", refusing)
    items = all_of(downloader, photos, into)
    assert reasons(items) == {"mine": "", "theirs": "unreadable"}
    assert [(item.permanent, item.detail) for item in items if isinstance(item, Miss)] == [
        (True, "PermissionError: [Errno 13] Permission denied: 'theirs'")
    ]


def test_a_file_that_breaks_off_is_a_miss_that_may_pass(
    downloader: FolderDownloader, photos: Path, into: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A read error is a transient miss, leaves no partial file, and the others follow."""
    put(photos, "a", "b")

    class Broken(io.FileIO):
        def read(self, _: int | None = -1) -> bytes:
            raise OSError(errno.EIO, "Input/output error")

    kinds = iter([Broken, io.FileIO])
    slices = whole(lane_of(downloader, photos, "cats"))
    monkeypatch.setattr(os, "fdopen", lambda handle, *_, **__: next(kinds)(handle))
    items = list(downloader.download(slices, into))
    assert reasons(items) == {"a": "unreadable", "b": ""}
    assert [item.permanent for item in items if isinstance(item, Miss)] == [False]
    assert [path.read_bytes() for path in into.iterdir()] == [b"b"]


def test_resuming_with_a_second_folder_keeps_the_first_ones_files(
    downloader: FolderDownloader, tmp_path: Path, into: Path
) -> None:
    """Resuming with the second folder does not overwrite the downloads of the first one."""
    for name in ("one", "two"):
        put(tmp_path / name, f"{name}.jpg")
    slices = [slice_ for name in ("one", "two") for slice_ in whole(lane_of(downloader, tmp_path / name, "cats"))]
    broken_off = downloader.download(slices, into)
    first = next(broken_off)
    broken_off.close()
    (second,) = downloader.download(slices, into, frozenset({first.candidate.key}))
    assert isinstance(first, Download)
    assert isinstance(second, Download)
    assert [first.path.read_bytes(), second.path.read_bytes()] == [b"one.jpg", b"two.jpg"]


@pytest.mark.parametrize("when", ["before", "in the middle"])
def test_a_missing_folder_is_unavailable(downloader: FolderDownloader, photos: Path, into: Path, when: str) -> None:
    """A missing folder raises SourceUnavailable, because an unmounted disk may come back."""
    put(photos, "a", "b", "c")
    items = downloader.download(whole(lane_of(downloader, photos, "cats")), into)
    if when == "in the middle":
        assert isinstance(next(items), Download)
    photos.rename(photos.parent / "away")
    with pytest.raises(SourceUnavailable, match=r"the folder .+photos does not exist; mount it or restore it"):
        next(items)


def test_a_folder_without_permission_is_unavailable(
    downloader: FolderDownloader, photos: Path, into: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A folder without permission raises SourceUnavailable, on every version of Python."""
    put(photos, "a")
    slices = whole(lane_of(downloader, photos, "cats"))
    stat = os.stat

    def refusing(path: Path, *args: object, **kwargs: object) -> os.stat_result:
        if Path(path) == photos:
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return stat(path, *args, **kwargs)  # type: ignore[arg-type] # any type

    monkeypatch.setattr(os, "stat", refusing)
    with pytest.raises(SourceUnavailable, match="photos does not exist"):
        next(downloader.download(slices, into))


@pytest.mark.parametrize(
    ("seconds", "year"), [(1_600_000_000.9, 2020), (-86400, 1969), (1e12, 1970), (-1e12, 1970), (9e18, 1970)]
)
def test_no_modification_time_is_too_absurd(
    downloader: FolderDownloader, photos: Path, monkeypatch: pytest.MonkeyPatch, seconds: float, year: int
) -> None:
    """A modification time outside of the calendar becomes 1970-01-01."""
    put(photos, "a")
    slices = whole(lane_of(downloader, photos, "cats"))
    fstat = os.fstat

    def dated(handle: int) -> os.stat_result:
        return os.stat_result(list(fstat(handle)), {"st_mtime": seconds})

    monkeypatch.setattr(os, "fstat", dated)  # not every file system can store these times
    (item,) = downloader.download(slices, photos.parent)
    assert isinstance(item, Download)
    assert item.fetched_at.year == year


def test_the_moment_is_the_modification_time(downloader: FolderDownloader, photos: Path, into: Path) -> None:
    """`fetched_at` is the modification time, so that the same folder gives the same rows."""
    put(photos, "a")
    os.utime(photos / "a", (1, 1_500_000_000))
    (item,) = all_of(downloader, photos, into)
    assert isinstance(item, Download)
    assert item.fetched_at == datetime(2017, 7, 14, 2, 40, tzinfo=UTC)
