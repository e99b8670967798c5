"""Explain the outcome of one candidate to a person: find its line, and write it as a sentence."""

import json
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from pathlib import PurePath

from attrs import frozen

from pixcore.model.chunks import ChunkRecord
from pixcore.model.decisions import Decided
from pixcore.model.images import Candidate, MissReason, RejectReason
from pixcore.model.outcomes import ACCEPTED, OutcomeLines
from pixcore.model.positions import Allocation
from pixcore.model.quality import Fingerprint, NearRule
from pixcore.model.requests import Slice
from pixcore.redaction import redacted
from pixcore.stored.archives import StoredArchives
from pixcore.stored.naming import is_checksum, recognise
from pixcore.stored.outcomes import outcome_lines

# What each reason means. A filter of another distribution may give further ones.
_MEANINGS: Mapping[str, str] = {
    RejectReason.NOT_AN_IMAGE: "the file is not an image",
    RejectReason.FORMAT: "the format is not accepted",
    RejectReason.DAMAGED: "the image is damaged",
    RejectReason.TOO_LARGE: "the file is too large",
    RejectReason.TOO_SMALL: "the image is too small",
    RejectReason.TOO_MANY_PIXELS: "the image has too many pixels",
    RejectReason.TOO_MANY_FRAMES: "the file has too many frames or pages",
    RejectReason.TOO_MANY_SCANS: "the JPEG has too many scans",
    RejectReason.TOO_SLOW: "decoding took too long",
    RejectReason.TOO_MUCH_MEMORY: "decoding needs too much memory",
    RejectReason.DECODER_DIED: "the file crashed the decoder",
    RejectReason.DARK: "the image is too dark",
    RejectReason.LIGHT: "the image is too light",
    RejectReason.BLURRY: "the image is not sharp enough",
    RejectReason.LOW_INFORMATION: "the image has too little detail",
    RejectReason.GRAYSCALE: "the image has no colours",
    RejectReason.ODD_ASPECT: "one side of the image is too long",
    RejectReason.TEXT: "the image shows text",
    RejectReason.SEEN: "another chunk of the dataset has the same image",
    RejectReason.EXCLUDED: "it was excluded by hand",
    RejectReason.PLACEHOLDER: "it is the picture by which sites say that they have no image",
    RejectReason.HASH: "the checksum is not the one in the list",
    MissReason.GONE: "the file no longer exists",
    MissReason.UNREADABLE: "the file cannot be read",
    MissReason.OUTSIDE: "the file is outside of the folder",
    MissReason.NOT_A_FILE: "it is not a regular file",
    MissReason.NOT_A_URL: "it is not a web address",
    MissReason.ADDRESS: "the host has a private address",
    MissReason.OPTED_OUT: "the site forbids it",
    MissReason.UNREACHABLE: "the server cannot be reached",
    MissReason.TLS: "the server has no valid certificate",
    MissReason.TIMEOUT: "the server took too long",
    MissReason.TRUNCATED: "the transfer broke off",
    MissReason.MALFORMED: "the response is malformed",
    MissReason.REDIRECTS: "there are too many redirects",
    MissReason.CONTENT_TYPE: "the response is not an image",
    MissReason.ENCODING: "the response is encoded in an unknown way",
    MissReason.RATE_LIMIT: "the server allows no more requests",
    MissReason.REPEATED: "an earlier candidate has the same address",
    MissReason.LICENSE: "the licence is not one of those that were asked for",
    MissReason.CHANGED: "the source's results can no longer be read",
    MissReason.UNAVAILABLE: "the source could not be reached, or allows no more requests",
}


@frozen
class Found:
    """A candidate, the id of its chunk, or None if no chunk has it, and a sentence that says what became of it."""

    chunk: int | None
    line: Mapping[str, object]
    sentence: str


def find(wanted: str, records: Iterable[ChunkRecord], archives: StoredArchives) -> Generator[Found]:
    """Yield the candidates that ``wanted`` names: by their URL, path or sha256; see ``recognise``.

    Raises:
        Exception: As ``outcome_lines``.
    """
    recognised = recognise([wanted])
    for record in records:
        for line in outcome_lines(record, archives, _part(wanted)):
            if recognised(line):
                yield Found(record.chunk.id, line, sentence(line, record, _twin(line, record, archives)))


def find_unclaimed(
    wanted: str, allocations: Iterable[Allocation], listed: Callable[[Sequence[Slice]], Iterator[Candidate]]
) -> Iterator[Found]:
    """Yield the candidates that ``wanted`` names, as for ``find``, among those that no chunk has.

    ``listed`` yields the candidates of slices of lists.

    Raises:
        Exception: As ``listed``.
    """
    recognised = recognise([wanted])
    for each in allocations:
        parts = [Slice(each.source, each.query, *ends, each.snapshot, each.licenses) for ends in each.free]
        for candidate in listed(parts):
            line = OutcomeLines(each.columns).untried(candidate)
            if recognised(line):
                place = f"it is candidate {candidate.key.position + 1} of {each.query}"
                yield Found(None, line, f"{_name(line)} was not tried, because no chunk needs it; {place}.")


def sentence(line: Mapping[str, object], record: ChunkRecord, twin: Mapping[str, object] | None = None) -> str:
    """Say in one sentence what became of a candidate; ``twin`` is the line of the image that is kept instead."""
    outcome, name = str(line["outcome"]), _name(line)
    chunk = record.chunk.id
    match outcome:
        case "accepted":
            return f"{name} is in the dataset, in the archive of chunk {chunk} ({_size(line)})."
        case "not_tried":
            images = record.chunk.request.target
            return f"{name} was not tried, because chunk {chunk} had its {images} images before its turn."
        case RejectReason.NEAR_DUPLICATE:
            kept = f" ({_size(twin)})" if twin else ""
            twin_name = line.get("twin_url", "an image of an earlier attempt")
            return f"{name} ({_size(line)}) is left out in favour of {twin_name}{kept}: {line.get('detail', outcome)}."
        case RejectReason.DUPLICATE:
            return f"{name} is left out, because it has the same bytes as {line.get('twin_url')}, which is kept."
        case _:
            return _left_out(line, name, outcome)


def decided_since(line: Mapping[str, object], decided: Decided, rule: NearRule | None) -> str:
    """Say in one sentence what was decided about an image by hand and is not in effect; ``""`` if nothing is.

    ``rule`` is the near rule of its chunk.
    """
    if "phash" not in line:
        return ""
    sha256, accepted = str(line["sha256"]), line["outcome"] == ACCEPTED
    prints = Fingerprint.parse(line["phash"], line["dhash"])
    if line["outcome"] != RejectReason.EXCLUDED and (excluded := decided.exclusion(sha256, prints, rule)):
        return f"It was excluded by hand since: {excluded}."
    if not accepted and decided.includes(sha256):
        return "It was included by hand since."
    if line["outcome"] != RejectReason.PLACEHOLDER and (why := decided.placeholder(sha256)):
        return f"It turned out to be a placeholder since: {why}."
    label = decided.label(sha256)
    return f"By hand, it has the label {label!r}." if accepted and label else ""


def _left_out(line: Mapping[str, object], name: str, outcome: str) -> str:
    status, tries, detail = line.get("http_status", 0), line.get("tries", 0), line.get("detail", "")
    if outcome == f"http_{status}":
        meaning = f"the server answered with HTTP status {status}"
    else:
        meaning = _MEANINGS.get(outcome, f"the filter {outcome} rejects it")
    more = f": {detail}" if detail else ""
    if "bytes" in line:
        return f"{name} ({_size(line)}) is left out, because {meaning}{more} ({outcome})."
    final = line.get("final_url", "")
    led = f", after redirects to {final}" if final and final != line.get("url") else ""
    tried = f" after {tries} tries" if isinstance(tries, int) and tries > 1 else ""
    return f"{name} was not fetched{tried}, because {meaning}{more}{led} ({outcome})."


def _part(wanted: str) -> bytes:
    """Return bytes that the JSON of each line contains that ``wanted`` names."""
    if is_checksum(wanted):
        return f'sha256": "{wanted}'.encode()
    wanted = redacted(wanted)  # outcomes hold no credentials
    part = wanted if "://" in wanted else PurePath(wanted).name
    return json.dumps(part, ensure_ascii=False)[1:-1].encode("utf-8", "backslashreplace")


def _twin(line: Mapping[str, object], record: ChunkRecord, archives: StoredArchives) -> Mapping[str, object] | None:
    """Return the line of the image that is kept instead; None if it is not in the same chunk."""
    if "twin" not in line:
        return None
    lines = outcome_lines(record, archives, f'"sha256": "{line["twin"]}"'.encode())
    return next((each for each in lines if each["outcome"] == ACCEPTED), None)


def _name(line: Mapping[str, object]) -> str:
    return str(line.get("url") or f"result {line['position']} of {line['source']} for {line['query']!r}")


def _size(line: Mapping[str, object]) -> str:
    pixels = f"{line['width']} x {line['height']} pixels, " if "width" in line else ""
    return f"{pixels}{_bytes(line)}"


def _bytes(line: Mapping[str, object]) -> str:
    size = line.get("bytes", 0)
    if not isinstance(size, int) or size < 1000:  # noqa: PLR2004 - the step between prefixes
        return f"{size} bytes"
    return f"{size / 1e6:.1f} MB" if size >= 10**6 else f"{size / 1e3:.1f} kB"
