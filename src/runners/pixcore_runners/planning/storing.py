"""How a dataset stores its images: one conversion for all of its chunks, or none."""

from collections.abc import Collection

from pixcore import Conversion, InvalidRequest


def require_same(dataset: str, store_as: Conversion | None, known: Collection[Conversion | None]) -> None:
    """Refuse to store the images of one dataset in two ways. ``known`` has the conversions of its chunks.

    Raises:
        InvalidRequest: A chunk has another conversion than ``store_as``.
    """
    others = [how for how in known if how != store_as]
    if others:
        before, now = (how.described() if how else "they are" for how in (others[0], store_as))
        raise InvalidRequest(
            f"dataset {dataset!r} stores images as {before}, and would now store them as {now}; repeat the conversion"
            " that it began with, or use another dataset name"
        )
