"""A packed chunk, on the local disk and in a blob store."""

from collections.abc import Mapping
from pathlib import Path

from attrs import frozen


@frozen
class Archive:
    """A packed chunk on the local disk: ``images`` images in ``size`` bytes with that ``sha256`` at ``path``."""

    path: Path
    size: int
    sha256: str
    images: int


@frozen
class Blob:
    """An object in a blob store. ``etag`` names this version of it; ``url`` never carries a query string."""

    key: str
    url: str
    size: int
    sha256: str
    etag: str
    content_type: str
    metadata: Mapping[str, str]
