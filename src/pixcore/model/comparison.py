"""The result of comparing two pictures: whether they are the same, and how each differs from the other."""

from attrs import evolve, field, frozen
from attrs.validators import and_, ge, le

_WHOLE = 0.985  # share of a picture from which on nothing is called cropped


@frozen
class Features:
    """How one of two pictures differs from the other.

    Attributes:
        shared: Share of its area that the other picture also shows, 0 to 1.
        framed: The rest of its area is a plain border, or a caption on a plain ground.
        overlaid: Something is laid over it that the other does not have: a watermark or a caption.
        grey: It is grey, and the other has colours.
        enlarged: It has more pixels than the other and no more detail.
    """

    shared: float = field(default=1.0, validator=and_(ge(0.0), le(1.0)))
    framed: bool = False
    overlaid: bool = False
    grey: bool = False
    enlarged: bool = False


@frozen
class Comparison:
    """Two pictures, compared.

    Attributes:
        same: They are the same picture.
        agreement: How well their fine detail agrees, in percent; 0 if it was not compared.
        one, other: The features of each.
        mirrored: One is the mirror image of the other.
        equal: Their pixels are equal, up to rounding.
        difference: What differs too much if they are not the same; else ``""``.
    """

    same: bool
    agreement: int = 0
    one: Features = Features()
    other: Features = Features()
    mirrored: bool = False
    equal: bool = False
    difference: str = ""

    def swapped(self) -> "Comparison":
        """Return the comparison with ``one`` and ``other`` exchanged."""
        return evolve(self, one=self.other, other=self.one)

    def sentence(self) -> str:
        """Describe ``one`` for people, such as "same picture, cropped by 6 %, mirrored; fine detail agrees by 97 %"."""
        if not self.same:
            return f"another picture ({self.difference})"
        if self.equal:
            return "same picture, equal pixels"
        parts = ["same picture", *self._cropped()]
        parts += ["mirrored"] if self.mirrored else []
        parts += ["with a watermark or caption"] if self.one.overlaid else []
        parts += ["without the other's watermark or caption"] if self.other.overlaid else []
        parts += ["in grey"] if self.one.grey else ["in colour"] if self.other.grey else []
        parts += ["enlarged"] if self.one.enlarged else []
        return f"{', '.join(parts)}; fine detail agrees by {self.agreement} %"

    def _cropped(self) -> list[str]:
        missing, more = (round(100 * (1 - each.shared)) for each in (self.other, self.one))
        found: list[str] = []
        if self.other.shared < _WHOLE:
            found.append(
                f"without the other's border of {missing} %" if self.other.framed else f"cropped by {missing} %"
            )
        if self.one.shared < _WHOLE:
            found.append(f"with a border of {more} %" if self.one.framed else f"showing {more} % more")
        return found


@frozen
class Twin:
    """The twin of an image: its place among the candidates, from 0, and the comparison of the image with it."""

    place: int
    comparison: Comparison
