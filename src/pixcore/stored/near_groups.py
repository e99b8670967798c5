"""Group the near pairs of a dataset."""

from collections.abc import Iterable

from attrs import frozen

from pixcore.ports.seen_images import NearPair, SeenImage


@frozen
class NearGroup:
    """Images that are linked by near pairs; any two of them need not be near themselves.

    ``images`` are ordered by chunk, URL and sha256, ``pairs`` by their images in that order, the earlier one first.
    """

    images: tuple[SeenImage, ...]
    pairs: tuple[NearPair, ...]


def near_groups(pairs: Iterable[NearPair]) -> list[NearGroup]:
    """The groups that the pairs of a dataset make, ordered by their first images.

    The same pairs give the same groups, whatever their order and whichever way round each is.
    """
    ordered = sorted((_the_earlier_first(pair) for pair in pairs), key=lambda p: (_place(p.one), _place(p.other)))
    parents: dict[str, str] = {}  # by sha256, which names an image within a dataset; a group's root is its own parent
    for pair in ordered:
        parents[_root(parents, pair.other)] = _root(parents, pair.one)
    grouped: dict[str, list[NearPair]] = {}
    for pair in ordered:  # whose first one has a group's first image, so that the groups are in order as well
        grouped.setdefault(_root(parents, pair.one), []).append(pair)
    return [NearGroup(_images(group), tuple(group)) for group in grouped.values()]


def _the_earlier_first(pair: NearPair) -> NearPair:
    return pair if _place(pair.one) <= _place(pair.other) else NearPair(pair.other, pair.one)


def _place(image: SeenImage) -> tuple[int, str, str]:
    return image.chunk.id, image.url, image.sha256


def _root(parents: dict[str, str], image: SeenImage) -> str:
    root = parents.setdefault(image.sha256, image.sha256)
    while (parent := parents[root]) != root:
        parents[root] = parents[parent]  # so that long ways are walked once
        root = parent
    return root


def _images(pairs: Iterable[NearPair]) -> tuple[SeenImage, ...]:
    images = {image.sha256: image for pair in pairs for image in (pair.one, pair.other)}
    return tuple(sorted(images.values(), key=_place))
