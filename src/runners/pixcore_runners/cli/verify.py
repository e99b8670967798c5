"""``pixcore verify``: read back and check what is stored."""

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
from pixcore_runners.assembly.assembly import Archivers, Assembly, assemble
from pixcore_runners.assembly.imaging import validating
from pixcore_runners.cli.commands import DONE, PARTIAL
from pixcore_runners.cli.document import VERSION
from pixcore_runners.cli.item_progress import item_progress
from pixcore_runners.cli.shell import Shell, shared
from pixcore_runners.observing.logs import escaped
from pixcore_runners.planning.dataset_plan import require_chunks


@click.command("verify")
@click.argument("what", metavar="DATASET | PATH")
@click.option("--repair", "repairing", is_flag=True, help="Reopen damaged chunks, so that the next run replaces them.")
@shared
def command(shell: Shell, what: str, repairing: bool) -> None:
    """Read every archive of DATASET back and check that it exists, matches its record, and holds only sound images.

    PATH, which contains a slash as in ./cats, is a folder with archives and needs no status database. Prints a line for
    each fault and exits with 3 if there is any.

    Example: `pixcore verify red-panda --repair`
    """
    if "/" not in what and what not in (".", ".."):
        _dataset(shell, dataset_name(what), repairing=repairing)
    if repairing:
        raise click.UsageError("--repair reopens chunks of a dataset; a folder has none.")
    _folder(shell, Path(what))


def _dataset(shell: Shell, dataset: str, *, repairing: bool) -> NoReturn:
    assembly = assemble(shell.settings)
    require_chunks(dataset, assembly.status)
    chunks = {status: sum(phases.values()) for status, phases in assembly.status.overview(dataset).phases.items()}
    completed = chunks.pop(Status.COMPLETED, 0)
    if others := sum(chunks.values()):
        shell.say(f"dataset {dataset}: chunks that were not checked because they are not completed: {others}")
    findings = _Findings(shell, {"dataset": dataset})
    with validating(shell.settings) as validator:
        found = verify_dataset(dataset, archives=assembly.archives, status=assembly.status, validator=validator)
        findings.show(found, completed)
    findings.end(_reopened(shell, assembly, dataset, findings) if repairing else [])


def _folder(shell: Shell, folder: Path) -> NoReturn:
    kinds = Archivers()
    if not (paths := archives_below(folder, kinds)):
        raise InvalidRequest(f"no archive such as chunk_1.zip is at or below {folder}; name another folder")
    findings = _Findings(shell, {"path": str(folder)})
    with validating(shell.settings) as validator:
        found = verify_archives(paths, archivers=kinds, validator=validator, work=shell.settings.work)
        findings.show(found, len(paths))
    findings.end([])


@define
class _Findings:
    """The faults, printed as they are found, because there may be many."""

    shell: Shell
    subject: dict[str, str]
    archives: int = 0
    images: int = 0
    faults: int = 0
    damaged: list[ChunkKey] = field(factory=list)

    def show(self, found: Iterable[ArchiveCheck], archives: int) -> None:
        """Print each fault. ``archives`` is the number of archives, for the progress."""
        if self.shell.as_json:
            click.echo(json.dumps({"version": VERSION, **self.subject, "faults": []}).removesuffix("]}"), nl=False)
        other_hashes = converted = 0
        with item_progress(self.shell, "archives", archives) as done:
            for check in found:
                for fault in check.faults:
                    self._print(check, fault)
                if check.is_archive:
                    self.archives += 1
                    done()
                self.images += check.images
                other_hashes += check.other_hashes
                converted += check.converted
                if check.faults and check.chunk:
                    self.damaged.append(check.chunk)
        if other_hashes:
            self.shell.say(f"images that were not compared because another version made their hashes: {other_hashes}")
        if converted:
            self.shell.say(f"images whose hashes are those of the originals, which are not stored: {converted}")

    def end(self, reopened: Sequence[int]) -> NoReturn:
        """Print the totals and exit."""
        sums = {"archives": self.archives, "images": self.images}
        if self.shell.as_json:
            click.echo(f"\n], {json.dumps({**sums, 'reopened': reopened}).removeprefix('{')}")
        else:
            click.echo(", ".join(f"{name}: {count}" for name, count in {**sums, "faults": self.faults}.items()))
        sys.exit(PARTIAL if self.faults else DONE)

    def _print(self, check: ArchiveCheck, fault: str) -> None:
        chunk = check.chunk.id if check.chunk else None
        if self.shell.as_json:
            fields = {"chunk": chunk, "blob": check.blob, "fault": fault}
            click.echo(f"{',' if self.faults else ''}\n{json.dumps(fields)}", nl=False)
        else:
            of = "" if chunk is None else f"chunk {chunk}: "
            click.echo(escaped(f"{of}{check.blob}: {fault}"))
        self.faults += 1


def _reopened(shell: Shell, assembly: Assembly, dataset: str, findings: _Findings) -> list[int]:
    damaged = findings.damaged
    if len(damaged) > 1 and not any(assembly.store.list(f"{dataset}/data")):
        raise InvalidRequest(
            f"the store holds no archive of dataset {dataset}, so nothing was reopened; if that is the wrong store, set"
            " --store"
        )
    opened = []
    for chunk in damaged:
        try:
            opened += [chunk.id] if repair(chunk, archives=assembly.archives, status=assembly.status) else []
        except (StoreConflict, StoreDenied) as error:
            shell.say(f"chunk {chunk.id} was not reopened: {one_line(error)}")
    if opened:
        shell.say(
            f"chunks reopened: {len(opened)}; to replace them, repeat `pixcore run` or `pixcore submit`, or use:"
            f" pixcore retry {dataset}"
        )
    return opened
