"""A dataset as a sequence of pictures."""

from bisect import bisect_right
from collections.abc import Callable, Iterator, Mapping, Sequence
from html import escape
from itertools import accumulate
from typing import TYPE_CHECKING, Any, TypeVar, overload

from attrs import define, field

from pixcore import ChunkRecord, InvalidRequest, PixcoreError
from pixcore.chunk.unfilled import allocations_of, is_exhausted, is_unfilled
from pixcore.errors import one_line
from pixcore.stored.samples import classes, columns, uniform
from pixcore_runners.assembly.assembly import Assembly, assemble
from pixcore_runners.library.picture import Picture
from pixcore_runners.library.report import Report
from pixcore_runners.library.unpacked import UnpackedArchives
from pixcore_runners.planning.advice import left_out
from pixcore_runners.planning.dataset_plan import dataset_records
from pixcore_runners.settings import Settings

if TYPE_CHECKING:
    import datasets
    import pandas as pd

    from pixcore_runners.library.torch import TorchDataset, Transform

T = TypeVar("T")

_SHOWN = 8  # pictures of a dataset in a notebook
_IN_REPORT = 1000  # images of a report, by default


@define(eq=False, repr=False)
class Dataset(Sequence[Picture]):
    """The images of a dataset, in the order of its chunks. Jupyter shows a summary and the first pictures.

    It holds what was stored when it was opened. Images are read from the dataset's archives, wherever these are stored:
    an archive is fetched when one of its images is read, and the last eight stay unpacked on the local disk.

    Attributes:
        name: The dataset's name.
    """

    name: str
    _assembly: Assembly
    _records: Sequence[ChunkRecord]
    _ends: list[int] = field(init=False)  # for each chunk, the number of images up to its end
    _unpacked: UnpackedArchives = field(init=False)

    def __attrs_post_init__(self) -> None:
        self._ends = list(accumulate(_images(record) for record in self._records))
        self._unpacked = UnpackedArchives(self._assembly.archives)

    def __len__(self) -> int:
        return self._ends[-1] if self._ends else 0

    @overload
    def __getitem__(self, place: int, /) -> Picture: ...
    @overload
    def __getitem__(self, place: slice, /) -> list[Picture]: ...
    def __getitem__(self, place: int | slice, /) -> Picture | list[Picture]:
        """Return the picture at a place, or those of a slice. Their bytes are read when they are used.

        Raises:
            IndexError: There is no such place.
            InvalidRequest: The dataset has changed since it was opened, or its archive is damaged.
            StoreNotFound, StoreDenied, StoreUnavailable, WorkspaceFull, TransientError: The archive cannot be fetched.
        """
        if isinstance(place, slice):
            return [self[each] for each in range(*place.indices(len(self)))]
        positive = place + len(self) if place < 0 else place
        if not 0 <= positive < len(self):
            raise IndexError(f"dataset {self.name} has {len(self)} images, there is none at {place}")
        chunk = bisect_right(self._ends, positive)
        record, within = self._records[chunk], positive - (self._ends[chunk - 1] if chunk else 0)
        row = self._read(self._unpacked.row, record, within)
        return Picture(row, lambda: self._read(self._unpacked.data, record, within))

    def __iter__(self) -> Iterator[Picture]:
        return (self[place] for place in range(len(self)))

    @property
    def shortfall(self) -> int:
        """How many images are missing of those that were asked for; 0 for folders and lists of which all was tried."""
        allocations = allocations_of(self._assembly.status)
        return sum(
            record.chunk.request.target - _images(record)
            for record in self._records
            if not (is_unfilled(record) and is_exhausted(record, allocations(record)))
        )

    @property
    def left_out(self) -> dict[str, int]:
        """How many candidates were rejected or missed, by reason, the most frequent first."""
        return dict(left_out(self._records).most_common())

    @property
    def labels(self) -> tuple[str, ...]:
        """The different labels of the images, sorted.

        Raises:
            PixcoreError: As for ``rows``, if an archive of an older version has to be read.
        """
        return classes(self._completed(), self._assembly.archives, "label")

    def rows(self) -> Iterator[Mapping[str, object]]:
        """Yield the row of each image, in order. All have the same columns, each with one type.

        Raises:
            InvalidRequest, StoreNotFound, StoreDenied, StoreUnavailable, WorkspaceFull, TransientError: As for
                ``ds[place]``.
        """
        kinds = columns(self._completed(), self._assembly.archives)
        for record in self._completed():
            for row in self._assembly.archives.rows(record):
                yield uniform(row, kinds)

    def to_pandas(self) -> "pd.DataFrame":
        """Return the rows as a DataFrame, one line an image, in the order of the dataset. It holds no pictures.

        Raises:
            LibraryMissing: pandas is not installed.
            PixcoreError: As for ``rows``.
        """
        from pixcore_runners.library.tables import frame  # noqa: PLC0415 - needs pandas

        return frame(self.rows(), columns(self._completed(), self._assembly.archives))

    def to_datasets(self) -> "datasets.Dataset":
        """Return the images and rows as a ``Dataset`` of Hugging Face's ``datasets``, in its cache on the local disk.

        It has the columns of the rows, and the column ``image``.

        Raises:
            LibraryMissing: datasets is not installed.
            PixcoreError: As for ``ds[place]``.
        """
        from pixcore_runners.library.tables import hugging_face  # noqa: PLC0415 - needs datasets

        return hugging_face(self, columns(self._completed(), self._assembly.archives))

    def to_torch(self, transform: "Transform | None" = None) -> "TorchDataset":
        """Return a map-style ``torch.utils.data.Dataset`` of (picture, number of its label in ``classes``).

        ``transform`` takes the picture as a PIL image in RGB: upright, and opaque. Without it, a picture is a tensor of
        bytes with the axes channel, height, width.

        A shuffled read of more than eight archives fetches them again and again; use
        ``to_datasets().with_format("torch")`` for that.

        Raises:
            LibraryMissing: torch is not installed.
            PixcoreError: As for ``labels``.
        """
        from pixcore_runners.library.missing import needed  # noqa: PLC0415 - on first use

        needed("torch")
        from pixcore_runners.library.torch import TorchDataset  # noqa: PLC0415 - needs torch

        return TorchDataset(self, self.labels, transform)

    def report(self, images: int = _IN_REPORT) -> Report:
        """Return the report: what was collected, what was left out and why. Jupyter shows it.

        Every archive is read once. All images are counted, and at most about ``images`` are shown.

        Raises:
            StoreDenied, StoreUnavailable, StatusUnavailable, WorkspaceFull, TransientError: It cannot be read.
        """
        from pixcore_adapters.outputs.report.build import gather  # noqa: PLC0415 - Pillow is slow to import

        near = self._assembly.seen.near(self.name, self._assembly.settings.near_rule)
        contents = gather(
            self.name,
            self._records,
            self._assembly.archives,
            groups=list(near),
            attempts=self._assembly.status.history(self.name),
            done=lambda: None,
            most=images,
        )
        return Report(self.name, contents)

    def __repr__(self) -> str:
        return f"<Dataset {self.name!r}: {self._counted()}>"

    def _counted(self) -> str:
        short = self.shortfall
        return f"{len(self)} images{f', {short} short' if short else ''}"

    def __reduce__(self) -> tuple[Any, ...]:
        return _reopened, (self.name, self._assembly.settings, _versions(self._records))

    def _repr_html_(self) -> str:
        reasons = ", ".join(f"{count} {reason}" for reason, count in self.left_out.items()) or "none"
        try:
            pictures = "".join(picture.thumbnail(128) for picture in self[:_SHOWN])
        except PixcoreError as error:
            pictures = escape(one_line(error))
        return (
            f"<p><b>{escape(self.name)}</b>: {self._counted()}<br>left out: {escape(reasons)}</p>"
            f'<div style="display:flex;flex-wrap:wrap;gap:6px;align-items:center">{pictures}</div>'
        )

    def _completed(self) -> list[ChunkRecord]:
        return [record for record in self._records if record.result]

    def _read(self, read: Callable[[ChunkRecord, int], T], record: ChunkRecord, place: int) -> T:
        try:
            return read(record, place)
        except InvalidRequest as error:
            if _versions([self._assembly.status.get(record.chunk.key)]) != _versions([record]):
                raise _changed(self.name) from error
            raise


def opened(name: str, assembly: Assembly) -> Dataset:
    """Return the dataset as it is stored now.

    Raises:
        InvalidRequest: There is no such dataset.
        StatusUnavailable: The status database cannot be reached.
    """
    return Dataset(name, assembly, dataset_records(name, assembly.status))


def _reopened(name: str, settings: Settings, versions: Sequence[str]) -> Dataset:
    """Return the dataset in another process; see ``Dataset.__reduce__``.

    Raises:
        InvalidRequest: Its archives have changed since.
    """
    found = opened(name, assemble(settings))
    if _versions(found._records) != versions:  # noqa: SLF001 - of the same module
        raise _changed(name)
    return found


def _images(record: ChunkRecord) -> int:
    return record.result.progress.accepted if record.result else 0


def _versions(records: Sequence[ChunkRecord]) -> tuple[str, ...]:
    return tuple(record.result.sha256 if record.result else "" for record in records)


def _changed(name: str) -> InvalidRequest:
    return InvalidRequest(f"dataset {name} has changed since it was opened; open it again: px.open({name!r})")
