"""Decide from the figures of two aligned pictures whether they are the same picture.

Photographs and graphics have different rules. Two photographs never agree in fine detail by chance, so copies may
differ much: they may be recompressed, brighter, or have a caption. Different graphics, such as pages, charts and signs,
agree in most places; so a few tiles or one colour that differ decide. The thresholds were tuned on half of ten kinds of
different pictures and 22 variants of a picture, and checked on the other half.
"""

# ruff: noqa: PLR2004 (each threshold stands where the rule uses it)

from enum import IntEnum

import numpy as np
from attrs import frozen
from numpy.typing import NDArray

from pixcore_adapters.twins.measuring import Figures, Tones

_LEAST_OVERLAP = 0.55


class Kind(IntEnum):
    """The kind of a picture, which selects the rule. For two pictures, the greater kind counts."""

    PHOTOGRAPH = 0
    SCAN = 1  # uneven plain paper; it may hold writing, so a copy with an overlay is not accepted
    GRAPHIC = 2


# A graphic has at least this share of neighbouring pixels within one level of each other, and its four commonest levels
# of grey fill at least this share of it. A photograph of plain walls or of sky meets the first condition only.
_EVEN, _FEW_LEVELS, _COMMONEST = 0.6, 0.35, 4


def kind_of(levels: NDArray[np.uint8]) -> Kind:
    """Return the kind of a picture, by its grey levels at 128 pixels a side."""
    commonest = np.sort(np.bincount(levels.ravel(), minlength=256))[-_COMMONEST:].sum()
    if commonest < _FEW_LEVELS * levels.size:
        return Kind.PHOTOGRAPH
    steps = [np.abs(np.diff(levels.astype(np.int16), axis=axis)) <= 1 for axis in (0, 1)]
    even = sum(float(step.mean()) for step in steps) / 2
    return Kind.GRAPHIC if even >= _EVEN else Kind.SCAN


@frozen
class _Tint:
    """The limits by which brightness and colour of copies may differ; the names are those of ``Tones``."""

    cast: float
    chroma_far: float
    luma_bent: float
    grey_far: float  # for ``luma_far`` if only one picture is grey
    slope: float  # ratio of the contrasts of luma
    colours_vary: float = 4.0  # from this value on the saturation is compared
    luma_worst: float = 999.0
    chroma_worst: float = 999.0

    def fault(self, found: Tones, contrast: float = 1.0) -> str:
        """Return the name of the first figure that differs too much, or ``""``."""
        if found.one_is_grey:  # a grey copy has the luma of the other
            return "brightness of the grey copy" if found.luma_far > self.grey_far else ""
        varied = found.colourful >= 8 and found.colours_vary >= self.colours_vary
        faults = {
            "contrast": not 0.5 <= contrast <= 2,
            "colour": found.cast > self.cast
            or found.chroma_far > self.chroma_far
            or found.chroma_worst > self.chroma_worst,
            "saturation": varied and not 0.6 <= found.saturation <= 1.67,
            "brightness": found.luma_off > 55
            or found.luma_bent > self.luma_bent
            or found.luma_worst > self.luma_worst
            or (not 1 / self.slope <= found.slope <= self.slope and found.luma_far >= 12),
        }
        return next((name for name, found_it in faults.items() if found_it), "")


_PHOTOGRAPH = _Tint(cast=25, chroma_far=20, luma_bent=16, grey_far=6, slope=1.6)
_SOFT = _Tint(cast=12, chroma_far=8, luma_bent=6, grey_far=5, slope=1.6, luma_worst=12, chroma_worst=12)
_SOFT_LIKENESS = 0.75
_GRAPHIC = _Tint(
    cast=22, chroma_far=12, luma_bent=9, grey_far=5, slope=1.4, colours_vary=0, luma_worst=22, chroma_worst=18
)


@frozen
class Judgement:
    """Whether the pictures are the same, and else the name of what differs."""

    same: bool
    fault: str = ""


def judged(coarse: Figures, fine: Figures, *, kind: Kind, mirrored: bool, moved: float) -> Judgement:
    """Decide from the figures at the coarse and the fine side; ``moved`` is the distance of the pose from the identity.

    A tile counts as textured in the fine figures of photographs from 5 levels and 0.4 of the median on. In the fine
    figures of graphics, and in all coarse figures, it does from 3 levels and 0.25 of the median on.
    """
    if coarse.overlap < _LEAST_OVERLAP:
        return Judgement(False, "too little in common")
    if fine.textured < 1:
        return _soft(coarse, fine, kind)
    if mirrored and kind is not Kind.PHOTOGRAPH:  # the text of a mirrored sign or page is not the same
        return Judgement(False, "mirrored")
    if kind is Kind.GRAPHIC:
        return _graphics(coarse, fine, moved=moved)
    return _photographs(coarse, fine, surely=kind is Kind.PHOTOGRAPH)


def _soft(coarse: Figures, fine: Figures, kind: Kind) -> Judgement:
    """Decide on pictures without a textured tile: faint detail, brightness and colour must agree everywhere."""
    if kind is not Kind.PHOTOGRAPH or min(coarse.likeness, fine.likeness) < _SOFT_LIKENESS:
        return Judgement(False, "no detail to compare")
    fault = _fault(_SOFT, coarse, fine)
    return Judgement(not fault, fault)


def _photographs(coarse: Figures, fine: Figures, *, surely: bool) -> Judgement:
    if fine.likeness >= 0.88 and fine.hardly <= 0.2 and fine.unlike <= 0.06:
        fault = _fault(_PHOTOGRAPH, coarse, fine)
        return Judgement(not fault, fault)
    if not surely or coarse.likeness < 0.5 > coarse.middle or fine.textured < 20:
        return Judgement(False, "detail")
    edge = fine.unlike_at_edge and fine.unlike <= 0.3 and fine.hardly - fine.unlike <= 0.12
    laid_over = fine.alike_outside >= 20 and fine.hardly_outside <= 0.08 and fine.box <= 0.4
    if edge or laid_over or (fine.quarter >= 0.9 and fine.unlike <= 0.22):
        fault = _PHOTOGRAPH.fault(fine.tones_outside)
        return Judgement(not fault, fault)
    return Judgement(False, "detail")


def _graphics(coarse: Figures, fine: Figures, *, moved: float) -> Judgement:
    if fine.likeness < 0.93 or fine.hardly > 0.08 or fine.unlike > 0.03:
        return Judgement(False, "detail")
    if coarse.alike < 20 and (moved > 0.06 or fine.likeness < 0.96):  # too little detail for a reliable alignment
        return Judgement(False, "detail")
    if min(coarse.tones.greyer, fine.tones.greyer) < 5 and max(coarse.tones.colourful, fine.tones.colourful) >= 25:
        return Judgement(False, "colour")  # a pink and a grey product may have one luma
    fault = _fault(_GRAPHIC, coarse, fine)
    return Judgement(not fault, fault)


def _fault(limits: _Tint, coarse: Figures, fine: Figures) -> str:
    return limits.fault(fine.tones, fine.contrast) or limits.fault(coarse.tones, coarse.contrast)
