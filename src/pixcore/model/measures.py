"""Measures of the visible picture of an image, and the flags that follow from them.

All measures are integers, so that they are the same in every row, export and database.
"""

from attrs import frozen

# The flags that an image can have, and what each means.
FLAGS = {
    "dark": "99 % of the picture is darker than 82 of 255",
    "light": "95 % of the picture is lighter than 242 of 255",
    "blurry": "every edge is as soft as one that is blurred by 2 pixels, in a picture of 256 to 511 pixels",
    "low_information": "less than 3 bits of information a pixel",
    "grayscale": "no colours",
    "odd_aspect": "one side is more than 2.857 times as long as the other",
    "text": "at least 5 lines of text",
}

# Thresholds of the flags. They are those of cleanvision for the measures that it has, too.
_DARK, _LIGHT = 82, 242
_BLURRED, _RANGE = 350, 32
_INFORMATION = 3000
_COLOURLESS = 20
_ODD = 2857
_LINES = 5


@frozen
class Measures:
    """Measures of the first frame of an image as a viewer shows it: upright, opaque, in 8 bits.

    Attributes:
        sharpness: How much of an edge lies between two neighbouring pixels. Rows and columns are cut into windows of
            16 pixels; of each window in which the levels of grey range over 32 or more, the largest step from pixel to
            pixel is divided by the range; the result is 1000 x the 90 % quantile of these. Measured on a picture whose
            shorter side has 256 to 511 pixels (the image scaled by 1/2, 1/4 or 1/8), or all that the image has. A hard
            edge has 1000. Of 26 photographs, sharp ones have 540 to 1000, the same blurred by a Gaussian of 2 pixels
            220 to 360, of 12 pixels 90 to 190. 0 if no window has an edge.
        darkest: The level of grey, 0 to 255, below which 5 % of the picture lie.
        lightest: The level of grey below which 99 % of the picture lie.
        contrast: 10 x the standard deviation of the levels of grey.
        information: 1000 x the entropy of the levels of grey, in bits a pixel: 0 to 8,000.
        colourfulness: 10 x the measure of Hasler and Suesstrunk (2003): the root of the variances of R - G and
            (R + G) / 2 - B together, plus 0.3 x the root of their squared means. 0 for grey; a colourful photograph
            has 300 to 1,000.
        aspect: 1000 x the longer side / the shorter side.
        text_lines: The number of horizontal lines of text on an even ground: one level of grey, by 24 levels, fills
            half of the picture. Text on photographs and gradients is not counted, nor text that is turned by 2 degrees.

    ``darkest``, ``lightest``, ``contrast`` and ``information`` are measured on averages of square blocks of pixels, of
    which 80 to 159 make the shorter side. ``colourfulness`` is measured on a grid of as many single pixels of the
    picture on which sharpness is measured.
    """

    sharpness: int
    darkest: int
    lightest: int
    contrast: int
    information: int
    colourfulness: int
    aspect: int
    text_lines: int

    @property
    def flags(self) -> tuple[str, ...]:
        """The flags of this image, in the order of ``FLAGS``."""
        raised = {
            "dark": self.lightest < _DARK,
            "light": self.darkest > _LIGHT,
            "blurry": self.sharpness < _BLURRED and self.lightest - self.darkest >= _RANGE,
            "low_information": self.information < _INFORMATION,
            "grayscale": self.colourfulness < _COLOURLESS,
            "odd_aspect": self.aspect > _ODD,
            "text": self.text_lines >= _LINES,
        }
        return tuple(flag for flag in FLAGS if raised[flag])
