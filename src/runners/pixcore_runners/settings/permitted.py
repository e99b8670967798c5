"""The permitted values of settings: their description for users, and validators of URLs and names."""

from typing import TYPE_CHECKING

from pixcore import InvalidRequest
from pixcore_runners.registry.tables import ARCHIVERS
from pixcore_runners.settings.urls import holds_secret, holds_user, is_url

if TYPE_CHECKING:
    from attrs import Attribute

MOST = 2**31 - 1  # what every database and library takes for a number
WEEK = 7 * 24 * 3600.0  # seconds; longer waits are mistakes, and the clocks of threads end at 292 years
COUNT = f"a whole number from 1 to {MOST}"
LEAST = f"a whole number from 0 to {MOST}"
SECONDS = f"a number of seconds above 0, at most {WEEK:.0f}"
SWITCH = "true or false"
COLUMN, NAMES = "the name of a column", "one or more names of columns"
BITS = "a whole number from 0 to 64"
NUMBER = "a number, at least 0"
BROKER = "a URL such as redis://host:6379/0"


def store_url(_: object, attribute: "Attribute[str]", url: str) -> None:
    """Raise if a store URL holds a user or a secret, or is not a URL."""
    if holds_secret(url) or holds_user(url):
        raise InvalidRequest(
            f"{attribute.name} holds a credential, but URLs are shown and stored; remove it and set it where the"
            " store's own tools read it, such as in AZURE_STORAGE_CONNECTION_STRING"
        )
    if not is_url(url):
        raise ValueError(url)


def status_url(_: object, attribute: "Attribute[str]", url: str) -> None:
    """Raise if a status URL holds a password, or is not a URL."""
    if holds_secret(url):
        raise InvalidRequest(
            f"{attribute.name} holds a password, but URLs are shown; remove it, and set PGPASSWORD or write it into"
            " ~/.pgpass"
        )
    if not is_url(url):
        raise ValueError(url)


def sources(_: object, attribute: "Attribute[tuple[str, ...]]", texts: tuple[str, ...]) -> None:
    """Raise if a source holds a user or a secret: sources are stored with every chunk."""
    if any(holds_secret(text) or (is_url(text) and holds_user(text)) for text in texts):
        raise InvalidRequest(
            f"{attribute.name} holds a credential, but sources are stored; download the list and name that file"
        )


def archive_kind(_: object, __: object, kind: str) -> None:
    """Raise if no adapter makes this kind of archive."""
    if kind not in ARCHIVERS:
        raise ValueError(kind)
