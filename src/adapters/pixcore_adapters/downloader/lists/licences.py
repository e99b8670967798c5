"""Find the slug of a licence in the forms that lists use: a slug, a name, or an address at Creative Commons."""

import re

_CC = re.compile(r"\b(?:cc[ _-]?|licenses/)?(by(?:[ _-](?:nc|sa|nd))*)(?![a-z])", re.IGNORECASE)
_ZERO = re.compile(r"\bcc[ _-]?0|\bcc-?zero|publicdomain/zero", re.IGNORECASE)
_PUBLIC = re.compile(r"publicdomain/mark|\bpdm\b|\bpd\b|public[ _-]?domain", re.IGNORECASE)


def slug(text: str) -> str:
    """Return a slug such as ``by-sa`` in lower case, without version and country; ``""`` if the text names none."""
    if _ZERO.search(text):
        return "cc0"
    if _PUBLIC.search(text):
        return "pdm"
    found = _CC.search(text)
    if not found:
        return ""
    by, *others = re.split("[ _-]", found[1].lower())
    # Creative Commons writes by-nc-sa, never by-sa-nc
    return "-".join([by, *sorted(others, key=("nc", "sa", "nd").index)])
