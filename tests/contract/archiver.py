"""The contract of every archiver: the promises of ``pixcore.ports.archiver``."""

import hashlib
import os
import random
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pixcore.errors import Cancelled, InvalidRequest, TransientError, WorkspaceFull
from pixcore.model.archives import Archive
from pixcore.model.images import Accepted, Candidate, CandidateKey, Download, Provenance
from pixcore.model.quality import Fingerprint
from pixcore.model.requests import ChunkRequest, Slice
from pixcore.model.rows import Row, row
from pixcore.ports import Archiver
from pixcore.stored.check import check_contents

from .disk import no_file_above

Images = list[tuple[Row, Path]]

# image names from other people
texts = st.text(st.characters()) | st.sampled_from(
    ["🐈", '"quoted"\'', "two\nlines\r\n", "\0\x1b[31m", "\u2028", "\udce9"]
)
# each example overwrites the one before, and every subclass runs the same test on its own archiver
_PER_ARCHIVER = settings(
    deadline=None,  # a slow machine must not fail the test
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.differing_executors],
)


def picture(number: int, size: int = 300) -> bytes:
    """Return incompressible bytes, like a picture's. The same number gives the same bytes."""
    return random.Random(number).randbytes(size)  # noqa: S311 - no secret


def image(folder: Path, number: int, data: bytes, title: str = "") -> tuple[Row, Path]:
    """Write a picture into a folder and return it with its row."""
    path = folder / f"{number}"
    path.write_bytes(data)
    candidate = Candidate(CandidateKey("memory", "cat", number), f"memory:cat/{number}", Provenance(title=title))
    accepted = Accepted(
        Download(candidate, path, len(data), datetime(2020, 1, 1, tzinfo=UTC)),
        sha256=hashlib.sha256(data).hexdigest(),
        width=100,
        height=100,
        format="JPEG",
        fingerprint=Fingerprint(number, number, "test", flat=False),
    )
    return row(number, accepted, ChunkRequest(0, "cat", 500, (Slice("memory", "cat", 0, 999),), label=title)), path


class ArchiverContract:
    """The promises, one for each test. A subclass provides the archiver."""

    @pytest.fixture
    def archiver(self) -> Archiver:
        """Return the archiver."""
        raise NotImplementedError

    @pytest.fixture
    def images(self, tmp_path: Path) -> Images:
        """Return three pictures, one of them larger than a copy buffer."""
        folder = tmp_path / "images"
        folder.mkdir()
        return [image(folder, n, picture(n, size)) for n, size in enumerate((300, 200_000, 1))]

    @pytest.fixture
    def target(self, tmp_path: Path) -> Path:
        """Return the path of the archive to create."""
        return tmp_path / "archive"

    def test_the_archive_is_as_described(self, archiver: Archiver, images: Images, target: Path) -> None:
        """Size and sha256 of the description match the file; they are compared with the blob's."""
        archive = archiver.pack(images, target)
        data = target.read_bytes()
        assert archive == Archive(target, len(data), hashlib.sha256(data).hexdigest(), 3, archive.version)

    def test_packed_rows_and_files_come_back(self, archiver: Archiver, images: Images, target: Path) -> None:
        """Rows and files come back in order, byte for byte."""
        archiver.pack(images, target)
        contents = archiver.contents(target)
        assert list(contents.rows) == [described.values() for described, _ in images]
        assert list(contents.files) == [(described.file_name, path.read_bytes()) for described, path in images]

    def test_a_packed_archive_passes_the_check(self, archiver: Archiver, images: Images, target: Path) -> None:
        """A packed archive passes the check that users run on it."""
        archiver.pack(images, target)
        assert list(check_contents(archiver.contents(target))) == []

    def test_the_same_images_are_the_same_bytes(
        self, archiver: Archiver, images: Images, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The same images give the same bytes on another day and machine, so that a rerun recognises its own blob."""
        elsewhere = tmp_path / "elsewhere"
        elsewhere.mkdir()
        before = os.umask(0o077)
        try:
            copies = []
            for described, path in reversed(images):
                copy = elsewhere / f"other-{path.name}"
                copy.write_bytes(path.read_bytes())
                os.utime(copy, (1, 1))
                copies.append((described, copy))
            first = archiver.pack(images, tmp_path / "first")
            os.umask(0)
            monkeypatch.setattr(time, "localtime", lambda *_: time.gmtime(1_000_000_000))
            second = archiver.pack(iter(copies[::-1]), tmp_path / "second")
        finally:
            os.umask(before)
        assert first.path.read_bytes() == second.path.read_bytes()
        assert first.sha256 == second.sha256

    def test_other_images_are_other_bytes(self, archiver: Archiver, images: Images, tmp_path: Path) -> None:
        """The order of images changes the bytes: `images/000000` depends on it."""
        packed = [archiver.pack(some, tmp_path / "a").sha256 for some in (images, images[::-1], images[:2])]
        assert len(set(packed)) == 3

    def test_the_target_is_replaced(self, archiver: Archiver, images: Images, target: Path) -> None:
        """A second attempt at packing replaces the file that the first one left."""
        target.write_bytes(b"rubbish" * 100_000)
        archiver.pack(images, target)
        assert list(check_contents(archiver.contents(target))) == []

    def test_no_images_are_an_archive_too(self, archiver: Archiver, target: Path) -> None:
        """An archiver accepts an empty chunk; the check reports it."""
        assert archiver.pack([], target).images == 0
        contents = archiver.contents(target)
        assert (contents.rows, list(contents.files)) == ((), [])
        assert list(check_contents(archiver.contents(target))) == ["the archive holds no image"]

    @pytest.mark.parametrize("exists", [False, True], ids=["new", "over an older one"])
    @pytest.mark.parametrize("error", [Cancelled("stop"), KeyboardInterrupt(), RuntimeError("bug")])
    def test_nothing_is_left_when_the_images_end_in_an_error(
        self, archiver: Archiver, images: Images, target: Path, error: BaseException, *, exists: bool
    ) -> None:
        """An error while collecting leaves no partial archive, which could be uploaded as a complete one."""

        def failing() -> Iterator[tuple[Row, Path]]:
            yield images[1]
            raise error

        if exists:
            target.write_bytes(b"older")
        with pytest.raises(type(error)) as raised:
            archiver.pack(failing(), target)
        assert raised.value is error
        assert not target.exists()

    def test_each_image_is_drawn_when_the_one_before_is_written(
        self, archiver: Archiver, images: Images, target: Path
    ) -> None:
        """Each image is taken only after the one before is written, because later images are still being fetched."""

        def one_at_a_time() -> Iterator[tuple[Row, Path]]:
            for described, path in images:
                yield described, path
                path.unlink()

        archiver.pack(one_at_a_time(), target)
        assert list(check_contents(archiver.contents(target))) == []

    def test_nothing_is_left_when_an_image_is_gone(self, archiver: Archiver, images: Images, target: Path) -> None:
        """An image that vanishes from the work directory leaves no archive."""
        images[2][1].unlink()
        with pytest.raises(TransientError, match="No such file"):
            archiver.pack(images, target)
        assert not target.exists()

    def test_a_missing_work_directory_is_a_transient_error(
        self, archiver: Archiver, images: Images, tmp_path: Path
    ) -> None:
        """A missing work directory, as of a worker that lost its claim, raises a TransientError."""
        with pytest.raises(TransientError, match="No such file"):
            archiver.pack(images, tmp_path / "gone" / "archive")

    @pytest.mark.parametrize("room", [0, 100, 1000, 200_500])
    def test_a_full_disk_is_reported_and_leaves_nothing(
        self, archiver: Archiver, images: Images, target: Path, room: int
    ) -> None:
        """A full disk raises WorkspaceFull and leaves nothing, at the first picture, at a later one and at the end."""
        with no_file_above(room), pytest.raises(WorkspaceFull, match="free some room"):
            archiver.pack(images, target)
        assert not target.exists()

    @_PER_ARCHIVER
    @given(titles=st.lists(texts, min_size=1, max_size=3))
    def test_any_text_comes_back_unchanged(self, archiver: Archiver, tmp_path: Path, titles: Sequence[str]) -> None:
        """Any text in a row comes back unchanged: quotes, line breaks, emoji, control characters, lone surrogates."""
        images = [image(tmp_path, n, b"picture", title) for n, title in enumerate(titles)]
        archiver.pack(images, tmp_path / "archive")
        assert list(archiver.contents(tmp_path / "archive").rows) == [described.values() for described, _ in images]

    @_PER_ARCHIVER
    @given(cut=st.floats(0, 1, exclude_max=True))
    def test_a_truncated_archive_is_refused(self, archiver: Archiver, tmp_path: Path, cut: float) -> None:
        """A truncated archive is refused; it must not look like a smaller dataset."""
        packed = packed_bytes(archiver, tmp_path)
        (tmp_path / "archive").write_bytes(packed[: int(len(packed) * cut)])
        with pytest.raises(InvalidRequest, match="archive is not a complete"):
            list(archiver.contents(tmp_path / "archive").files)

    @_PER_ARCHIVER
    @given(place=st.floats(0, 1, exclude_max=True), flip=st.integers(1, 255))
    def test_a_flipped_byte_raises_no_foreign_exception(
        self, archiver: Archiver, tmp_path: Path, place: float, flip: int
    ) -> None:
        """A flipped byte is reported as InvalidRequest, so that `verify` can continue with the next archive."""
        packed = bytearray(packed_bytes(archiver, tmp_path))
        packed[int(len(packed) * place)] ^= flip
        (tmp_path / "archive").write_bytes(packed)
        with suppress(InvalidRequest):
            list(check_contents(archiver.contents(tmp_path / "archive")))

    @pytest.mark.parametrize("data", [b"", b"<html>404</html>", b"[]", b"5", b"\0" * 1000])
    def test_a_file_that_is_not_an_archive_is_refused(self, archiver: Archiver, target: Path, data: bytes) -> None:
        """A file that is not an archive, such as an HTML error page, is refused."""
        target.write_bytes(data)
        with pytest.raises(InvalidRequest, match="archive is not a complete"):
            list(archiver.contents(target).files)

    def test_a_missing_archive_is_refused(self, archiver: Archiver, target: Path) -> None:
        """A missing archive is refused with the operating system's reason."""
        with pytest.raises(InvalidRequest, match=r"archive is not a complete .+No such file"):
            archiver.contents(target)

    def test_it_has_a_suffix_and_a_content_type(self, archiver: Archiver) -> None:
        """The suffix ends the blob's key, and the content type is sent to browsers."""
        assert archiver.suffix.startswith(".")
        assert archiver.content_type.startswith("application/")


def packed_bytes(archiver: Archiver, folder: Path) -> bytes:
    """Return the bytes of a small archive."""
    images: Iterable[tuple[Row, Path]] = [image(folder, n, picture(n, 30)) for n in range(2)]
    return archiver.pack(images, folder / "whole").path.read_bytes()
