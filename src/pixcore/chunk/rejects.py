"""RejectedImages: small pictures of the images that a rule of the dataset drops and, if wanted, their bytes."""

import zipfile
from pathlib import Path

from attrs import define, evolve, field

from pixcore.chunk.context import AttemptContext
from pixcore.chunk.publish import archive_at
from pixcore.chunk.workspace import local_disk
from pixcore.errors import TransientError
from pixcore.model.archives import Archive
from pixcore.model.images import Accepted, Rejected, RejectReason
from pixcore.model.rows import Row, row

_MOST_BYTES = 16 << 20  # of the previews of a chunk: about 4,000 pictures
_EPOCH = (1980, 1, 1, 0, 0, 0)  # the earliest time that the format can hold: the same pictures give the same bytes

# The archive holds an image of the same bytes.
_EQUAL = frozenset({RejectReason.DUPLICATE, RejectReason.SEEN})


@define(eq=False)
class RejectedImages:
    """Keeps a preview of each sound image that is rejected, and deletes its file unless the dataset keeps it.

    Images with the same bytes as a kept one are not among them. All previews of a chunk have at most 16 MiB; images
    that are rejected later have none.

    Attributes:
        context: The attempt.
        folder: The work directory.
        images: The images whose files are kept, with rows like those of the archive.
    """

    context: AttemptContext
    folder: Path
    images: list[tuple[Row, Path]] = field(init=False, factory=list[tuple[Row, Path]])
    _kept: set[str] = field(init=False, factory=set[str])
    _zip: zipfile.ZipFile | None = field(init=False, default=None)
    _bytes: int = field(init=False, default=0)

    def add(self, rejected: Rejected) -> None:
        """Take over the file of a rejected download.

        Raises:
            WorkspaceFull, TransientError: As ``local_disk`` raises them.
        """
        image, path = rejected.image, rejected.download.path
        if image and rejected.reason not in _EQUAL:
            self._preview(image)
            if self.context.request.quality.keep_rejected and image.sha256 not in self._kept:
                self._kept.add(image.sha256)
                whole = evolve(image, stored=None)  # the file is the collected one, not its converted copy
                self.images.append((row(len(self.images), whole, self.context.request), path))
                return
        with local_disk("removing a rejected image"):
            path.unlink(missing_ok=True)

    def previews(self) -> Archive | None:
        """Return the zip file of all previews, each named by its image's sha256; None if there are none."""
        if self._zip is None:
            return None
        count = len(self._zip.namelist())
        self.close()
        return archive_at(self.folder / "previews.zip", count)

    def close(self) -> None:
        """Close the file. Idempotent."""
        if self._zip:
            with local_disk("writing the previews"):
                self._zip.close()

    def _preview(self, image: Accepted) -> None:
        previewer, name = self.context.using.previewer, f"{image.sha256}.webp"
        if previewer is None or self._bytes >= _MOST_BYTES or (self._zip and name in self._zip.NameToInfo):
            return
        try:
            picture = previewer.preview(image.download.path)
        except TransientError:
            return  # a chunk does not fail for a preview
        if not picture:
            return
        with local_disk("writing the previews"):
            self._zip = self._zip or zipfile.ZipFile(self.folder / "previews.zip", "w")
            member = zipfile.ZipInfo(name, _EPOCH)
            member.create_system, member.external_attr = 3, 0o100644 << 16
            self._zip.writestr(member, picture)
        self._bytes += len(picture)
