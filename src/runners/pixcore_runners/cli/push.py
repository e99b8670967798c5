"""``pixcore push``: upload a dataset to the Hugging Face Hub."""

import sys
from collections.abc import Generator, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

import rich_click as click

from pixcore import ChunkRecord, InvalidRequest, NoValidImages, Status
from pixcore.chunk.workspace import local_disk, workspace
from pixcore.model.requests import dataset_name
from pixcore.stored.archives import StoredArchives
from pixcore_runners.assembly.assembly import Assembly, assemble
from pixcore_runners.cli.commands import DONE, PARTIAL
from pixcore_runners.cli.completion import dataset_names
from pixcore_runners.cli.document import VERSION
from pixcore_runners.cli.item_progress import item_progress
from pixcore_runners.cli.shell import Shell, shared
from pixcore_runners.cli.tables import add, plain_table
from pixcore_runners.planning.dataset_plan import dataset_records
from pixcore_runners.registry.table import needing

if TYPE_CHECKING:
    from pixcore_adapters.outputs.hub import HubRepository

_AT_ONCE, _BYTES = 50, 2 << 30  # archives of an upload, and about how many bytes they have


@click.command("push")
@click.argument("dataset", shell_complete=dataset_names)
@click.argument("repository", metavar="OWNER/NAME")
@shared
def command(shell: Shell, dataset: str, repository: str) -> None:
    """Upload DATASET to the dataset repository OWNER/NAME of the Hugging Face Hub, as `load_dataset` reads it.

    A repository that does not exist is created as a private one. Archives that it has already are not sent again, so
    the same command continues after an interruption. The card with the table of licences comes last. Exits with 3 if
    chunks are missing in it.

    The token is that of `hf auth login` or HF_TOKEN.

    Example: `pixcore push red-panda my-name/red-panda`
    """
    name = dataset_name(dataset)
    with needing("hub"):
        from pixcore_adapters.outputs.hub import HubRepository  # noqa: PLC0415 - an extra, and slow to import
    hub = HubRepository(repository)
    assembly = assemble(shell.settings)
    known = dataset_records(name, assembly.status)
    records = {f"data/{_file(record)}": record for record in known if record.status is Status.COMPLETED}
    if not records:
        raise NoValidImages(f"no chunk of dataset {name} is completed, so there is nothing to upload; run it first")
    hub.create()
    stored = hub.files()
    _require_ours(hub, stored, records)
    missing = [record for path, record in records.items() if _sha256(record) != stored.get(path)]
    with item_progress(shell, "archives", len(missing)) as done:
        for batch in _batches(missing):
            with _folder(shell) as folder:
                for record in batch:
                    _fetch(assembly.archives, record, folder / "data")
                    done()
                hub.upload(folder, f"Add images of {name}")
    with _folder(shell) as folder:
        _write_card(name, assembly, folder)
        hub.upload(folder, f"Describe {name}")
    table = plain_table("repository", "archives", "sent")
    add(table, hub.url, len(records), len(missing))
    document = {"version": VERSION, "dataset": name, "url": hub.url, "archives": len(records), "sent": len(missing)}
    shell.show(document, table)
    if lacking := len(known) - len(records):
        shell.say(
            f"chunks that were not uploaded because they are not completed: {lacking}; see `pixcore status {name}`"
        )
    sys.exit(PARTIAL if lacking else DONE)


def _require_ours(hub: "HubRepository", stored: Iterable[str], records: Mapping[str, ChunkRecord]) -> None:
    """Refuse a repository with images of something else, which loaders would mix with these."""
    if strange := [path for path in stored if path.startswith("data/") and path not in records]:
        raise InvalidRequest(
            f"{hub.url} holds {strange[0]}, which is not of this dataset; nothing was uploaded: choose another"
            " repository, or remove it there"
        )


def _batches(records: Iterable[ChunkRecord]) -> Iterator[list[ChunkRecord]]:
    batch: list[ChunkRecord] = []
    for record in records:
        batch.append(record)
        if len(batch) == _AT_ONCE or sum(each.result.bytes for each in batch if each.result) >= _BYTES:
            yield batch
            batch = []
    if batch:
        yield batch


@contextmanager
def _folder(shell: Shell) -> Generator[Path]:
    """Give the block an empty folder of this machine, which is removed at its end."""
    with workspace(Path(shell.settings.work), lambda _path, _error: None) as work:
        folder = work / "upload"
        with local_disk("preparing an upload"):
            (folder / "data").mkdir(parents=True)
        yield folder


def _fetch(archives: StoredArchives, record: ChunkRecord, folder: Path) -> None:
    with archives.fetch(record) as archive:
        if archive.sha256 != _sha256(record):
            raise InvalidRequest(
                f"{archives.key(record)} is not the archive that chunk {record.chunk.key} was recorded with;"
                " `pixcore verify` says what is wrong with it"
            )
        with local_disk("preparing an upload"):
            archive.path.rename(folder / _file(record))


def _write_card(dataset: str, assembly: Assembly, folder: Path) -> None:
    from pixcore_adapters.outputs.card import croissant, readme  # noqa: PLC0415 - Jinja2 is slow to import
    from pixcore_adapters.outputs.card.counts import count  # noqa: PLC0415 - likewise

    counts = count(dataset, assembly.status.newer(dataset, 0))  # as for the card in the store
    with local_disk("writing the card"):
        (folder / "README.md").write_bytes(readme.card(counts))
        (folder / "croissant.json").write_bytes(b"".join(croissant.render(counts)))


def _file(record: ChunkRecord) -> str:
    return PurePosixPath(record.result.url).name if record.result else ""


def _sha256(record: ChunkRecord) -> str:
    return record.result.sha256 if record.result else ""
