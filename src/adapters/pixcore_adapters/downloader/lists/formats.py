"""Find the format of a list by option, by its first bytes, or by its name."""

from pathlib import Path

from pixcore.errors import InvalidRequest
from pixcore_adapters.downloader.lists.options import ListOptions

EXTENSIONS = {
    ".txt": "txt",
    ".csv": "csv",
    ".tsv": "tsv",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".json": "json",
    ".parquet": "parquet",
}
PARQUET = b"PAR1"


def by_name(name: str) -> str:
    """Return the format that belongs to the extension of a file's name, or ``""``."""
    return EXTENSIONS.get(Path(name.lower().removesuffix(".gz")).suffix, "")


def expected(name: str, options: ListOptions) -> str:
    """Return the format of the options or, without one, of the file's name.

    Raises:
        InvalidRequest: Neither has a format.
    """
    if form := options.format or by_name(name):
        return form
    raise InvalidRequest(
        f"{name!r} is not a list; name a file that ends in {', '.join(EXTENSIONS)}, each also with .gz, or name its"
        " format with --list-format"
    )


def actual(path: Path, name: str, options: ListOptions) -> str:
    """Return the format of a file: Parquet is recognised by its first bytes, whatever its name.

    Raises:
        InvalidRequest: As for ``expected``.
        OSError: The file cannot be read.
    """
    form = expected(name, options)
    if form == "parquet" or options.format:
        return form
    with path.open("rb") as file:
        return "parquet" if file.read(len(PARQUET)) == PARQUET else form
