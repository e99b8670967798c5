"""``pixcore why``: say what became of one candidate of a dataset, and why."""

import hashlib
from functools import partial
from pathlib import Path

import rich_click as click
from attrs import evolve

from pixcore import ChunkRecord, Decided, InvalidRequest, StoreNotFound
from pixcore.model.requests import namespace
from pixcore.stored.explaining import Found, decided_since, find, find_unclaimed
from pixcore_runners.assembly.assembly import Assembly, assemble
from pixcore_runners.assembly.sources import listed
from pixcore_runners.cli.completion import dataset_names
from pixcore_runners.cli.document import VERSION
from pixcore_runners.cli.outcomes import without_outcomes
from pixcore_runners.cli.shell import Shell, shared
from pixcore_runners.cli.tables import plain_table
from pixcore_runners.observing.logs import escaped
from pixcore_runners.planning.dataset_plan import dataset_records


@click.command("why")
@click.argument("dataset", shell_complete=dataset_names)
@click.argument("candidate", metavar="URL | PATH | SHA256")
@shared
def command(shell: Shell, dataset: str, candidate: str) -> None:
    """Say why an image is in DATASET or not: one sentence for each candidate with this URL, path or sha256.

    A PATH may also be any file on this machine: if no candidate has its name, its sha256 is looked up. Of a sha256, the
    first 8 digits suffice.

    Example: `pixcore why red-panda https://example.org/panda.jpg`
    """
    assembly = assemble(shell.settings)
    name = namespace(dataset)
    records = dataset_records(name, assembly.status)
    found = _found(candidate, records, assembly) or _unclaimed(candidate, name, assembly)
    if not found:
        missing = without_outcomes(records, assembly.archives)
        unknown = f"; {missing}" if missing else ""
        raise InvalidRequest(
            f"no chunk of dataset {name!r} tried {candidate!r} or has it among its candidates{unknown}; see"
            f" `pixcore outcomes {name}`"
        )
    if name:
        found = _with_decisions(found, name, records, assembly)
    document = {
        "version": VERSION,
        "dataset": name,
        "found": [_described(each) for each in found],
    }
    if shell.as_json:
        shell.show(document, plain_table())
    else:
        for each in found:
            click.echo(escaped(each.sentence))


def _found(candidate: str, records: list[ChunkRecord], assembly: Assembly) -> list[Found]:
    found = list(find(candidate, records, assembly.archives))
    file = Path(candidate)
    if not found and file.is_file():
        with file.open("rb") as opened:
            sha256 = hashlib.file_digest(opened, "sha256").hexdigest()
        found = list(find(sha256, records, assembly.archives))
    return found


def _unclaimed(candidate: str, dataset: str, assembly: Assembly) -> list[Found]:
    """Find a candidate of the dataset's lists that no chunk has. Chunks without a dataset share no lists."""
    allocations = assembly.status.allocations(dataset, "") if dataset else ()
    try:
        return list(find_unclaimed(candidate, allocations, partial(listed, store=assembly.store)))
    except StoreNotFound:  # the listing was deleted
        return []


def _with_decisions(found: list[Found], dataset: str, records: list[ChunkRecord], assembly: Assembly) -> list[Found]:
    """Add to each sentence what was decided about the image by hand since its chunk was completed."""
    decided = Decided.of(assembly.decisions.read(dataset))
    rules = {record.chunk.id: record.chunk.request.quality.near for record in records}
    notes = [decided_since(each.line, decided, None if each.chunk is None else rules[each.chunk]) for each in found]
    return [evolve(each, sentence=f"{each.sentence} {note}".rstrip()) for each, note in zip(found, notes, strict=True)]


def _described(found: Found) -> dict[str, object]:
    chunk = {} if found.chunk is None else {"chunk": found.chunk}
    return {**chunk, **found.line, "sentence": found.sentence}
