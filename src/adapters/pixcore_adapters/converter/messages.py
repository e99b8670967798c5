"""Conversion of requests and answers to JSON and back, for the pipe to the child that converts files."""

import json
import os
from pathlib import Path

from attrs import asdict, frozen

from pixcore.model.conversion import Conversion

Request = tuple[Path, Path, Conversion]


@frozen
class Answer:
    """What the child answers.

    Attributes:
        reason: Why the file cannot be converted; empty if it was.
        detail: One line about it.
        error: The number of the system's error if the result could not be written; else 0.
        width, height, format, mode, changes: As in ``pixcore.model.conversion.Converted``.
    """

    reason: str = ""
    detail: str = ""
    error: int = 0
    width: int = 0
    height: int = 0
    format: str = ""
    mode: str = ""
    changes: tuple[str, ...] = ()


def request_to_json(request: Request) -> bytes:
    """Write a request in the form that ``request_from_json`` reads."""
    source, target, how = request
    return json.dumps([*(os.fsdecode(path.absolute()) for path in (source, target)), asdict(how)]).encode()


def request_from_json(text: bytes) -> Request:
    """Read a request as ``request_to_json`` wrote it."""
    source, target, how = json.loads(text)
    return Path(source), Path(target), Conversion(**how)


def answer_to_json(answer: Answer) -> bytes:
    """Write an answer in the form that ``answer_from_json`` reads."""
    return json.dumps(asdict(answer)).encode()


def answer_from_json(text: bytes) -> Answer:
    """Read an answer as ``answer_to_json`` wrote it."""
    values = json.loads(text)
    return Answer(**{**values, "changes": tuple(values["changes"])})
