# The types of the library, for type checkers. They import no module that imports `pixcore`, whose own stub imports this
# one: otherwise all modules would form one cycle. The docstrings are in the modules; a test compares both.
# ruff: noqa: A001

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, overload

import datasets
import pandas as pd
from PIL.Image import Image
from torch.utils.data import Dataset as Examples

from pixcore.model.conversion import Conversion

class Picture:
    row: Mapping[str, object]
    @property
    def data(self) -> bytes: ...
    @property
    def image(self) -> Image: ...
    @property
    def label(self) -> str: ...
    @property
    def caption(self) -> str: ...
    @property
    def url(self) -> str: ...
    def thumbnail(self, side: int = 192) -> str: ...

class Report:
    dataset: str
    @property
    def html(self) -> str: ...
    def save(self, path: str | Path) -> Path: ...

class Dataset(Sequence[Picture]):
    name: str
    def __len__(self) -> int: ...
    @overload
    def __getitem__(self, place: int, /) -> Picture: ...
    @overload
    def __getitem__(self, place: slice, /) -> list[Picture]: ...
    @property
    def shortfall(self) -> int: ...
    @property
    def left_out(self) -> dict[str, int]: ...
    @property
    def labels(self) -> tuple[str, ...]: ...
    def rows(self) -> Iterator[Mapping[str, object]]: ...
    def to_pandas(self) -> pd.DataFrame: ...
    def to_datasets(self) -> datasets.Dataset: ...
    def to_torch(self, transform: Callable[[Image], Any] | None = None) -> Examples[tuple[Any, int]]: ...
    def report(self, images: int = 1000) -> Report: ...

def collect(
    keyword: str = "",
    *,
    source: str | Sequence[str] = (),
    count: int | None = None,
    dataset: str = "",
    store_as: Conversion | None = None,
    retry: bool = False,
    progress: bool = True,
    **settings: object,
) -> Dataset: ...
async def collect_async(
    keyword: str = "",
    *,
    source: str | Sequence[str] = (),
    count: int | None = None,
    dataset: str = "",
    store_as: Conversion | None = None,
    retry: bool = False,
    progress: bool = True,
    **settings: object,
) -> Dataset: ...
def open(name: str, **settings: object) -> Dataset: ...
