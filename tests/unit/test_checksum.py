"""A list may promise the checksum of each image; other bytes are rejected."""

import hashlib
from datetime import UTC, datetime
from pathlib import Path

import pytest

from pixcore.chunk.checksum import drop_changed
from pixcore.model.images import Accepted, Candidate, CandidateKey, Download, Rejected, RejectReason
from pixcore.model.quality import Fingerprint

DATA = b"an image"


def image(path: Path, checksum: str) -> Accepted:
    """Return an accepted image whose bytes are ``DATA``."""
    path.write_bytes(DATA)
    candidate = Candidate(CandidateKey("urls", "/list.csv", 0), "https://a.example/1.jpg", checksum=checksum)
    download = Download(candidate, path, len(DATA), datetime(2026, 1, 1, tzinfo=UTC))
    return Accepted(download, hashlib.sha256(DATA).hexdigest(), 8, 8, "JPEG", Fingerprint(0, 0, "phash", flat=False))


@pytest.mark.parametrize(
    "checksum",
    ["", f"sha256:{hashlib.sha256(DATA).hexdigest()}", f"md5:{hashlib.md5(DATA, usedforsecurity=False).hexdigest()}"],
)
def test_an_image_with_its_checksum_stays(tmp_path: Path, checksum: str) -> None:
    """An image stays if its checksum is right or if none is known."""
    accepted = image(tmp_path / "1", checksum)
    assert list(drop_changed([accepted])) == [accepted]


@pytest.mark.parametrize("checksum", [f"sha256:{'0' * 64}", f"md5:{'0' * 32}"])
def test_other_bytes_are_rejected(tmp_path: Path, checksum: str) -> None:
    """The rejection names both checksums; an image that was rejected before keeps its reason."""
    accepted = image(tmp_path / "1", checksum)
    (rejected,) = drop_changed([accepted])
    assert isinstance(rejected, Rejected)
    assert rejected.reason == RejectReason.HASH == "hash_mismatch"
    assert checksum in rejected.detail
    assert list(drop_changed([rejected])) == [rejected]
