"""Conversion of requests and answers to JSON and back, for the pipe to the child that compares files."""

import json
import os
from collections.abc import Sequence
from pathlib import Path

from attrs import asdict, frozen

from pixcore.model.comparison import Comparison, Features, Twin

_Request = tuple[Path, Sequence[Path]]


def request_to_json(request: _Request) -> bytes:
    """Write an image and its candidates in the form that ``request_from_json`` reads."""
    image, candidates = request
    return json.dumps([os.fsdecode(path.absolute()) for path in (image, *candidates)]).encode()


def request_from_json(text: bytes) -> _Request:
    """Read an image and its candidates as ``request_to_json`` wrote them."""
    image, *candidates = map(Path, json.loads(text))
    return image, candidates


@frozen
class Answer:
    """The twin of an image, if it has one, and the seconds of CPU time that it took to find out."""

    twin: Twin | None
    cpu: float


def answer_to_json(answer: Answer) -> bytes:
    """Write an answer in the form that ``answer_from_json`` reads."""
    return json.dumps(asdict(answer)).encode()


def answer_from_json(text: bytes) -> Answer:
    """Read an answer as ``answer_to_json`` wrote it."""
    values = json.loads(text)
    if twin := values["twin"]:
        compared = twin["comparison"]
        features = {name: Features(**compared[name]) for name in ("one", "other")}
        twin = Twin(twin["place"], Comparison(**compared | features))
    return Answer(twin, values["cpu"])
