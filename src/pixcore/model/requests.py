"""What one chunk asks for: a keyword, a number of images, and the slices of sources that they may come from."""

import re
import unicodedata
from collections.abc import Iterable

from attrs import field, frozen

from pixcore.errors import InvalidRequest
from pixcore.model.quality import Quality

_DATASET = re.compile(r"\w[\w.-]{0,99}")


@frozen
class Slice:
    """``[start, stop)`` of one source's results for one query.

    Attributes:
        source: Its name, such as ``folder``.
        query: What the source is asked: a keyword, the path of a folder or the address of a list.
        start: The first position, from 0.
        stop: The position after the last.
        snapshot: Key of the blob that fixes the query's results, for sources that change under a plan; else empty.
        licenses: Slugs of the licences that the results are limited to, such as ``by,cc0``; empty for any.
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
                f"the slice [{self.start}, {self.stop}) of {self.source} holds nothing; take 0 <= start < stop"
            )

    def __len__(self) -> int:
        return self.stop - self.start


def dataset_name(text: str) -> str:
    """Check a dataset's name and give it back in Unicode normal form C.

    Raises:
        InvalidRequest: Anything but letters, digits, ``_``, ``.`` and ``-``, or longer than 100 characters.
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
    """A dataset's name, checked as by ``dataset_name``, or ``""`` for the chunks without a dataset."""
    return dataset_name(text) if text else ""


@frozen
class ChunkRequest:
    """What is asked for in one chunk.

    Attributes:
        index: Its place in the dataset, from 0; without a dataset, the id that the caller gave it.
        keyword: What the images show; never empty.
        target: How many accepted images are wanted, at least 1.
        slices: Where they may come from, in order; belong to this chunk alone.
        dataset: The dataset's name, or ``""``.
        label: The class written into each row; the keyword if none is given.
        quality: What its images must satisfy.
        variations: Version of the keyword variations (``pixcore.planning.variations``) that the slices' queries come
            from; 0 if the queries are no variations.
    """

    index: int
    keyword: str
    target: int
    slices: tuple[Slice, ...] = field(converter=_slices)
    dataset: str = field(default="", converter=namespace)
    label: str = ""
    quality: Quality = Quality()
    variations: int = 0

    def __attrs_post_init__(self) -> None:
        name = f"chunk {self.index} of {self.dataset or 'no dataset'}"
        if self.index < 0:
            raise InvalidRequest(f"{name}: a chunk's number cannot be negative")
        if not self.keyword.strip():
            raise InvalidRequest(f"{name} has no `keyword`; name what its images show")
        if self.target < 1:
            raise InvalidRequest(f"{name} wants {self.target} images; ask for at least 1")
        if not self.slices:
            raise InvalidRequest(f"{name} has no slices; name at least one source")
