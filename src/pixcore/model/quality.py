"""The rules of a dataset for its images, and the fingerprints by which near-duplicates are found.

The rules are part of the plan, so that every worker applies the same ones, whatever its own settings are.
"""

from enum import StrEnum
from typing import Self

from attrs import field, frozen
from attrs.validators import and_, deep_iterable, ge, in_, le, not_

from pixcore.model.measures import FLAGS


@frozen
class Fingerprint:
    """Perceptual hashes of one image, 64 bits each, most significant bit first as imagehash prints them.

    ``method`` names how they were made and the version of the decoder, because hashes differ between versions. ``flat``
    marks a picture with so little contrast that its hashes mean nothing. The built-in decoder makes the hashes from a
    grey picture of 32 x 32 pixels, and measures sharpness and colours on larger ones; see ``Measures``.
    """

    phash: int
    dhash: int
    method: str
    flat: bool

    @classmethod
    def parse(cls, phash: object, dhash: object, method: object = "") -> Self:
        """Return the fingerprint of stored values: hex digits. Whether the picture is flat is not stored: False."""
        return cls(int(str(phash), 16), int(str(dhash), 16), str(method), flat=False)


@frozen
class NearRule:
    """Two images are near-duplicates if both distances between their hashes, in bits of 64, are at most these.

    A flat picture has no near-duplicates, because the hashes of all flat pictures are alike. The default finds 92.9 %
    of rescaled, recompressed and slightly cropped variants, with 15 false pairs among 38 million pairs of distinct
    pictures (300 photographs x 12 variants, measured with Pillow 13 and imagehash 4.3). It finds no mirrored pictures.
    """

    phash: int = field(default=10, validator=and_(ge(0), le(64)))
    dhash: int = field(default=10, validator=and_(ge(0), le(64)))

    def holds(self, one: Fingerprint, other: Fingerprint) -> bool:
        """Return whether the two are near-duplicates. Symmetric."""
        return (
            not (one.flat or other.flat)
            and (one.phash ^ other.phash).bit_count() <= self.phash
            and (one.dhash ^ other.dhash).bit_count() <= self.dhash
        )


class TwinRule(StrEnum):
    """What a chunk does with images that show the same picture as another of its images.

    ``hashes`` is the rule of datasets that were planned before pictures were compared: the first image stays, and later
    ones whose hashes are near are dropped. It cannot be chosen for a new dataset.
    """

    DROP = "drop"
    REPORT = "report"
    OFF = "off"
    HASHES = "hashes"


@frozen
class Quality:
    """The rules that an image must satisfy to be kept. ``pixcore.filters`` applies them.

    Attributes:
        min_width: The smallest width in pixels, as stored, before any orientation tag.
        min_height: The smallest height, likewise.
        near: Which hashes are near, for reports across chunks and for splits.
        twins: What a chunk does with images that show the same picture. Images with equal bytes are always dropped.
        min_sharpness: The smallest sharpness; see ``Measures``. 0 allows any.
        max_aspect: The largest ratio of the longer side to the shorter one. 0 allows any.
        drop: The flags with which an image is dropped; see ``FLAGS``.
        filters: Names of filters of other distributions, which are all applied.
        keep_rejected: Whether the bytes of images that these rules drop are stored, in an archive of their own.
        placeholder_urls: How many different URLs of the dataset may not lead to the same bytes: from this number on,
            these are the picture by which a site says that it has no image, and none is kept. 0 allows any number.
    """

    min_width: int = field(default=50, validator=ge(1))
    min_height: int = field(default=50, validator=ge(1))
    near: NearRule | None = NearRule()
    twins: TwinRule = TwinRule.DROP
    min_sharpness: int = field(default=0, validator=ge(0))
    max_aspect: float = field(default=0.0, validator=ge(0))
    drop: tuple[str, ...] = field(default=(), validator=deep_iterable(in_(FLAGS)))
    filters: tuple[str, ...] = ()
    keep_rejected: bool = False
    placeholder_urls: int = field(default=5, validator=[ge(0), not_(in_((1,)))])
