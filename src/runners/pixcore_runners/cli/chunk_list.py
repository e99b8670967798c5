"""Print the chunks of a dataset, as a document or as tables."""

from collections.abc import Iterable

import rich_click as click

from pixcore import ChunkRecord
from pixcore_runners.cli.document import document_text
from pixcore_runners.cli.shell import Shell
from pixcore_runners.cli.tables import chunk_tables


def show_chunks(shell: Shell, dataset: str, records: Iterable[ChunkRecord]) -> None:
    """Print the chunks in parts, because there may be a million; at most a thousand are in memory."""
    if shell.as_json:
        for text in document_text(dataset, records):
            click.echo(text, nl=False)
        return
    for table in chunk_tables(records):
        shell.show({}, table)
