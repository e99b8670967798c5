"""What the commands share that send chunks to a queue."""

import rich_click as click

from pixcore import InvalidRequest
from pixcore_runners.queues import QUEUES
from pixcore_runners.settings import Settings

runner = click.option(
    "--runner", type=click.Choice(QUEUES), required=True, help="The queue that delivers the chunks to workers."
)


def require_shared(settings: Settings) -> None:
    """Refuse what only this process can see.

    Raises:
        InvalidRequest: The store or the status database is in memory.
    """
    for name, url in (("store", settings.store), ("status", settings.status)):
        if url.startswith("memory:"):
            raise InvalidRequest(f"{name} {url} cannot be seen by workers; name one that all of them can reach")
