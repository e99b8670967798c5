"""Fit a picture to a size. The sizes and offsets are those of img2dataset's modes."""

from attrs import frozen

from pixcore.model.conversion import Conversion, Resize


@frozen
class Fit:
    """How a picture becomes a result.

    Attributes:
        box: The part of the picture that is kept: left, upper, right and lower edge, in pixels of the picture.
        size: The width and height to which that part is scaled.
        canvas: The width and height of the result, in whose middle the scaled part lies.
        enlarged: Whether the part is enlarged.
    """

    box: tuple[float, float, float, float]
    size: tuple[int, int]
    canvas: tuple[int, int]
    enlarged: bool

    @property
    def cropped(self) -> bool:
        """Whether a part of the picture is cut off."""
        return self.size == self.canvas and (self.box[0] > 0 or self.box[1] > 0)


def fit(width: int, height: int, how: Conversion) -> Fit:
    """Return how a picture of this width and height is converted."""
    whole = (0.0, 0.0, float(width), float(height))
    if how.size is None:
        return Fit(whole, (width, height), (width, height), enlarged=False)
    side = max(width, height) if how.mode is Resize.BORDER else min(width, height)
    enlarged = side < how.size
    if enlarged and how.mode is Resize.NO_UPSCALE:
        return Fit(whole, (width, height), (width, height), enlarged=False)
    scaled = max(1, round(width * how.size / side)), max(1, round(height * how.size / side))
    square = how.size, how.size
    if how.mode is Resize.BORDER:
        return Fit(whole, scaled, square, enlarged)
    if how.mode is Resize.CROP:
        left, upper = ((of - how.size) // 2 for of in scaled)
        across, down = width / scaled[0], height / scaled[1]
        box = left * across, upper * down, (left + how.size) * across, (upper + how.size) * down
        return Fit((box[0], box[1], min(box[2], whole[2]), min(box[3], whole[3])), square, square, enlarged)
    return Fit(whole, scaled, scaled, enlarged)
