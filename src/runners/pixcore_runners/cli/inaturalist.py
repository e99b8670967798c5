"""``pixcore inaturalist``: list the photos of a taxon from iNaturalist's open tables."""

import tempfile
from collections.abc import Mapping
from pathlib import Path

import rich_click as click
from attrs import asdict

from pixcore import InvalidRequest, NoValidImages
from pixcore.chunk.workspace import local_disk
from pixcore_adapters.downloader.lists.files import ListFile
from pixcore_adapters.downloader.lists.inaturalist import GRADES, SIZES, Joined, Wanted, join
from pixcore_runners.assembly.sources import inaturalist_tables
from pixcore_runners.cli.document import VERSION
from pixcore_runners.cli.shell import Shell, shared
from pixcore_runners.cli.tables import add, plain_table
from pixcore_runners.settings.source_names import LICENSES

_SUFFIX = ".jsonl.gz"


@click.command("inaturalist")
@click.argument("tables")
@click.argument("taxon", default="")
@click.option("--out", required=True, metavar="FILE", type=click.Path(dir_okay=False), help=f"Ends in {_SUFFIX}.")
@click.option("--quality", type=click.Choice(GRADES), default="research", help="Of observations. Default: research.")
@click.option("--size", type=click.Choice(SIZES), default="original", help="Of photos. Default: original, 2048 pixels.")
@click.option("--license", metavar="SLUGS", help=f"Only photos under these licences: {', '.join(LICENSES)}.")
@shared
def command(shell: Shell, /, tables: str, taxon: str, out: str, **chosen: str) -> None:
    """Write a list of the photos of TAXON, a scientific name or a number, with the species of each as its label.

    TABLES is the folder, web address or store of iNaturalist's open data: taxa, observations, observers and photos,
    each as .csv.gz. Without TAXON, the list has the photos of all species. Each has its creator, licence and page.
    Collect them with `pixcore run --source urls:FILE`.

    Example: `pixcore inaturalist ./tables "Ailurus fulgens" --out red-pandas.jsonl.gz`
    """
    file = Path(out)
    if not file.name.endswith(_SUFFIX):
        raise InvalidRequest(f"--out {out!r} must end in {_SUFFIX}, because it holds gzipped JSON lines")
    if file.exists():
        raise InvalidRequest(f"{out} exists; name another file, or remove it")
    wanted = Wanted(taxon, chosen["quality"], shell.settings.license, chosen["size"])
    joined = _written(file, inaturalist_tables(tables, shell.settings), wanted)
    table = plain_table("photos", "species", "list")
    add(table, joined.photos, joined.species, out)
    shell.show({"version": VERSION, "list": out, **asdict(joined)}, table)
    for reason, count in sorted(joined.left_out.items()):
        shell.say(f"left out: {reason}: {count}")
    shell.say(f"collect them with: pixcore run --source urls:{out}")


def _written(file: Path, tables: Mapping[str, ListFile], wanted: Wanted) -> Joined:
    """Write the list under its name once it is complete."""
    with local_disk("writing the list"), tempfile.TemporaryDirectory(dir=file.parent, prefix=".pixcore-") as folder:
        made = Path(folder, "list")
        with made.open("xb") as opened:
            joined = join(tables, wanted, opened)
        if not joined.photos:
            left_out = ", ".join(f"{reason}: {count}" for reason, count in sorted(joined.left_out.items()))
            raise NoValidImages(f"the tables have no photo to list; left out: {left_out or 'none'}")
        made.replace(file)
    return joined
