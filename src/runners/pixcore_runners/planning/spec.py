"""A dataset as a user specifies it."""

import re
from collections.abc import Mapping, Sequence

from attrs import evolve, field, frozen

from pixcore import InvalidRequest, Quality
from pixcore.model.conversion import Conversion
from pixcore.model.requests import dataset_name
from pixcore_adapters.downloader.lists.options import ListOptions
from pixcore_runners.settings.source_names import LISTED, QUERIED, parse, title

_AS_FOUND = ListOptions()


@frozen
class KeywordSpec:
    """One keyword of a dataset as a user specifies it.

    Attributes:
        sources: As ``pixcore_runners.settings.source_names`` parses them.
        keyword: What to search for, and what the images show.
        count: How many images; None means all that the sources hold.
        label: The label of the images.
        licenses: Slugs such as ``by-sa``; none means any licence.
        lists: How to read its lists and folders.

    Raises:
        InvalidRequest: A count below 1.
    """

    sources: Sequence[str]
    keyword: str = ""
    count: int | None = None
    label: str = ""
    licenses: Sequence[str] = ()
    lists: ListOptions = _AS_FOUND

    def __attrs_post_init__(self) -> None:
        if self.count is not None and self.count < 1:
            raise InvalidRequest(f"count cannot be {self.count}; ask for at least 1 image")


@frozen
class DatasetSpec:
    """A dataset as a user specifies it: its keywords, the size of its chunks, and how its images are stored.

    ``placeholders`` has the sha256 of known placeholders, each with why it is one. ``file`` is the DATASET.toml that
    describes it, if any.
    """

    keywords: Sequence[KeywordSpec]
    chunk_size: int
    dataset: str = ""
    quality: Quality = field(factory=Quality)
    store_as: Conversion | None = None
    placeholders: Mapping[str, str] = field(factory=dict[str, str])
    file: str = field(default="", eq=False)

    @property
    def sources(self) -> list[str]:
        """The sources of all keywords, each once."""
        return list(dict.fromkeys(source for keyword in self.keywords for source in keyword.sources))

    def with_names(self) -> "DatasetSpec":
        """Return the spec with the missing names filled in.

        An unnamed keyword takes the name of its first source, an unnamed dataset that of its first keyword.

        Raises:
            InvalidRequest: No source, an unknown source, no keyword to search for, or an invalid name.
        """
        keywords = [_named(keyword) for keyword in self.keywords]
        slug = re.sub(r"[^\w.-]+", "-", keywords[0].keyword).strip("-._")[:100]
        return evolve(self, keywords=keywords, dataset=dataset_name(self.dataset or slug or "dataset"))


def _named(spec: KeywordSpec) -> KeywordSpec:
    if not spec.sources:
        raise InvalidRequest("no source is given; add one, such as --source openverse or --source folder:./photos")
    names = [parse(source)[0] for source in spec.sources]
    if keyword := spec.keyword.strip():
        return evolve(spec, keyword=keyword)
    if searched := [name for name in names if name not in LISTED and name not in QUERIED]:
        raise InvalidRequest(
            f"{searched[0]} needs a keyword to search for, such as: pixcore run 'red panda' --count 100; a folder or a"
            " list needs none: --source folder:./photos or --source urls:list.csv"
        )
    return evolve(spec, keyword=title(spec.sources[0]))
