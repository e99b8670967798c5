"""``pixcore demo``: run the whole pipeline on a synthetic site, and compare the expected with the found."""

import csv
import os
import shlex
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import rich_click as click

from pixcore import Archiver, BlobStore, ChunkRecord, InvalidRequest
from pixcore.chunk.events import combined
from pixcore.chunk.workspace import local_disk
from pixcore.model.outcomes import OUTCOMES
from pixcore.stored.archives import StoredArchives
from pixcore.stored.check import check_contents
from pixcore.stored.outcomes import outcome_lines
from pixcore_runners.assembly.assembly import Assembly, assemble
from pixcore_runners.cli.commands import DONE, PARTIAL
from pixcore_runners.cli.direct import stopping
from pixcore_runners.cli.document import VERSION, document
from pixcore_runners.cli.shell import Shell
from pixcore_runners.cli.tables import add, plain_table, reasons
from pixcore_runners.direct.threads import run_chunks
from pixcore_runners.observing.logs import log_to_stderr
from pixcore_runners.observing.progress import progress
from pixcore_runners.planning.advice import left_out
from pixcore_runners.planning.dataset_plan import plan_missing
from pixcore_runners.planning.spec import DatasetSpec, KeywordSpec
from pixcore_runners.settings import Settings, load
from pixcore_runners.settings.urls import anchored

if TYPE_CHECKING:
    from pixcore_runners.demo import Category, Planted, Site, Verdicts

_DATASET = "demo"
_MARK = ".pixcore-demo"
_PATIENCE = 2.0  # seconds: some pages of the site answer too late on purpose


@click.command("demo")
@click.option(
    "--out", metavar="DIR", default="pixcore-demo", show_default=True, help="Folder that the demo may write to."
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
@click.option("--quiet", is_flag=True, help="Print no progress on standard error.")
@click.option("--verbose", is_flag=True, help="Print log lines on standard error.")
def command(out: str, as_json: bool, quiet: bool, verbose: bool) -> None:
    """Run the whole pipeline on a synthetic web site with planted faults, and compare results with expectations.

    A program paints the pictures. The site is reachable on this machine only, and your configuration is not read. Exits
    with 3 on a mismatch.

    Example: `pixcore demo --out /tmp/pixcore-demo`
    """
    from pixcore_runners.demo import Verdicts, plant, site  # noqa: PLC0415 - numpy and Pillow are slow, `--help` is not

    began = time.monotonic()
    if verbose:
        log_to_stderr("debug")
    folder = _fresh(Path(out).absolute())
    shell = Shell(load(), as_json, quiet, verbose)
    shell.say(f"Painting synthetic pictures and planting faults below {folder / 'pictures'} …")
    with local_disk("painting the pictures"):
        planted = plant(folder / "pictures")
    verdicts = Verdicts(planted)
    with site(planted) as served:
        shell = Shell(load(flags=_flags(folder, served)), as_json, quiet, verbose)
        assembly = assemble(shell.settings, create=True)
        shell.say(
            f"Fetching, checking, packing, storing and recording {len(planted.files)} files from {served.address} …"
        )
        faults = _run(shell, assembly, _lists(folder / "lists", planted, served), verdicts)
        if served.off_limits_requests:
            faults.append(f"{served.off_limits_requests} requests went where a redirect led that had to be refused")
    records = list(assembly.status.find(_DATASET))
    categories = verdicts.categories()
    good = not faults and all(category.as_expected for category in categories)
    _show(shell, categories, faults, records)
    if not as_json:
        click.echo(_farewell(folder, shell.settings, records, good=good, seconds=time.monotonic() - began))
    sys.exit(DONE if good else PARTIAL)


def _flags(folder: Path, served: "Site") -> dict[str, object]:
    return {
        "store": anchored("file:blobs", folder),
        "status": anchored("sqlite:///status.db", folder),
        "private_hosts": (served.address,),  # with its port: nothing else on this machine may be reached
        "fetch_seconds": _PATIENCE,
        "workers": 4,
    }


def _lists(folder: Path, planted: "Planted", served: "Site") -> dict[str, Path]:
    """Write a URL list for each keyword, with the provenance of its pictures; return the lists."""
    lists = {keyword: folder / f"{name}.csv" for keyword, name in planted.keywords.items()}
    with local_disk("writing the URL lists"):
        folder.mkdir()
        for keyword, path in lists.items():
            with path.open("w", newline="") as file:
                rows = csv.writer(file)
                rows.writerow(("url", "title", "creator", "license"))
                for planted_file, kind in planted.files.items():
                    if planted_file.startswith(f"{planted.keywords[keyword]}/"):
                        rows.writerow(
                            (served.url(planted_file), f"{keyword}, {kind.description}", "pixcore demo", "cc0")
                        )
    return lists


def _fresh(folder: Path) -> Path:
    """Return an empty folder for the demo. Removes what an earlier demo left there, and nothing else."""
    try:
        if folder.exists() and any(folder.iterdir()):
            if not (folder / _MARK).is_file():
                raise InvalidRequest(
                    f"{folder} holds files that are not from a demo; name another folder with --out DIR"
                )
            shutil.rmtree(folder)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / _MARK).touch()
    except OSError as exc:
        raise InvalidRequest(f"{folder} cannot be used ({exc.strerror}); name another folder with --out DIR") from exc
    return folder


def _run(shell: Shell, assembly: Assembly, lists: Mapping[str, Path], verdicts: "Verdicts") -> list[str]:
    """Run every keyword's list as one chunk; return the faults of the stored archives."""
    keywords = [KeywordSpec((f"urls:{path}",), keyword) for keyword, path in lists.items()]
    with plan_missing(DatasetSpec(keywords, shell.settings.chunk_size, _DATASET), assembly.status, assembly) as plan:
        chunks = [chunk.key for chunk in plan.save(assembly.status, assembly.store)]
    with (
        stopping(shell) as stop,
        progress(len(chunks), verbose=shell.verbose, quiet=shell.quiet) as shown,
        assembly.pipeline(combined(verdicts, shown), stop.is_set) as pipeline,
    ):
        run_chunks(pipeline, chunks, workers=shell.settings.workers, stop=stop)
        records = list(assembly.status.find(_DATASET))
        with local_disk("reading the archives back"):
            return [*_faults(assembly.store, pipeline.archiver, records), *_miscounts(assembly.archives, records)]


def _miscounts(archives: StoredArchives, records: Sequence[ChunkRecord]) -> Iterator[str]:
    """Compare the outcomes of the candidates with the counts of their chunk."""
    for record in records:
        counted = left_out([record]) + Counter(accepted=record.result.progress.accepted if record.result else 0)
        found = Counter(str(line["outcome"]) for line in outcome_lines(record, archives))
        if found != counted:
            yield f"{record.chunk.key.outcomes_key(OUTCOMES)}: {reasons(found)} for {reasons(counted)}"


def _faults(store: BlobStore, archiver: Archiver, records: Sequence[ChunkRecord]) -> Iterator[str]:
    for record in records:
        key = record.chunk.key.blob_key(archiver.suffix)
        if record.result is None:
            yield f"{key}: {record.error}"
            continue
        with tempfile.NamedTemporaryFile() as copy, store.open(key) as blob:
            shutil.copyfileobj(blob, copy)
            copy.flush()
            contents = archiver.contents(Path(copy.name))
            if len(contents.rows) != record.result.progress.accepted:
                yield f"{key}: {len(contents.rows)} rows for {record.result.progress.accepted} accepted images"
            yield from (f"{key}: {fault}" for fault in check_contents(contents))


def _show(
    shell: Shell, categories: Sequence["Category"], faults: Sequence[str], records: Sequence[ChunkRecord]
) -> None:
    table = plain_table("planted", "files", "expected verdict", "found", "")
    for category in categories:
        kind = category.kind
        mark = "ok" if category.as_expected else "MISMATCH"
        add(table, kind.description, category.planted, kind.verdict, reasons(category.found), mark)
    found = [
        {
            "planted": category.kind.description,
            "files": category.planted,
            "expected": category.kind.verdict,
            "found": dict(category.found),
        }
        for category in categories
    ]
    whole = {
        "version": VERSION,
        "synthetic": True,
        "categories": found,
        "archive_faults": list(faults),
        "chunks": document(_DATASET, records)["chunks"],
    }
    shell.show(whole, table, *(f"ARCHIVE FAULT {fault}" for fault in faults))


def _farewell(folder: Path, settings: Settings, records: Sequence[ChunkRecord], *, good: bool, seconds: float) -> str:
    images = sum(record.result.progress.accepted for record in records if record.result)
    archives = "\n".join(f"  {record.result.url}" for record in records if record.result)
    verdict = "Everything was found as planted." if good else "Something was NOT found as planted: see MISMATCH above."
    pixcore = "pixcore" if shutil.which("pixcore") else os.path.relpath(sys.argv[0])
    pictures = f"folder:{folder / 'pictures'}"
    following = (
        (pixcore, "status", _DATASET, "--store", settings.store, "--status", settings.status),
        (pixcore, "plan", "--source", pictures, "--count", "100", "--chunk-size", "40"),
        (pixcore, "run", "--source", "folder:PATH/TO/YOUR/PHOTOS", "--dataset", "mine"),
    )
    commands = "\n".join(f"  {shlex.join(words)}" for words in following)
    return f"""
{verdict} {images} images in {len(records)} archives, each read back and checked, in {seconds:.0f} s.
All pictures are synthetic: painted by a program and served on this machine, with the faults put there on purpose.

Files made:
  {folder / "pictures"} and {folder / "lists"}
{archives}
  {folder / "status.db"}

Try next:
{commands}"""
