"""Group near pairs one by one: an oracle for the union-find of the adapters, and groups for pages and documents."""

from collections.abc import Iterable

from pixcore import NearGroup, NearPair, SeenImage


def grouped(pairs: Iterable[NearPair]) -> list[NearGroup]:
    """Return the groups that the pairs form, with all of these."""
    sets: list[set[SeenImage]] = []
    ordered = sorted((NearPair(*sorted((pair.one, pair.other), key=_order)) for pair in pairs), key=_pair_order)
    for pair in ordered:
        touched = [images for images in sets if images & {pair.one, pair.other}]
        sets = [images for images in sets if images not in touched] + [{pair.one, pair.other}.union(*touched)]
    found = []
    for images in sets:
        own = tuple(pair for pair in ordered if pair.one in images)
        found.append(NearGroup(tuple(sorted(images, key=_order)), own, len(own)))
    return sorted(found, key=lambda group: _order(group.images[0]))


def _order(image: SeenImage) -> tuple[int, str, str]:
    return image.chunk.id, image.url, image.sha256


def _pair_order(pair: NearPair) -> tuple[tuple[int, str, str], tuple[int, str, str]]:
    return _order(pair.one), _order(pair.other)
