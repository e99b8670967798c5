"""Outcomes: what became of each candidate of a chunk, one JSON object a line.

A line has only the keys that apply: an absent value has no key, and no value is null or ``""``. Values are strings and
whole numbers. The keys come in the order of ``KEYS``, then those of the list's columns. ``twin`` and ``twin_url`` name
the image that the chunk keeps instead, and ``detail`` says what decided. ``label`` is one that was decided by hand.
"""

import json
from collections.abc import Iterable, Iterator, Mapping

from attrs import field, fields, frozen

from pixcore.model.images import Accepted, Candidate, Download, Miss, Rejected, Transfer
from pixcore.model.measures import Measures

# The outcomes of candidates that were neither rejected nor missed.
ACCEPTED = "accepted"
NOT_TRIED = "not_tried"

# The ends of the keys of the blobs about a chunk's candidates; see ``ChunkKey.outcomes_key``. The suffix of the
# archiver follows the last one.
OUTCOMES = ".jsonl.gz"
PREVIEWS = ".previews.zip"
REJECTED = ".rejected"

_MEASURES = tuple(measure.name for measure in fields(Measures))

KEYS = (
    *("source", "query", "position", "url", "final_url", "outcome", "detail", "http_status", "tries", "bytes"),
    *("sha256", "stored_sha256", "width", "height", "phash", "dhash", *_MEASURES, "flags", "twin", "twin_url"),
    "label",
)
NUMBERS = frozenset({"position", "http_status", "tries", "bytes", "width", "height", *_MEASURES})

Line = dict[str, str | int]

_DECIDED = frozenset({"outcome", "detail", "twin", "twin_url", "stored_sha256"})


def listed_keys(columns: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Map each column of a chunk's lists to its key: its own name, or ``list_NAME`` if that is one of ``KEYS``."""
    keys: dict[str, str] = {}
    for column, _ in columns:
        key = column
        while key in KEYS or key in keys.values():
            key = f"list_{key}"
        keys[column] = key
    return keys


@frozen
class OutcomeLines:
    """Describes the candidates of one chunk. ``columns`` are those of its lists, as in ``ChunkRequest.columns``."""

    columns: tuple[tuple[str, str], ...] = ()
    _keys: Mapping[str, str] = field(init=False)

    def __attrs_post_init__(self) -> None:
        object.__setattr__(self, "_keys", listed_keys(self.columns))

    def missed(self, miss: Miss) -> Line:
        """Describe a candidate whose bytes could not be obtained."""
        return self._line(miss.candidate, miss.reason, miss.detail, miss.transfer)

    def accepted(self, image: Accepted, label: str = "") -> Line:
        """Describe an image that is kept. ``label`` is the one that was decided by hand, if any."""
        return self._downloaded(image.download, ACCEPTED, "", image, label)

    def rejected(self, reject: Rejected) -> Line:
        """Describe a download that is not kept."""
        line = self._downloaded(reject.download, reject.reason, reject.detail, reject.image)
        if reject.twin:
            line["twin"], line["twin_url"] = reject.twin.sha256, reject.twin.download.candidate.url
        return line

    def untried(self, candidate: Candidate, outcome: str = NOT_TRIED) -> Line:
        """Describe a candidate that this attempt did not try; ``outcome`` is that of an earlier attempt, if any."""
        return self._line(candidate, outcome, "", None)

    def _downloaded(
        self, download: Download, outcome: str, detail: str, image: Accepted | None, label: str = ""
    ) -> Line:
        line = self._line(download.candidate, outcome, detail, download.transfer)
        listed = {key: line.pop(key) for key in self._keys.values() if key in line}
        line["bytes"] = download.size
        if image:
            _describe(image, line)
        if label:
            line["label"] = label
        return line | listed

    def _line(self, candidate: Candidate, outcome: str, detail: str, by: Transfer | None) -> Line:
        key = candidate.key
        line: Line = {"source": key.source, "query": key.query, "position": key.position}
        if candidate.url:
            line["url"] = candidate.url
        if by and by.final_url:
            line["final_url"] = by.final_url
        line["outcome"] = str(outcome)
        if detail:
            line["detail"] = detail
        if by and by.http_status:
            line["http_status"] = by.http_status
        if by:
            line["tries"] = by.tries
        line.update(self._listed(candidate))
        return line

    def _listed(self, candidate: Candidate) -> Iterator[tuple[str, str | int]]:
        """Yield the columns of the list that the candidate has a value for."""
        for column, kind in self.columns:
            value = candidate.listed.get(column, "")
            if value != "":
                yield self._keys[column], value if kind == "integer" else str(value)


def _describe(image: Accepted, line: Line) -> None:
    prints, measures = image.fingerprint, image.measures
    line["sha256"] = image.sha256
    if image.stored and line["outcome"] == ACCEPTED:
        line["stored_sha256"] = image.stored.sha256
    line["width"], line["height"] = image.width, image.height
    line["phash"], line["dhash"] = f"{prints.phash:016x}", f"{prints.dhash:016x}"
    if measures:
        for name in _MEASURES:
            line[name] = getattr(measures, name)
        if flags := measures.flags:
            line["flags"] = ",".join(flags)


def revised(line: Line, decided: Line) -> Line:
    """Return a line with another decision, and its keys in the order of ``KEYS``, then those of the list."""
    values = {key: value for key, value in line.items() if key not in _DECIDED} | decided
    return {key: values[key] for key in (*KEYS, *values) if key in values}


def transfer(line: Mapping[str, object]) -> Transfer | None:
    """Return how the candidate of a line was fetched; None if it was not fetched over the network."""
    tries, status = line.get("tries"), line.get("http_status", 0)
    if not (isinstance(tries, int) and isinstance(status, int)):
        return None
    return Transfer(str(line.get("final_url", "")), status, tries)


def to_bytes(line: Line) -> bytes:
    r"""Write a line as JSON in UTF-8, with its line end. The same line gives the same bytes.

    A lone surrogate, as in a file name that is not UTF-8, is written as ``\\udcff``.
    """
    try:
        return json.dumps(line, ensure_ascii=False).encode() + b"\n"
    except UnicodeEncodeError:
        return to_bytes({key: _text(value) if isinstance(value, str) else value for key, value in line.items()})


def _text(value: str) -> str:
    return value.encode("utf-8", "backslashreplace").decode()
