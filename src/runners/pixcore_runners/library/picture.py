"""One image of a dataset, with its row."""

from base64 import b64encode
from collections.abc import Callable, Mapping
from html import escape
from io import BytesIO
from typing import TYPE_CHECKING

from attrs import field, frozen

if TYPE_CHECKING:
    from PIL.Image import Image

_SIDE = 192  # pixels of a picture in a notebook
_SHOWN = ("label", "caption", "title", "creator", "license")


@frozen(eq=False)
class Picture:
    """An image of a dataset and its row. Jupyter shows it.

    Attributes:
        row: The columns of the image: its origin, creator and licence, its label and caption, its size and format.
    """

    row: Mapping[str, object]
    _read: Callable[[], bytes] = field(repr=False)

    @property
    def data(self) -> bytes:
        """The bytes of the image file, read from the dataset's archive."""
        return self._read()

    @property
    def image(self) -> "Image":
        """The picture, decoded and upright. Of an animation, it is the first frame.

        Raises:
            Exception: Whatever Pillow raises for a file that it cannot decode.
        """
        from pixcore_adapters.opening import open_image  # noqa: PLC0415 - Pillow and numpy are slow to import
        from pixcore_adapters.rendering import orientation, upright  # noqa: PLC0415 - the same

        opened = open_image(self.data)
        opened.load()
        return upright(opened, orientation(opened))

    @property
    def label(self) -> str:
        """The label: that of the list or folder that the image comes from, or else the keyword."""
        return str(self.row.get("label", ""))

    @property
    def caption(self) -> str:
        """The caption, or ``""``."""
        return str(self.row.get("caption", ""))

    @property
    def url(self) -> str:
        """The URL or the path that the image comes from."""
        return str(self.row.get("url", ""))

    def __repr__(self) -> str:
        row = self.row
        return f"<Picture {row.get('width')}x{row.get('height')} {row.get('format')} {self.label!r} from {self.url}>"

    def _repr_html_(self) -> str:
        described = "<br>".join(escape(str(self.row[name])) for name in _SHOWN if self.row.get(name))
        return (
            f'<figure style="display:inline-block;margin:0 12px 12px 0;max-width:{_SIDE}px;vertical-align:top">'
            f'{self.thumbnail()}<figcaption style="font-size:85%;overflow-wrap:anywhere">{described}</figcaption>'
            "</figure>"
        )

    def thumbnail(self, side: int = _SIDE) -> str:
        """Return a small picture as an HTML element, at most ``side`` pixels wide and high."""
        from pixcore_adapters.opening import open_image  # noqa: PLC0415 - as above
        from pixcore_adapters.rendering import render_frame  # noqa: PLC0415 - the same

        small = render_frame(open_image(self.data), side)
        small.thumbnail((side, side))
        written = BytesIO()
        small.save(written, "JPEG", quality=80)
        described = escape(self.caption or self.label, quote=True)
        return (
            f'<img src="data:image/jpeg;base64,{b64encode(written.getvalue()).decode()}" alt="{described}"'
            f' title="{described}" width="{small.width}" height="{small.height}">'
        )
