"""The rows of a dataset as the tables of pandas and of Hugging Face's ``datasets``."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from pixcore_runners.library.missing import needed

if TYPE_CHECKING:
    import datasets
    import pandas as pd

    from pixcore_runners.library.picture import Picture


def frame(rows: Iterable[Mapping[str, object]], kinds: Mapping[str, str]) -> "pd.DataFrame":
    """Return the rows as a DataFrame with these columns. Integers have the type int64.

    Raises:
        LibraryMissing: pandas is not installed.
    """
    pandas = needed("pandas")
    values: dict[str, list[object]] = {column: [] for column in kinds}
    for row in rows:
        for column, so_far in values.items():
            so_far.append(row[column])
    types = {"integer": "int64", "string": "object"}
    table: pd.DataFrame = pandas.DataFrame(
        {column: pandas.Series(values[column], dtype=types[kind]) for column, kind in kinds.items()}
    )
    return table


def hugging_face(pictures: "Sequence[Picture]", kinds: Mapping[str, str]) -> "datasets.Dataset":
    """Return the pictures and their rows as a ``datasets.Dataset``, in its cache.

    Raises:
        LibraryMissing: datasets is not installed.
    """
    library = needed("datasets")
    types = {"integer": library.Value("int64"), "string": library.Value("string")}
    features = library.Features({**{column: types[kind] for column, kind in kinds.items()}, "image": library.Image()})
    made: datasets.Dataset = library.Dataset.from_generator(
        _examples, features=features, gen_kwargs={"pictures": pictures, "kinds": dict(kinds)}
    )
    return made


def _examples(pictures: "Sequence[Picture]", kinds: Mapping[str, str]) -> Iterator[dict[str, Any]]:
    from pixcore.stored.samples import uniform  # noqa: PLC0415 - `datasets` pickles this function

    for picture in pictures:
        yield uniform(picture.row, kinds) | {"image": {"bytes": picture.data, "path": picture.row["file_name"]}}
