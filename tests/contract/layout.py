"""The promises of a layout of exports, as tests for any layout."""

import random
from abc import ABC, abstractmethod
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from fnmatch import fnmatch
from pathlib import Path

import pytest
from attrs import evolve, frozen
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pixcore.errors import InvalidRequest
from pixcore.model.rows import COLUMN_TYPES
from pixcore.stored.samples import Sample
from pixcore_adapters.outputs.export.layout import ExportRequest, Layout, Loading, ShardSize

from .disk import no_file_above
from .memory import growth

Found = Mapping[str, Sequence[tuple[bytes, Mapping[str, object]]]]

_COLUMNS = {**COLUMN_TYPES, "note": "string", "rank": "integer"}  # the last two are of a list
REQUEST = ExportRequest("cats", _COLUMNS)
# Text from outside that a row can hold, and that loaders or file systems may take for something else.
TEXTS = (
    "1969-07-20",
    "2020-01-01T00:00:00Z",
    "007",
    "1e3",
    "true",
    "null",
    "nan",
    "NA",
    "",
    " ",
    "🐈 кот قطة",
    '"quoted"\'',
    "two\nlines\r\n",
    "\0\x1b[31m\x7f",
    "\u2028\u0085\ufeff",
    "\u202egpj.exe",
    "../..",
    "/etc/passwd",
    ".",
    "~",
    "x" * 60_000,
    "a,b;c\td|e",
    "{json: [1]}",
)
texts = st.text(st.characters(codec="utf-8")) | st.sampled_from(TEXTS)


def sample(number: int, split: str = "train", data: bytes | None = None, **values: str) -> Sample:
    """Return an image of an export of ``REQUEST``; other data and text may be given."""
    row: dict[str, object] = {column: number if kind == "integer" else "" for column, kind in _COLUMNS.items()}
    described = {**row, "label": "cat", **values, "file_name": f"1-{number:06d}.jpg"}
    return Sample(split, f"1-{number:06d}", "jpg", described, f"picture {number}".encode() if data is None else data)


@frozen
class Folder:
    """The files of an export in a folder: what layouts need of a destination."""

    folder: Path

    @contextmanager
    def create(self, name: str) -> Generator[Path]:
        """Give the block a path to write a new file to."""
        path = self.folder / name
        assert path.resolve().is_relative_to(self.folder.resolve()), f"{name} leads out of the export"
        assert not path.exists(), f"{name} is created twice"
        path.parent.mkdir(parents=True, exist_ok=True)
        yield path


def written(layout: Layout, samples: Sequence[Sample], folder: Path) -> tuple[Loading, dict[str, bytes]]:
    """Export the samples to a folder; return how they are loaded, and the files by name."""
    loading = layout.write(iter(samples), Folder(folder))
    files = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return loading, {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


class LayoutContract(ABC):
    """Inherit from it, and provide the callable of the layout's entry point, and a reader of what it writes.

    Attributes:
        most: The memory in megabytes that an export of pictures of 8 MB may take.
        pictures: How many of them are exported, so that their sum is clearly more.
    """

    most = 60
    pictures = 12

    @abstractmethod
    def make(self, request: ExportRequest) -> Layout:
        """Make the layout for an export, as pixcore calls the object of the entry point."""

    @abstractmethod
    def read(self, folder: Path) -> Found:
        """Return the file and the row of each image by split, in order, without a loader that infers types.

        If the export names an image otherwise than ``1-000000.jpg``, the row has its path as ``file_name``.
        """

    @settings(
        deadline=None,
        max_examples=25,
        suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.differing_executors],
    )
    @given(rows=st.lists(st.tuples(texts, texts, texts), min_size=1, max_size=4))
    def test_any_row_comes_back_unchanged(
        self, tmp_path_factory: pytest.TempPathFactory, rows: Sequence[tuple[str, str, str]]
    ) -> None:
        """Titles, labels and columns of lists are text from outside; each cell is the same, in order, by split."""
        folder = tmp_path_factory.mktemp("export")
        splits = ("train", "test")
        wanted = [
            sample(number, splits[number % 2], title=title, label=label, note=note)
            for number, (title, label, note) in enumerate(rows)
        ]
        written(self.make(REQUEST), wanted, folder)
        self._compare(folder, wanted)

    def test_classes_keep_rows_and_images(self, tmp_path: Path) -> None:
        """Whatever names the classes have."""
        labels = sorted(set(TEXTS))
        wanted = [sample(number, label=label) for number, label in enumerate(labels)]
        written(self.make(evolve(REQUEST, classes=tuple(labels))), wanted, tmp_path)
        self._compare(tmp_path, wanted)

    def _compare(self, folder: Path, wanted: Sequence[Sample]) -> None:
        found = self.read(folder)
        for split in {each.split for each in wanted} | set(found):
            in_split = [each for each in wanted if each.split == split]
            assert [data for data, _ in found[split]] == [each.data for each in in_split]
            for (_, row), each in zip(found[split], in_split, strict=True):
                named = {"file_name": Path(str(row["file_name"])).stem}
                assert {**row, **named} == {**each.row, "file_name": each.key}
                assert {column: type(value) for column, value in row.items()} == {
                    column: int if kind == "integer" else str for column, kind in _COLUMNS.items()
                }

    def test_the_same_samples_are_the_same_files(self, tmp_path: Path) -> None:
        """Users who export again must be able to see that nothing has changed."""
        some = [sample(number, split) for number, split in enumerate(["train", "test", "train"])]
        (one, files), (other, again) = (written(self.make(REQUEST), some, tmp_path / name) for name in ("one", "other"))
        assert files == again
        assert one == other

    def test_the_patterns_name_the_files_of_each_split(self, tmp_path: Path) -> None:
        """``load_dataset`` reads the files by these patterns; one of two splits must not find those of the other."""
        some = [sample(number, split) for number, split in enumerate(["train", "test", "test_2"])]
        loading, files = written(self.make(REQUEST), some, tmp_path)
        assert set(loading.data_files) == {"train", "test", "test_2"}
        assert "README.md" not in files
        matched = [{name for name in files if fnmatch(name, pattern)} for pattern in loading.data_files.values()]
        assert all(matched)
        assert sum(map(len, matched)) == len(set().union(*matched))

    @pytest.mark.parametrize("error", [KeyboardInterrupt(), RuntimeError("bug")])
    def test_errors_of_the_samples_pass_through(self, tmp_path: Path, error: BaseException) -> None:
        """The export removes the files then."""

        def failing() -> Iterator[Sample]:
            yield sample(0)
            yield sample(1, "test")
            raise error

        with pytest.raises(type(error)) as raised:
            self.make(REQUEST).write(failing(), Folder(tmp_path))
        assert raised.value is error

    @pytest.mark.parametrize("room", [0, 100, 5_000, 60_000])
    def test_a_full_disk_is_an_os_error(self, tmp_path: Path, room: int) -> None:
        """Wherever in the export the disk becomes full."""
        some = [sample(number, data=random.Random(number).randbytes(100_000)) for number in range(3)]  # noqa: S311 - no secret
        with no_file_above(room), pytest.raises(OSError, match=r"large|full|space"):
            self.make(REQUEST).write(iter(some), Folder(tmp_path))

    def test_a_shard_size_is_obeyed_or_refused(self, tmp_path: Path) -> None:
        """A layout that ignores it would give files of a size that the user cannot use."""
        some = [sample(number, data=bytes(100_000)) for number in range(6)]
        for size in (ShardSize(samples=2), ShardSize(bytes=200_000)):
            try:
                layout = self.make(evolve(REQUEST, shard=size))
            except InvalidRequest:
                continue
            folder = tmp_path / str(size.samples)
            loading, files = written(layout, some, folder)
            assert len([name for name in files if fnmatch(name, loading.data_files["train"])]) == 3
            self._compare(folder, some)

    def test_memory_is_bounded(self, tmp_path: Path) -> None:
        """It does not grow with the dataset. Imports do not count."""
        written(self.make(REQUEST), [sample(0)], tmp_path / "first")
        some = (sample(number, data=bytes([number]) * (8 << 20)) for number in range(self.pictures))
        with growth() as grown:
            self.make(REQUEST).write(some, Folder(tmp_path / "out"))
        assert grown.peak < self.most << 20
