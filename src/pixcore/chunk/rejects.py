"""RejectedImages: small pictures of the images that a rule of the dataset drops and, if wanted, their bytes."""

import zipfile
from collections.abc import Iterable, Mapping
from pathlib import Path, PurePath
from typing import Any

from attrs import define, evolve, field

from pixcore.chunk.context import AttemptContext
from pixcore.chunk.publish import archive_at
from pixcore.chunk.restoring import earlier_previews, earlier_rejects
from pixcore.chunk.workspace import local_disk
from pixcore.errors import TransientError
from pixcore.model.archives import Archive
from pixcore.model.images import EQUAL_BYTES, Accepted, Rejected
from pixcore.model.originals import collected_sha256
from pixcore.model.rows import Row, stored_row

_MOST_BYTES = 16 << 20  # of the previews of a chunk: about 4,000 pictures
_EPOCH = (1980, 1, 1, 0, 0, 0)  # the earliest time that the format can hold: the same pictures give the same bytes


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
        if image and rejected.reason not in EQUAL_BYTES:
            self.preview(image)
            if self.context.request.quality.keep_rejected and image.sha256 not in self._kept:
                # The file is the collected one, not its converted copy, unless only the copy was restored.
                whole = image if image.download.original else evolve(image, stored=None)
                self._keep(self.context.row(0, whole), image.sha256, path)
                return
        with local_disk("removing a rejected image"):
            path.unlink(missing_ok=True)

    def take_over(self, images: frozenset[str]) -> None:
        """Take over what the last complete attempt stored of these images, each given by its sha256.

        The bytes only if the dataset keeps rejected images.

        Raises:
            StoreDenied, StoreUnavailable, WorkspaceFull, TransientError: It cannot be fetched now.
        """
        if not images:
            return
        self.add_previews(each for each in earlier_previews(self.context, self.folder) if each[0] in images)
        if self.context.request.quality.keep_rejected:
            for number, (values, data) in enumerate(earlier_rejects(self.context, self.folder)):
                path = self.folder / f"rejected-{number}"
                if collected_sha256(values) in images:
                    with local_disk("writing an image"):
                        path.write_bytes(data)
                    self.keep(values, path)

    def keep(self, values: Mapping[str, Any], path: Path) -> None:
        """Keep the stored file at ``path`` of an image with this row, which has all columns; once for each image."""
        if (sha256 := collected_sha256(values)) not in self._kept:
            self._keep(stored_row(values), sha256, path)

    def add_previews(self, pictures: Iterable[tuple[str, bytes]]) -> None:
        """Add previews that were made before, each with the sha256 of its image."""
        for sha256, picture in pictures:
            self._add(sha256, picture)

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

    def _keep(self, described: Row, sha256: str, path: Path) -> None:
        name = f"images/{len(self.images):06d}{PurePath(described.file_name).suffix}"
        self._kept.add(sha256)
        self.images.append((evolve(described, file_name=name), path))

    def preview(self, image: Accepted) -> None:
        """Make the preview of an image whose file is at its download's path, if there is room for it."""
        previewer = self.context.using.previewer
        if previewer is None or self._bytes >= _MOST_BYTES or self._has(image.sha256):
            return
        try:
            picture = previewer.preview(image.download.path)
        except TransientError:
            return  # a chunk does not fail for a preview
        if picture:
            self._add(image.sha256, picture)

    def _has(self, sha256: str) -> bool:
        return self._zip is not None and f"{sha256}.webp" in self._zip.NameToInfo

    def _add(self, sha256: str, picture: bytes) -> None:
        if self._has(sha256):
            return
        with local_disk("writing the previews"):
            self._zip = self._zip or zipfile.ZipFile(self.folder / "previews.zip", "w")
            member = zipfile.ZipInfo(f"{sha256}.webp", _EPOCH)
            member.create_system, member.external_attr = 3, 0o100644 << 16
            self._zip.writestr(member, picture)
        self._bytes += len(picture)
