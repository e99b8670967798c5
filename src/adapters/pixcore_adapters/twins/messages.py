"""Conversion of requests and twins to JSON and back, for the pipe to the child that compares files."""

import json
import os
from collections.abc import Sequence
from pathlib import Path

from attrs import asdict

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


def twin_to_json(twin: Twin | None) -> bytes:
    """Write a twin or None in the form that ``twin_from_json`` reads."""
    return json.dumps(twin and asdict(twin)).encode()


def twin_from_json(text: bytes) -> Twin | None:
    """Read a twin or None as ``twin_to_json`` wrote it."""
    values = json.loads(text)
    if values is None:
        return None
    compared = values["comparison"]
    features = {name: Features(**compared[name]) for name in ("one", "other")}
    return Twin(values["place"], Comparison(**compared | features))
