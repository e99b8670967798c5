"""Licences: their slugs in the forms that lists and sources use, their names as people write them, their addresses."""

import re

_CC = re.compile(r"\b(?:cc[ _-]?|licenses/)?(by(?:[ _-](?:nc|sa|nd))*)(?![a-z])", re.IGNORECASE)
_ZERO = re.compile(r"\bcc[ _-]?0|\bcc-?zero|publicdomain/zero", re.IGNORECASE)
_PUBLIC = re.compile(r"publicdomain/mark|\bpdm\b|\bpd\b|public[ _-]?domain", re.IGNORECASE)
_VERSION = re.compile(r"/(?P<version>[1-9]\.[0-9])(?:/|$)")
_NAMES = {"cc0": "CC0", "pdm": "Public Domain Mark"}  # other licences are named "CC" and the slug in upper case
_PATHS = {"cc0": "publicdomain/zero", "pdm": "publicdomain/mark"}


def slug(text: str) -> str:
    """Return a slug such as ``by-sa`` in lower case, without version and country; ``""`` if the text names none.

    The text is a slug, a name, or an address at Creative Commons.
    """
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


def name(of: str, version: str = "") -> str:
    """Return the name of a licence, such as ``CC BY-SA 4.0``; ``""`` without a slug and a version."""
    named = _NAMES.get(of, f"CC {of.upper()}") if of else ""
    return f"{named} {version}".strip()


def url(of: str, version: str) -> str:
    """Return the address of a licence at Creative Commons."""
    return f"https://creativecommons.org/{_PATHS.get(of, f'licenses/{of}')}/{version}/"


def version(address: str) -> str:
    """Return the version in the address of a licence, such as ``4.0``; ``""`` if it has none."""
    found = _VERSION.search(address)
    return found["version"] if found else ""
