"""Join the open tables of iNaturalist into a list of photos, in bounded memory.

The tables are tab-separated, gzipped or not: ``taxa``, ``observations``, ``observers`` and ``photos``, as
https://github.com/inaturalist/inaturalist-open-data documents them. SQLite joins them in a temporary file, so that the
memory needed does not grow with the tables: only the rows of the taxon are kept, on disk.
"""

import csv
import gzip
import json
import sqlite3
import tempfile
import zlib
from collections import Counter
from collections.abc import Collection, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import IO

from attrs import field, frozen

from pixcore.chunk.workspace import local_disk
from pixcore.errors import InvalidRequest, MachineUnfit, WorkspaceFull, one_line
from pixcore_adapters.downloader import licences
from pixcore_adapters.downloader.lists.files import ListFile

TABLES = {
    "taxa": ("taxon_id", "ancestry", "rank_level", "rank", "name", "active"),
    "observations": ("observation_uuid", "taxon_id", "quality_grade", "observed_on"),
    "observers": ("observer_id", "login", "name"),
    "photos": ("photo_id", "observation_uuid", "observer_id", "extension", "license"),
}
"""The tables in the order in which they are read, each with the columns that are needed."""

GRADES = ("research", "needs_id", "casual", "any")
SIZES = ("original", "large", "medium", "small")  # at most 2048, 1024, 500 and 240 pixels

_BUCKET = "https://inaturalist-open-data.s3.amazonaws.com/photos"
_OBSERVATIONS = "https://www.inaturalist.org/observations"
_SPECIES = 10.0  # rank_level; that of genera is 20, that of subspecies 5
_GZIP = b"\x1f\x8b"
_DIGITS = 18  # of a number that SQLite can hold
_CACHE = 64 << 10  # KiB that SQLite may keep in memory
_KEPT = ("title", "label", "photo_id", "taxon_id", "taxon_rank", "quality_grade", "observed_on")
_SCHEMA = f"""
    PRAGMA journal_mode = OFF;
    PRAGMA synchronous = OFF;
    PRAGMA temp_store = FILE;
    PRAGMA cache_size = -{_CACHE};
    CREATE TABLE taxa (id INTEGER PRIMARY KEY, ancestry TEXT, level REAL, rank TEXT, name TEXT, active INTEGER);
    CREATE TABLE wanted (taxon INTEGER PRIMARY KEY, name TEXT, rank TEXT, species TEXT);
    CREATE TABLE observations (uuid TEXT PRIMARY KEY, taxon INTEGER, grade TEXT, day TEXT) WITHOUT ROWID;
    CREATE TABLE observers (id INTEGER PRIMARY KEY, name TEXT);
    CREATE TABLE photos (
        id INTEGER PRIMARY KEY, observation TEXT, observer INTEGER, extension TEXT, license TEXT, again INTEGER
    );
    BEGIN;
"""
_JOINED = """
    SELECT photos.id AS photo_id, extension, license, observation, observers.name AS creator, wanted.name AS title,
        species AS label, taxon AS taxon_id, rank AS taxon_rank, grade AS quality_grade, day AS observed_on, again
    FROM photos JOIN observations ON observations.uuid = photos.observation JOIN wanted USING (taxon)
        LEFT JOIN observers ON observers.id = photos.observer
    ORDER BY photos.id
"""
# how rows give a licence, by its slug; the versions are those that iNaturalist itself names
_VERSIONS = {"cc0": "1.0"} | dict.fromkeys(("by", "by-sa", "by-nd", "by-nc", "by-nc-sa", "by-nc-nd"), "4.0")


@frozen
class Wanted:
    """Which photos are listed.

    Attributes:
        taxon: The scientific name of a taxon, in any case of letters, or its number. ``""`` for all of life.
        grade: One of ``GRADES``: the quality of the observations. iNaturalist calls an observation ``research`` if it
            has a date and a place, and people agree about its species.
        licenses: Slugs; none means every licence.
        size: One of ``SIZES``.
    """

    taxon: str = ""
    grade: str = "research"
    licenses: Collection[str] = ()
    size: str = "original"


@frozen
class Joined:
    """What was written.

    Attributes:
        photos: The photos in the list.
        species: The species that they show.
        left_out: How many rows were left out, by the reason.
    """

    photos: int
    species: int
    left_out: Mapping[str, int]


@frozen
class _Join:
    database: sqlite3.Connection
    wanted: Wanted
    left_out: Counter[str] = field(factory=Counter[str])

    def read(self, name: str, path: Path, shown: str) -> None:
        """Read one table; those before it in ``TABLES`` must have been read."""
        with _rows(path, shown, TABLES[name], self.left_out) as rows:
            getattr(self, f"_{name}")(rows)

    def _taxa(self, rows: Iterator[Sequence[str]]) -> None:
        self.database.executemany(
            "INSERT OR IGNORE INTO taxa VALUES (?, ?, ?, ?, ?, ?)",
            ((*row[:5], row[5].lower() in {"t", "true"}) for row in self._numbered(rows)),
        )
        number, path = self._chosen()
        ancestors = dict[str, str]()
        self.database.executemany(
            "INSERT INTO wanted VALUES (?, ?, ?, ?)",
            (
                (taxon, name, rank, name if level == _SPECIES else self._species(ancestry, ancestors))
                # "0" is the character after "/"
                for taxon, ancestry, level, rank, name in self.database.execute(
                    "SELECT id, ancestry, level, rank, name FROM taxa WHERE :path = '' OR id = :number"
                    " OR ancestry = :path OR (ancestry > :path || '/' AND ancestry < :path || '0')",
                    {"number": number, "path": path},
                )
            ),
        )

    def _chosen(self) -> tuple[int, str]:
        """Return the number of the wanted taxon and the path from the root to it; 0 and ``""`` for all of life."""
        text = self.wanted.taxon.strip()
        if not text:
            return 0, ""
        column = "CAST(id AS TEXT) = ?" if text.isdecimal() else "name = ? COLLATE NOCASE"
        found = self.database.execute(
            f"SELECT id, ancestry, rank, name, active FROM taxa WHERE {column} ORDER BY id",  # noqa: S608 - of constants
            (text,),
        ).fetchall()
        if not found:
            raise InvalidRequest(f"the table of taxa has no taxon {text!r}; write its scientific name or its number")
        found = [taxon for taxon in found if taxon[4]] or found
        if len(found) > 1:
            named = ", ".join(f"{number} ({rank})" for number, _, rank, _, _ in found)
            raise InvalidRequest(f"several taxa are called {found[0][3]}; write the number of one of them: {named}")
        number, ancestry, *_ = found[0]
        return number, f"{ancestry}/{number}" if ancestry else str(number)

    def _species(self, ancestry: str, known: dict[str, str]) -> str:
        """Return the name of the species among a taxon's ancestors; ``""`` for a taxon above species."""
        parent = ancestry.rpartition("/")[2]
        for number in [parent] if parent in known else reversed(ancestry.split("/")):
            if number not in known:
                row = self.database.execute("SELECT name, level FROM taxa WHERE id = ?", (number,)).fetchone()
                known[number] = row[0] if row and row[1] == _SPECIES else ""
            if known[number]:
                return known[number]
        return ""

    def _observations(self, rows: Iterator[Sequence[str]]) -> None:
        self.database.executemany(
            "INSERT OR IGNORE INTO observations SELECT ?, taxon, ?, ? FROM wanted WHERE taxon = ?",
            ((uuid, grade, day, taxon) for uuid, taxon, grade, day in rows),
        )

    def _observers(self, rows: Iterator[Sequence[str]]) -> None:
        self.database.executemany(
            "INSERT OR IGNORE INTO observers VALUES (?, ?)",
            ((number, name or login) for number, login, name in self._numbered(rows)),
        )

    def _photos(self, rows: Iterator[Sequence[str]]) -> None:
        self.database.executemany(
            "INSERT INTO photos SELECT ?, uuid, ?, ?, ?, 0 FROM observations WHERE uuid = ?"
            " ON CONFLICT DO UPDATE SET again = again + 1",
            ((photo, *others, uuid) for photo, uuid, *others in self._numbered(rows)),
        )

    def _numbered(self, rows: Iterator[Sequence[str]]) -> Iterator[Sequence[str]]:
        """Yield the rows whose first column is a number. Count the others."""
        for row in rows:
            if row[0].isdecimal() and len(row[0]) <= _DIGITS:
                yield row
            else:
                self.left_out["rows without a number"] += 1

    def write(self, into: IO[bytes]) -> Joined:
        """Write the photos as gzipped JSON lines, by rising number."""
        count, species = 0, set[str]()
        rows = self.database.cursor()
        rows.row_factory = sqlite3.Row
        with gzip.GzipFile(fileobj=into, mode="wb", compresslevel=6, mtime=0, filename="") as packed:
            for row in rows.execute(_JOINED):
                if row["again"]:
                    self.left_out["rows of photos that several observations have"] += row["again"]
                if reason := self._fault(row):
                    self.left_out[reason] += 1
                    continue
                packed.write(json.dumps(self._entry(row)).encode() + b"\n")
                count += 1
                species.add(row["label"])
        return Joined(count, len(species), dict(self.left_out))

    def _fault(self, photo: sqlite3.Row) -> str:
        """Return why a photo is left out, or ``""``."""
        if not photo["label"]:
            return "photos of no certain species"
        if self.wanted.grade not in {"any", photo["quality_grade"]}:
            return "photos of another quality"
        licence = licences.slug(photo["license"])
        if licence not in _VERSIONS:
            return "photos without a known licence"
        return "photos under another licence" if self.wanted.licenses and licence not in self.wanted.licenses else ""

    def _entry(self, photo: sqlite3.Row) -> Mapping[str, object]:
        licence = licences.slug(photo["license"])
        return {
            "url": f"{_BUCKET}/{photo['photo_id']}/{self.wanted.size}.{photo['extension']}",
            "page_url": f"{_OBSERVATIONS}/{photo['observation']}",
            "creator": photo["creator"] or "",
            "license": licences.name(licence, _VERSIONS[licence]),
            "license_url": licences.url(licence, _VERSIONS[licence]),
            **{column: photo[column] for column in _KEPT},
        }


def join(tables: Mapping[str, ListFile], wanted: Wanted, into: IO[bytes]) -> Joined:
    """Write the wanted photos as gzipped JSON lines: URL, provenance, and the species as label.

    ``tables`` are those of ``TABLES``, by name; one is open at a time. A photo that shows no certain species is left
    out. The needed memory does not grow with the tables. The rows of the taxon need room in the folder for temporary
    files.

    Raises:
        InvalidRequest: A table cannot be read or lacks a column, or the taxon is unknown or ambiguous.
        WorkspaceFull, MachineUnfit: The temporary database cannot be written.
        OSError: ``into`` cannot be written.
    """
    with tempfile.TemporaryDirectory() as folder:
        try:
            with closing(sqlite3.connect(Path(folder, "join.db"), isolation_level=None)) as database:
                database.executescript(_SCHEMA)
                made = _Join(database, wanted)
                for name in TABLES:
                    with local_disk("joining the tables", temporary=True), tables[name].opened() as path:
                        made.read(name, path, tables[name].name)
                return made.write(into)
        except sqlite3.OperationalError as exc:
            if exc.sqlite_errorcode == sqlite3.SQLITE_FULL:
                raise WorkspaceFull(
                    f"joining the tables: the disk is full; free some room in {tempfile.gettempdir()}, or set TMPDIR to"
                    " a folder on a larger disk"
                ) from exc
            raise MachineUnfit(f"joining the tables: {one_line(exc)}; check {tempfile.gettempdir()}") from exc


@contextmanager
def _rows(path: Path, shown: str, columns: Sequence[str], left_out: Counter[str]) -> Generator[Iterator[Sequence[str]]]:
    """Give the block the rows of a table, each with the values of ``columns``. Count the rows that lack one."""
    try:
        with path.open("rb") as raw:
            packed = raw.read(2) == _GZIP
        opened = gzip.open if packed else open
        with opened(path, "rt", encoding="utf-8", errors="replace", newline="") as text:
            reader = csv.reader(text, delimiter="\t", quoting=csv.QUOTE_NONE)
            header = next(reader, [])
            if missing := [column for column in columns if column not in header]:
                raise InvalidRequest(
                    f"the table {shown} has no column {missing[0]!r}; its first line must name the columns of"
                    " iNaturalist's open data, separated by tabs"
                )
            places = [header.index(column) for column in columns]
            yield _picked(reader, places, len(header), left_out)
    except (OSError, EOFError, zlib.error, csv.Error) as exc:
        raise InvalidRequest(f"the table {shown} cannot be read: {one_line(exc)}") from exc


def _picked(
    rows: Iterable[Sequence[str]], places: Sequence[int], width: int, left_out: Counter[str]
) -> Iterator[Sequence[str]]:
    for row in rows:
        if len(row) == width:
            yield [row[place] for place in places]
        else:
            left_out["rows with another number of columns"] += 1
