"""An archive on the local disk, and a blob in a blob store."""

from collections.abc import Mapping
from pathlib import Path

from attrs import frozen


@frozen
class Archive:
    """A packed chunk on the local disk: a file, its size in bytes, its sha256 in hex and its number of images.

    ``version`` is that of the format: from 2 on, loaders have no type to infer in it and no file name to guess.
    """

    path: Path
    size: int
    sha256: str
    images: int
    version: int = 1


@frozen
class Blob:
    """An object in a blob store. ``etag`` names this version of it. ``url`` never has a query string."""

    key: str
    url: str
    size: int
    sha256: str
    etag: str
    content_type: str
    metadata: Mapping[str, str]


@frozen
class StoredBlob:
    """A blob that a chunk stores beside its archive: its size in bytes and its sha256 in hex."""

    size: int
    sha256: str
