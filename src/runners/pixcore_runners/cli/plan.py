"""``pixcore plan``: what ``run`` would do."""

from itertools import chain

import rich_click as click
from attrs import asdict

from pixcore import ChunkRequest
from pixcore_runners.assembly.assembly import assemble
from pixcore_runners.cli.document import VERSION
from pixcore_runners.cli.planning import wanted, wanting
from pixcore_runners.cli.shell import Shell, shared
from pixcore_runners.cli.tables import add, plain_table
from pixcore_runners.planning.dataset_plan import plan_missing


@click.command("plan")
@wanting
@shared
def command(shell: Shell, keyword: str, count: int | None, dataset: str) -> None:
    """Print the chunks that `run` would work off, with their slices, and do nothing.

    Example: `pixcore plan --source folder:./photos --count 1000`
    """
    wish = wanted(shell, keyword, count, dataset)
    assembly = assemble(shell.settings)
    known = (record.chunk.request for record in assembly.status.find(wish.dataset))
    table = plain_table("index", "keyword", "target", "slices")
    chunks = []
    with plan_missing(wish, assembly.status, assembly) as proposal:
        for request in chain(known, proposal.requests):
            add(table, request.index, request.keyword, request.target, _slices(request))
            chunks.append(
                {
                    "index": request.index,
                    "keyword": request.keyword,
                    "target": request.target,
                    "slices": [asdict(piece) for piece in request.slices],
                }
            )
    shell.show({"version": VERSION, "dataset": wish.dataset, "chunks": chunks}, table)


def _slices(request: ChunkRequest) -> str:
    return ", ".join(f"{piece.source} {piece.query} [{piece.start}, {piece.stop})" for piece in request.slices)
