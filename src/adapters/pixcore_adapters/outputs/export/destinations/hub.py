"""An export as a dataset repository of the Hugging Face Hub."""

from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from attrs import frozen

from pixcore.chunk.workspace import local_disk, workspace
from pixcore.errors import InvalidRequest, StoreNotFound
from pixcore_adapters.outputs.export.destinations.folder import InFolder
from pixcore_adapters.outputs.hub import HubRepository

_CARD = "README.md"
_OF_THE_HUB = ".gitattributes"  # is in each new repository


@frozen
class Repository:
    """A ``Destination``: a repository, which is created as a private one if it does not exist.

    The whole export is written below ``work`` first, because a commit of the Hub has many files. It is sent in as many
    commits as the client chooses, the card last. If that is interrupted, the next export sends what is missing.
    """

    repository: HubRepository
    work: Path

    def __str__(self) -> str:
        return self.repository.url

    @property
    def remains(self) -> str:
        """See ``Destination``."""
        return self.repository.url

    def check(self) -> None:
        """See ``Destination``."""
        try:
            files = self.repository.files()
        except StoreNotFound:  # it will be created
            return
        if _CARD in files:
            raise InvalidRequest(f"{self} holds a dataset already; nothing was written: choose another repository")

    @contextmanager
    def writing(self) -> Generator[InFolder]:
        """See ``Destination``."""
        self.check()
        with workspace(self.work, lambda _path, _error: None) as spool:
            export, last = spool / "export", spool / "last"
            with local_disk("writing the export"):
                export.mkdir()
                last.mkdir()
                yield InFolder(export)
                (export / _CARD).rename(last / _CARD)
            self.repository.create()
            if strange := [name for name in self.repository.files() if not _known(export, name)]:
                raise InvalidRequest(
                    f"{self} holds {strange[0]}, which is not of this export; nothing was sent: choose another"
                    " repository, or remove it there"
                )
            self.repository.upload(export, "Add the files of the export")
            self.repository.upload(last, "Describe the dataset")


def _known(export: Path, name: str) -> bool:
    return name == _OF_THE_HUB or (export / name).is_file()
