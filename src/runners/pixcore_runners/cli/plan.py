"""``pixcore plan``: print what ``run`` would do."""

from collections.abc import Iterable
from itertools import chain

import rich_click as click
from attrs import asdict

from pixcore import Slice
from pixcore_runners.assembly.assembly import assemble
from pixcore_runners.cli.dataset_arguments import dataset_spec, spec_options
from pixcore_runners.cli.document import VERSION
from pixcore_runners.cli.shell import Shell, shared
from pixcore_runners.cli.tables import add, plain_table
from pixcore_runners.observing.logs import escaped
from pixcore_runners.planning.dataset_plan import most_results, plan_missing
from pixcore_runners.planning.effort import efforts
from pixcore_runners.planning.example import EXAMPLE
from pixcore_runners.planning.list_summaries import described


def _print_example(ctx: click.Context, _: click.Parameter, wanted: bool) -> None:
    if wanted and not ctx.resilient_parsing:
        click.echo(EXAMPLE, nl=False)
        ctx.exit()


@click.command("plan")
@spec_options
@click.option(
    "--example",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_print_example,
    help="Print a DATASET.toml to begin with, and exit.",
)
@shared
def command(shell: Shell, /, keyword: str, count: int | None, dataset: str, **conversions: object) -> None:
    """Print the chunks that `run` would process, with their slices. Changes nothing.

    Also prints how many images each searched source can give, and how long its limits make the requests for pages take.
    With --example it prints a DATASET.toml instead: `pixcore plan --example > pandas.toml`.

    Example: `pixcore plan --source folder:./photos --count 1000`
    """
    spec = dataset_spec(shell, keyword, count, dataset, conversions)
    assembly = assemble(shell.settings)
    existing = ((record.chunk.request, record.chunk.taken) for record in assembly.status.find(spec.dataset))
    table = plain_table("index", "keyword", "target", "slices")
    chunks = []
    with plan_missing(spec, assembly.status, assembly) as missing:
        new = list(missing.requests)
        for request, taken in chain(existing, ((request, ()) for request in new)):
            add(table, request.index, request.keyword, request.target, _slices((*request.slices, *taken)))
            chunks.append(
                {
                    "index": request.index,
                    "keyword": request.keyword,
                    "target": request.target,
                    "slices": [asdict(slice_) for slice_ in request.slices],
                    "taken": [asdict(slice_) for slice_ in taken],
                }
            )
        lists, changes = missing.summaries, missing.changes
    most = most_results(spec, assembly)
    abouts = {source: assembly.about(source) for source in most}
    asked = efforts(most, abouts, (slice_ for request in new for slice_ in request.slices))
    sources = [one.document() for one in asked]
    document = {"version": VERSION, "dataset": spec.dataset, "chunks": chunks, "lists": lists, "sources": sources}
    lines = (line for summary in lists for line in described(summary))
    shell.show(document, table, *lines, *(escaped(one.sentence()) for one in asked))
    for change in changes:
        shell.say(f"dataset {spec.dataset}: {change}")
    if spec.store_as:
        shell.say(f"images are stored as {spec.store_as.described()}; the originals are not kept")


def _slices(slices: Iterable[Slice]) -> str:
    return ", ".join(f"{slice_.source} {slice_.query} [{slice_.start}, {slice_.stop})" for slice_ in slices)
