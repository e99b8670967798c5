"""Convert the values of a list to the form in which rows keep them: text and integers."""

import base64
import binascii
import json
import re
from datetime import date, datetime, time

from pixcore.redaction import redacted

_MAX_INTEGER = 1 << 63
_DIGITS = {"sha256": 64, "md5": 32}  # hexadecimal


def kept(value: object) -> str | int:
    """Return an integer of at most 64 bits as it is, and any other value as text. A missing value is ``""``.

    Write other numbers and nested values as JSON, times in ISO 8601, and bytes as UTF-8 or else as base64. Mask
    credentials in URLs.
    """
    match value:
        case str():
            return redacted(value)
        case bool() | list() | dict():
            return redacted(json.dumps(value, ensure_ascii=False, default=_other))
        case int():
            return value if -_MAX_INTEGER <= value < _MAX_INTEGER else str(value)
        case None:
            return ""
        case _:
            return _other(value)


def _other(value: object) -> str:
    match value:
        case float():
            return repr(value)
        case datetime() | date() | time():
            return value.isoformat()
        case bytes():
            try:
                return value.decode()
            except UnicodeDecodeError:
                return base64.b64encode(value).decode()
        case _:
            return str(value)


def checksum(kind: str, value: object) -> str:
    """Return a checksum in hexadecimal or base64 as ``KIND:HEX``, or ``""`` if the cell holds none of that kind."""
    digits, text = _DIGITS[kind], str(value).strip()
    if re.fullmatch(f"[0-9a-fA-F]{{{digits}}}", text):
        return f"{kind}:{text.lower()}"
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return ""
    return f"{kind}:{data.hex()}" if len(data) * 2 == digits else ""
