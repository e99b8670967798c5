"""Complete arguments when the user presses Tab in a shell."""

from pathlib import Path
from typing import Any

import rich_click as click

from pixcore_runners.assembly.assembly import assemble
from pixcore_runners.assembly.status_databases import check
from pixcore_runners.settings import load_here


def dataset_names(ctx: click.Context, _: click.Parameter, incomplete: str) -> list[str]:
    """Return the names of datasets that begin with ``incomplete``, sorted. Changes nothing.

    Options that are typed already count: ``--status`` and ``--config``. If the status database cannot be read, or has
    an older version, which a command would upgrade, return none: an error would end up in the command line.
    """
    try:
        flags: dict[str, Any] = {"status": ctx.params["status"]} if ctx.params.get("status") else {}
        config = ctx.params.get("config")
        settings = load_here(flags=flags, config=Path(config) if config else None).settings
        check(settings)
        return sorted(name for name in assemble(settings).status.summary() if name and name.startswith(incomplete))
    except Exception:  # noqa: BLE001 - see above
        return []
