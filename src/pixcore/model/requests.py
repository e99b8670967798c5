"""The request of one chunk: a keyword, a number of images, and the slices of sources that they may come from."""

import re
import unicodedata
from collections.abc import Iterable

from attrs import field, frozen

from pixcore.errors import InvalidRequest
from pixcore.model.conversion import Conversion
from pixcore.model.quality import Quality

_DATASET = re.compile(r"\w[\w.-]{0,99}")


@frozen
class Slice:
    """``[start, stop)`` of one source's results for one query.

    Attributes:
        source: The source's name, such as ``folder``.
        query: A keyword, the path of a folder or the address of a list.
        start: The first position, counted from 0.
        stop: The position after the last one.
        snapshot: The prefix of the blobs that list the query's results, for sources whose results change after
            planning; otherwise empty.
        licenses: Slugs of the licences to which the results are limited, such as ``by,cc0``; empty for any.
    """

    source: str
    query: str
    start: int
    stop: int
    snapshot: str = ""
    licenses: str = ""

    def __attrs_post_init__(self) -> None:
        if not 0 <= self.start < self.stop:
            raise InvalidRequest(
                f"the slice [{self.start}, {self.stop}) of {self.source} is empty; use 0 <= start < stop"
            )

    def __len__(self) -> int:
        return self.stop - self.start


def dataset_name(text: str) -> str:
    """Check a dataset's name, and return it in Unicode normal form C.

    Raises:
        InvalidRequest: The name has other characters than letters, digits, ``_``, ``.`` and ``-``, begins with ``.`` or
            ``-``, is empty, or has more than 100 characters.
    """
    name = unicodedata.normalize("NFC", text)
    if not _DATASET.fullmatch(name):
        raise InvalidRequest(
            f"dataset name {text!r} cannot be used; take 1 to 100 letters, digits, '_', '.' or '-', not starting with"
            " '.' or '-'"
        )
    return name


def _slices(slices: Iterable[Slice]) -> tuple[Slice, ...]:
    return tuple(slices)


def namespace(text: str) -> str:
    """Check a dataset's name as ``dataset_name`` does, but accept ``""`` for chunks without a dataset."""
    return dataset_name(text) if text else ""


@frozen
class ChunkRequest:
    """The request of one chunk.

    Attributes:
        index: The chunk's position in the dataset, counted from 0; without a dataset, the id that the caller chose.
        keyword: What the images show; never empty.
        target: How many accepted images are wanted, at least 1.
        slices: Where the images may come from, in order. No other chunk of the dataset has them.
        dataset: The dataset's name, or ``""``.
        label: The class that is written into each row. If it is empty: the candidate's own, or else the keyword.
        quality: The rules for the chunk's images.
        variations: The version of the keyword variations (``pixcore.planning.variations``) that made the slices'
            queries; 0 if none did.
        columns: The columns of lists that each row of the chunk has beside pixcore's own, each with ``"string"`` or
            ``"integer"``.
        lists: The lists from which the chunk may take more candidates when its slices do not suffice, each from its
            first position that was unclaimed when the dataset was planned to its end. All chunks of a keyword share
            them.
        store_as: How the chunk's images are converted before they are stored; None stores them as they are.
        whole: Whether all that the slices hold is wanted, whatever that is: the target is only their number.
    """

    index: int
    keyword: str
    target: int
    slices: tuple[Slice, ...] = field(converter=_slices)
    dataset: str = field(default="", converter=namespace)
    label: str = ""
    quality: Quality = Quality()
    variations: int = 0
    columns: tuple[tuple[str, str], ...] = ()
    lists: tuple[Slice, ...] = field(default=(), converter=_slices)
    store_as: Conversion | None = None
    whole: bool = False

    def __attrs_post_init__(self) -> None:
        name = f"chunk {self.index} of {self.dataset or 'no dataset'}"
        if self.index < 0:
            raise InvalidRequest(f"{name}: the index of a chunk cannot be negative")
        if not self.keyword.strip():
            raise InvalidRequest(f"{name} has no `keyword`; name what its images show")
        if self.target < 1:
            raise InvalidRequest(f"{name} wants {self.target} images; ask for at least 1")
        if not self.slices:
            raise InvalidRequest(f"{name} has no slices; name at least one source")
