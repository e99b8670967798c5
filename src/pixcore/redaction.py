"""Decide which parts of a text are credentials, and mask them. All that is shown or stored goes through here."""

import re

MASK = "***"

# the name of a parameter whose value is a credential
CREDENTIAL_NAME = (  # a pattern
    r"(?:sig|key|pwd|[\w.~-]*(?:signature|secret|passw(?:or)?d|passphrase|token"
    r"|(?:account|access|api|auth)[_-]?key)[\w.~-]*)"
)

# Over HTTP a user name alone is a credential, too. A password that is not escaped may hold "/", "?", "#" and "@".
_LOGIN = re.compile(
    r"(?:(?<=http://)|(?<=https://))[^/?#@\s]*@"
    r"|(?<=://)[^/?#@\s:]*:(?:[^/?#@\s]*|(?!\d{1,5}(?:[/?#\s]|$))\S*)@",
    re.IGNORECASE,
)
# "?", "&" and "=" may be escaped, as in a URL that is a parameter of another one
_PARAMETER = re.compile(rf"((?:[?&;]|%3F|%26|%3B){CREDENTIAL_NAME}(?:=|%3D))(?:(?!%26)[^&;#\s'\"<>])+", re.IGNORECASE)
_WORD = re.compile("sig|key|pwd|secret|passw|token", re.IGNORECASE)  # one is in every such name; most URLs have none


def redacted(text: str) -> str:
    """Return the text with the credentials in its URLs masked: logins, signatures, keys, tokens, passwords.

    Idempotent. A credential that is neither before a host nor the value of a parameter with such a name is not found.
    """
    text = without_login(text)
    has_parameter = "=" in text or "%3" in text  # most texts have none, and a search for words costs more
    return _PARAMETER.sub(rf"\1{MASK}", text) if has_parameter and _WORD.search(text) else text


def without_login(text: str) -> str:
    """Return the text with the user names and passwords in its URLs masked, and all else as it is. Idempotent."""
    return _LOGIN.sub(f"{MASK}@", text) if "@" in text and "://" in text else text
