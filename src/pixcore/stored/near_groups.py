"""Group the near-duplicate pairs of a dataset."""

from collections.abc import Iterable

from attrs import frozen

from pixcore.ports.seen_images import NearPair, SeenImage


@frozen
class NearGroup:
    """Images that are linked by near pairs. Two images of a group need not be a near pair themselves.

    ``images`` are ordered by chunk, URL and sha256. In each pair the earlier image is first; ``pairs`` are ordered by
    their images.
    """

    images: tuple[SeenImage, ...]
    pairs: tuple[NearPair, ...]


def near_groups(pairs: Iterable[NearPair]) -> list[NearGroup]:
    """Return the groups that a dataset's pairs form, ordered by their first images.

    The same pairs give the same groups, in whatever order the pairs and the two images of each are.
    """
    ordered = sorted(map(_earlier_first, pairs), key=lambda pair: (_order(pair.one), _order(pair.other)))
    # A disjoint-set forest over the images' sha256, which is unique within a dataset. A root is its own parent.
    parents: dict[str, str] = {}
    for pair in ordered:
        parents[_root(parents, pair.other)] = _root(parents, pair.one)
    grouped: dict[str, list[NearPair]] = {}
    # The first pair of a group has its first image, so this also orders the groups.
    for pair in ordered:
        grouped.setdefault(_root(parents, pair.one), []).append(pair)
    return [NearGroup(_images(group), tuple(group)) for group in grouped.values()]


def _earlier_first(pair: NearPair) -> NearPair:
    return pair if _order(pair.one) <= _order(pair.other) else NearPair(pair.other, pair.one)


def _order(image: SeenImage) -> tuple[int, str, str]:
    return image.chunk.id, image.url, image.sha256


def _root(parents: dict[str, str], image: SeenImage) -> str:
    root = parents.setdefault(image.sha256, image.sha256)
    while (parent := parents[root]) != root:
        parents[root] = parents[parent]  # halves the path, so that later searches are short
        root = parent
    return root


def _images(pairs: Iterable[NearPair]) -> tuple[SeenImage, ...]:
    images = {image.sha256: image for pair in pairs for image in (pair.one, pair.other)}
    return tuple(sorted(images.values(), key=_order))
