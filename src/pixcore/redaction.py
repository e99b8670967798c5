"""Decide which parts of a text are credentials, and mask them. All that is shown or stored goes through here.

A credential is known by its place in a URL, or by its value: see ``mask_value``.
"""

import html
import json
import re
from urllib.parse import quote, quote_plus

MASK = "***"

# the name of a parameter whose value is a credential
CREDENTIAL_NAME = (  # a pattern
    r"(?:sig|key|pwd|pass|auth|hmac|jwt|hdne[at]s?|[\w.~-]*(?:signature|secret|passw(?:or)?d|passphrase|token"
    r"|authorization|bearer|(?:account|access|api|app|auth|client|consumer|service|subscription|ws)[_-]?key)[\w.~-]*)"
)

# Over HTTP a user name alone is a credential, too. A password that is not escaped may hold "/", "?", "#" and "@".
_LOGIN = re.compile(
    r"(?:(?<=http://)|(?<=https://))[^/?#@\s]*@"
    r"|(?<=://)[^/?#@\s:]*:(?:[^/?#@\s]*|(?!\d{1,5}(?:[/?#\s]|$))\S*)@",
    re.IGNORECASE,
)
# "?", "&" and "=" may be escaped, as in a URL that is a parameter of another one
_PARAMETER = re.compile(rf"((?:[?&;]|%3F|%26|%3B){CREDENTIAL_NAME}(?:=|%3D))(?:(?!%26)[^&;#\s'\"<>])+", re.IGNORECASE)
_WORD = re.compile(
    "sig|key|pwd|secret|pass|token|auth|hmac|jwt|hdne|bearer", re.IGNORECASE
)  # one is in every such name; most URLs have none


_SHORTEST = 6  # characters; a shorter value would mask parts of ordinary words
_values: tuple[str, ...] = ()  # the longest first, because one may hold another


def mask_value(secret: str) -> None:
    """Mask this credential wherever it appears in a text, in this process. Idempotent.

    A source that gets a key from the environment may repeat it in an error message or in the URL of an image, under any
    name, and escaped as URLs, JSON, HTML or Python's literals are. Values of fewer than 6 characters are not masked.
    """
    global _values  # noqa: PLW0603 - one set for the process: texts are redacted far from where keys are read
    if len(secret) < _SHORTEST:
        return
    escaped = secret.encode("unicode_escape").decode()
    spellings = {secret, quote(secret, safe=""), quote(secret), quote_plus(secret), html.escape(secret)}
    spellings |= {json.dumps(secret)[1:-1], escaped, escaped.replace("'", "\\'")}
    _values = tuple(sorted({*spellings, *_values}, key=lambda value: (-len(value), value)))


def without_values(data: bytes) -> bytes:
    """Return the bytes of a text with the credentials masked that ``mask_value`` knows, and all else as it is."""
    for value in _values:
        data = data.replace(value.encode("utf-8", "surrogateescape"), MASK.encode())
    return data


def redacted(text: str) -> str:
    """Return the text with the credentials in its URLs masked: logins, signatures, keys, tokens, passwords.

    Idempotent. A credential that is neither before a host, nor the value of a parameter with such a name, nor known to
    ``mask_value`` is not found.
    """
    for value in _values:
        text = text.replace(value, MASK)
    text = without_login(text)
    has_parameter = "=" in text or "%3" in text  # most texts have none, and a search for words costs more
    return _PARAMETER.sub(rf"\1{MASK}", text) if has_parameter and _WORD.search(text) else text


def without_login(text: str) -> str:
    """Return the text with the user names and passwords in its URLs masked, and all else as it is. Idempotent."""
    return _LOGIN.sub(f"{MASK}@", text) if "@" in text and "://" in text else text
