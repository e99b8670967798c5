"""``pixcore verify``: whether what is stored is whole."""

import json
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NoReturn

import rich_click as click
from attrs import define, field

from pixcore import ChunkKey, InvalidRequest, Status, StoreConflict, StoreDenied
from pixcore.errors import one_line
from pixcore.model.requests import dataset_name
from pixcore.stored.check import ArchiveCheck
from pixcore.stored.verify import archives_below, repair, verify_archives, verify_dataset
from pixcore_runners.assembly.assembly import Assembly, archivers, assemble, validating
from pixcore_runners.cli.counted import counted
from pixcore_runners.cli.document import DONE, PARTIAL, VERSION
from pixcore_runners.cli.shell import Shell, shared
from pixcore_runners.observing.logs import escaped
from pixcore_runners.planning.dataset_plan import dataset_records


@click.command("verify")
@click.argument("what", metavar="DATASET | PATH")
@click.option("--repair", "repairing", is_flag=True, help="Open damaged chunks again, for the next run to make anew.")
@shared
def command(shell: Shell, what: str, repairing: bool) -> None:
    """Read every archive of DATASET back: is it there, as recorded and whole, and can each image be decoded?

    PATH, with a slash in it as in ./cats, is a folder with archives, for which no status database is needed. Prints a
    line for each fault and exits with 3 when there is any.

    Example: `pixcore verify red-panda --repair`
    """
    if "/" not in what and what not in (".", ".."):
        _dataset(shell, dataset_name(what), repairing=repairing)
    if repairing:
        raise click.UsageError("--repair opens chunks of a dataset again; a folder has none.")
    _folder(shell, Path(what))


def _dataset(shell: Shell, dataset: str, *, repairing: bool) -> NoReturn:
    assembly = assemble(shell.settings)
    records = dataset_records(dataset, assembly.status)
    completed = sum(record.status is Status.COMPLETED for record in records)
    if others := len(records) - completed:
        shell.say(f"dataset {dataset}: chunks that are not completed, and so not looked at: {others}")
    findings = _Findings(shell, {"dataset": dataset})
    with validating(shell.settings) as validator:
        found = verify_dataset(dataset, archives=assembly.archives, status=assembly.status, validator=validator)
        findings.show(found, completed)
    findings.end(_opened_again(shell, assembly, dataset, findings) if repairing else [])


def _folder(shell: Shell, folder: Path) -> NoReturn:
    kinds = archivers()
    if not (paths := archives_below(folder, kinds)):
        raise InvalidRequest(f"no archive such as chunk_1.zip is at or below {folder}; name another folder")
    findings = _Findings(shell, {"path": str(folder)})
    with validating(shell.settings) as validator:
        found = verify_archives(paths, archivers=kinds, validator=validator, work=shell.settings.work)
        findings.show(found, len(paths))
    findings.end([])


@define
class _Findings:
    """What is found, printed as it comes, because there may be very much of it."""

    shell: Shell
    subject: dict[str, str]
    archives: int = 0
    images: int = 0
    faults: int = 0
    damaged: list[ChunkKey] = field(factory=list)

    def show(self, found: Iterable[ArchiveCheck], archives: int) -> None:
        """Print each fault of what is found in that many archives, and elsewhere."""
        if self.shell.as_json:
            click.echo(json.dumps({"version": VERSION, **self.subject, "faults": []}).removesuffix("]}"), nl=False)
        other_hashes = 0
        with counted(self.shell, "archives", archives) as done:
            for inspection in found:
                for fault in inspection.faults:
                    self._print(inspection, fault)
                if inspection.is_archive:
                    self.archives += 1
                    done()
                self.images += inspection.images
                other_hashes += inspection.other_hashes
                if inspection.faults and inspection.chunk:
                    self.damaged.append(inspection.chunk)
        if other_hashes:
            self.shell.say(f"images whose hashes another version made, so that they were not compared: {other_hashes}")

    def end(self, opened_again: Sequence[int]) -> NoReturn:
        """Print the sums and exit."""
        sums = {"archives": self.archives, "images": self.images}
        if self.shell.as_json:
            click.echo(f"\n], {json.dumps({**sums, 'reopened': opened_again}).removeprefix('{')}")
        else:
            click.echo(", ".join(f"{name}: {count}" for name, count in {**sums, "faults": self.faults}.items()))
        sys.exit(PARTIAL if self.faults else DONE)

    def _print(self, inspection: ArchiveCheck, fault: str) -> None:
        chunk = inspection.chunk.id if inspection.chunk else None
        if self.shell.as_json:
            fields = {"chunk": chunk, "blob": inspection.blob, "fault": fault}
            click.echo(f"{',' if self.faults else ''}\n{json.dumps(fields)}", nl=False)
        else:
            of = "" if chunk is None else f"chunk {chunk}: "
            click.echo(escaped(f"{of}{inspection.blob}: {fault}"))
        self.faults += 1


def _opened_again(shell: Shell, assembly: Assembly, dataset: str, findings: _Findings) -> list[int]:
    damaged = findings.damaged
    if len(damaged) > 1 and not any(assembly.store.list(f"{dataset}/data")):
        raise InvalidRequest(
            f"the store holds no archive of dataset {dataset} at all, so nothing was opened again; is it the right one,"
            " see --store?"
        )
    opened = []
    for chunk in damaged:
        try:
            opened += [chunk.id] if repair(chunk, archives=assembly.archives, status=assembly.status) else []
        except (StoreConflict, StoreDenied) as error:
            shell.say(f"chunk {chunk.id} was not opened again: {one_line(error)}")
    if opened:
        shell.say(
            f"chunks opened again: {len(opened)}; to make them anew, the same `pixcore run` or `pixcore submit` once"
            f" more, or: pixcore retry {dataset}"
        )
    return opened
