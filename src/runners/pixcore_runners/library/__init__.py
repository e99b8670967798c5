"""pixcore from Python and from notebooks: collect a dataset, open it, and read its pictures.

The package ``pixcore`` offers these names by the entry points of this distribution: ``import pixcore as px``, then
``px.collect("red panda", count=300)``.
"""

from pixcore_runners.library.collecting import collect, collect_async, open  # noqa: A004 - as in `px.open`
from pixcore_runners.library.dataset import Dataset
from pixcore_runners.library.picture import Picture
from pixcore_runners.library.report import Report

__all__ = ["Dataset", "Picture", "Report", "collect", "collect_async", "open"]
