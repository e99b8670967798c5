"""What the commands for decisions share: their arguments, the images that these name, and how to record."""

import csv
import getpass
import hashlib
import sys
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from io import TextIOWrapper
from pathlib import Path
from typing import TextIO

import rich_click as click
from attrs import frozen

from pixcore import Decision, InvalidRequest
from pixcore.model.requests import dataset_name
from pixcore.stored.named_images import NamedImage, named_images
from pixcore_runners.assembly.assembly import Assembly, assemble
from pixcore_runners.cli.document import VERSION
from pixcore_runners.cli.shell import Shell, with_options
from pixcore_runners.cli.tables import add, plain_table
from pixcore_runners.planning.dataset_plan import dataset_records

_NAMED = 5  # names in one message
_COLUMNS = ("sha256", "url")  # of a CSV file that names images

# The command receives `names`, `listed`, `reason` and `by`.
decision_options = with_options(
    click.argument("names", nargs=-1, metavar="[SHA256 | URL | PATH]..."),
    click.option(
        "--from",
        "listed",
        metavar="FILE",
        help="Read further ones from FILE: one a line, or CSV with a column sha256 or url. `-` is standard input.",
    ),
    click.option("--reason", default="", metavar="TEXT", help="Why. It is stored with the decision."),
    click.option("--by", default="", metavar="NAME", help="Who decides. Default: your login name."),
)


@frozen
class NamedImages:
    """The images of a dataset that a command names, and what every decision about them has in common.

    ``found`` has the candidates of each image by its sha256. An image may be that of several candidates.
    """

    assembly: Assembly
    dataset: str
    found: Mapping[str, Sequence[NamedImage]]
    by: str
    at: datetime


def find(shell: Shell, dataset: str, names: Sequence[str], listed: str | None, by: str) -> NamedImages:
    """Find the images that the arguments name. A path may also be any file on this machine with the same bytes.

    Raises:
        InvalidRequest: There is no such dataset or file, nothing is named, or a name means no image or, as the
            beginning of a sha256, several.
        PixcoreError: As the stores raise it.
    """
    name, assembly = dataset_name(dataset), assemble(shell.settings)
    records = dataset_records(name, assembly.status)
    assembly.require_dataset(name)
    wanted = dict.fromkeys([*names, *(_listed(listed) if listed else ())])
    if not wanted:
        raise InvalidRequest("no image is named; name some by sha256, URL or path, or in a file with --from")
    found = dict(named_images(wanted, records, assembly.archives))
    files = {each: _digest(Path(each)) for each, images in found.items() if not images and Path(each).is_file()}
    same_bytes = named_images(files.values(), records, assembly.archives)
    found |= {each: same_bytes[digest] for each, digest in files.items()}
    _require_all(found, name)
    by_sha256: dict[str, list[NamedImage]] = {}
    for image in (image for images in found.values() for image in images if image.sha256):
        by_sha256.setdefault(image.sha256, []).append(image)
    return NamedImages(assembly, name, by_sha256, by or login(), assembly.decisions.now())


def record(shell: Shell, assembly: Assembly, dataset: str, decisions: Sequence[Decision]) -> None:
    """Record decisions about a dataset, and show how many changed something and how they come into effect.

    Raises:
        StatusUnavailable: As the port raises it.
    """
    changed = assembly.decisions.record(decisions)
    document = {"recorded": changed, "unchanged": len(decisions) - changed}
    table = plain_table("dataset", *document)
    add(table, dataset, *document.values())
    shell.show({"version": VERSION, "dataset": dataset, **document}, table)
    if changed:
        shell.say(f"later runs follow these decisions; `pixcore apply {dataset}` rebuilds the archives that exist")


@contextmanager
def opened_text(path: str) -> Generator[TextIO]:
    """Open a text file in UTF-8, or standard input for ``-``.

    Raises:
        InvalidRequest: The file cannot be opened.
    """
    if path == "-":
        text = TextIOWrapper(sys.stdin.buffer, encoding="utf-8-sig", newline="")
        yield text
        text.detach()  # else its end would close standard input
        return
    try:
        with Path(path).open(encoding="utf-8-sig", newline="") as file:
            yield file
    except OSError as exc:
        raise InvalidRequest(f"{path} cannot be read ({exc.strerror}); name a file that exists, or -") from exc


def login() -> str:
    """Return the login name of who runs the command.

    Raises:
        InvalidRequest: This machine has none.
    """
    try:
        return getpass.getuser()
    except (KeyError, OSError) as exc:
        raise InvalidRequest("this machine has no login name for you; say who decides with --by") from exc


def _listed(path: str) -> list[str]:
    """Read the names in a file: one a line, or the values of one column of a CSV."""
    with opened_text(path) as file:
        try:
            lines = [line for line in file if line.strip()]
            header = next(csv.reader(lines[:1]), [])
            if any(column in header for column in _COLUMNS):
                return list(_of_table(csv.DictReader(lines), path))
        except (csv.Error, UnicodeDecodeError) as exc:
            raise InvalidRequest(f"{path} cannot be read ({exc}); write it in UTF-8, one sha256 or URL a line") from exc
    if len(header) > 1 and path.casefold().endswith(".csv"):
        raise InvalidRequest(f"{path} has the columns {', '.join(header)}; one of sha256 and url must be there")
    return [line.strip() for line in lines]


def _of_table(rows: Iterable[Mapping[str, str | None]], path: str) -> Iterator[str]:
    for number, row in enumerate(rows, 1):
        name = next(filter(None, (row.get(column) for column in _COLUMNS)), None)
        if name is None:
            raise InvalidRequest(f"row {number} of {path} has neither a sha256 nor a url")
        yield name


def _require_all(found: Mapping[str, Sequence[NamedImage]], dataset: str) -> None:
    """Refuse names that mean no image, or that are the beginning of several sha256.

    Raises:
        InvalidRequest: There are some; nothing was recorded.
    """
    unknown = [name for name, images in found.items() if not images]
    if unknown:
        more = f" and {len(unknown) - _NAMED} more" if len(unknown) > _NAMED else ""
        raise InvalidRequest(
            f"no chunk of dataset {dataset!r} tried {', '.join(unknown[:_NAMED])}{more}; nothing was recorded; see"
            f" `pixcore outcomes {dataset}`"
        )
    for name, images in found.items():
        sums = {image.sha256 for image in images} - {""}
        if not sums:
            raise InvalidRequest(
                f"the outcome of {name} is {images[0].outcome}, so there is no image to decide about; nothing was"
                " recorded"
            )
        if len(sums) > 1 and all(each.startswith(name) for each in sums):
            raise InvalidRequest(
                f"{len(sums)} images have a sha256 that begins with {name}; write more digits; nothing was recorded"
            )


def _digest(file: Path) -> str:
    try:
        with file.open("rb") as opened:
            return hashlib.file_digest(opened, "sha256").hexdigest()
    except OSError as exc:
        raise InvalidRequest(f"{file} cannot be read ({exc.strerror})") from exc
