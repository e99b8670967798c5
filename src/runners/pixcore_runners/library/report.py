"""The report of a dataset, shown in a notebook or saved as a file."""

from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

from attrs import field, frozen

if TYPE_CHECKING:
    from pixcore_adapters.outputs.report.build import Report as Contents

_HEIGHT = 640  # pixels of a report in a notebook


@frozen(eq=False)
class Report:
    """The report of a dataset: its images, what was left out and why. Jupyter shows it.

    Attributes:
        dataset: The dataset's name.
    """

    dataset: str
    _contents: "Contents" = field(repr=False)

    @property
    def html(self) -> str:
        """The page as HTML. It loads nothing from the network."""
        from pixcore_adapters.outputs.report.page import render  # noqa: PLC0415 - Jinja2 is slow to import

        return b"".join(render(self._contents)).decode()

    def save(self, path: str | Path) -> Path:
        """Write the page to a file, and return its absolute path. An earlier report is replaced.

        Raises:
            InvalidRequest: The file exists and is no report, or its folder is missing.
            WorkspaceFull, TransientError: The file cannot be written.
        """
        from pixcore_adapters.outputs.report.page import write  # noqa: PLC0415 - as above

        target = Path(path).expanduser().absolute()
        write(self._contents, target)
        return target

    def __repr__(self) -> str:
        return f"<Report of dataset {self.dataset!r}>"

    def _repr_html_(self) -> str:
        # sandboxed: texts of the page come from the web, and it must not reach the notebook
        return (
            f'<iframe srcdoc="{escape(self.html, quote=True)}" sandbox="allow-scripts allow-popups allow-downloads"'
            f' title="Report of {escape(self.dataset, quote=True)}"'
            f' style="width:100%;height:{_HEIGHT}px;border:1px solid #8884"></iframe>'
        )
