"""The adapters that decode pictures: the validator, the converter and the twin finder.

Pillow and numpy are slow to import, so each is imported with its first use.
"""

import os
from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from pixcore import Validator
from pixcore.chunk.workspace import workspace
from pixcore.ports import Converter
from pixcore_runners.settings import Settings

if TYPE_CHECKING:
    from pixcore_adapters.twins.pillow import PillowTwinFinder
    from pixcore_adapters.validator.picture import Limits
    from pixcore_adapters.validator.pillow import PillowValidator


@contextmanager
def validating(settings: Settings, *, at_once: bool = False) -> Generator[Validator]:
    """Give the block a validator, whose decoder processes end with the block.

    A decoder starts when it is needed, the first one immediately if ``at_once``.
    """
    with ExitStack() as closed_at_end:
        made = validator(settings, closed_at_end)
        if at_once:
            made.start()
        yield made


def validator(settings: Settings, closed_at_end: ExitStack) -> "PillowValidator":
    """Return a new validator, which is closed with ``closed_at_end``."""
    from pixcore_adapters.validator.pillow import PillowValidator  # noqa: PLC0415 - Pillow and numpy are slow to import

    made = PillowValidator(_limits(settings), seconds=settings.decode_seconds, workers=_share(settings))
    return closed_at_end.enter_context(made)


@contextmanager
def converting(settings: Settings) -> Generator[tuple[Converter, Path]]:
    """Give the block a converter, whose processes end with the block, and a folder for the files that it converts.

    Raises:
        WorkspaceUnusable, WorkspaceFull, MachineUnfit: The folder cannot be created in the work directory.
    """
    with ExitStack() as closed_at_end:
        spare = closed_at_end.enter_context(workspace(Path(settings.work), lambda _path, _error: None))
        yield converter(settings, closed_at_end), spare


def converter(settings: Settings, closed_at_end: ExitStack) -> Converter:
    """Return a new converter, which is closed with ``closed_at_end``."""
    from pixcore_adapters.converter.pillow import PillowConverter  # noqa: PLC0415 - as for the validator

    made = PillowConverter(_limits(settings), seconds=settings.decode_seconds, workers=_share(settings))
    return closed_at_end.enter_context(made)


def _share(settings: Settings) -> int:
    """Return how many processes of a kind each running chunk has."""
    return max(1, (os.cpu_count() or 1) // settings.workers)


def twin_finder(settings: Settings) -> "PillowTwinFinder":
    """Return a new twin finder. It imports nothing and starts no process before its first use."""
    from pixcore_adapters.twins.pillow import PillowTwinFinder  # noqa: PLC0415 - as for the validator

    return PillowTwinFinder(_limits(settings), seconds=2 * settings.decode_seconds)


def _limits(settings: Settings) -> "Limits":
    from pixcore_adapters.validator.picture import Limits  # noqa: PLC0415 - as for the validator

    return Limits(max_bytes=settings.max_bytes, max_pixels=settings.max_pixels, max_frames=settings.max_frames)
