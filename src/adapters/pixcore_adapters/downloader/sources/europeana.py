"""Europeana: the collections of Europe's museums, archives and libraries (https://apis.europeana.eu/en)."""

from collections.abc import Mapping, Sequence
from typing import ClassVar, Self
from urllib.parse import urlencode

from attrs import field, frozen

from pixcore.model.images import Provenance
from pixcore_adapters.downloader import licences
from pixcore_adapters.downloader.sources.answer import address, document, items, results, text
from pixcore_adapters.downloader.sources.search import (
    About,
    Credential,
    Limits,
    PageAnswer,
    PageRequest,
    Refused,
    Result,
    ResultPage,
)

_KEY = "EUROPEANA_API_KEY"
_OPEN = frozenset({"cc0", "pdm", "by", "by-sa"})
_RESTRICTED = frozenset({"by-nc", "by-nd", "by-nc-sa", "by-nc-nd"})


@frozen
class Europeana:
    """Images that the collections show themselves, of records that may be used freely unless licences are named.

    Attributes:
        key: The API key; ``""`` if none is set.
        api: The URL of the search.
    """

    about: ClassVar[About] = About(
        name="europeana",
        size=100,
        depth=100_000,
        licenses=_OPEN | _RESTRICTED,
        credentials=(Credential(_KEY, "https://pro.europeana.eu/pages/get-api"),),
        limits=Limits(concurrent=1),
        by_cursor=True,
        terms="each record has its own rights statement; a personal key is for trying out, a project key for services",
        terms_url="https://www.europeana.eu/en/rights/terms-of-use",
        tried="against a server on loopback that gives documented answers",
    )

    key: str = field(default="", repr=False)
    api: str = "https://api.europeana.eu/record/v2/search.json"

    @classmethod
    def at(cls, environ: Mapping[str, str]) -> Self:
        """Return the source with the key of the environment."""
        return cls(environ.get(_KEY, ""))

    def request(self, query: str, licenses: str, page: int, cursor: str) -> PageRequest:  # noqa: ARG002 - by cursor
        """See ``Search``. Without licences, only records of which ``reusability`` is ``open``."""
        wanted = set(licenses.split(",")) if licenses else _OPEN
        reusability = {"reusability": "open"} if wanted <= _OPEN else {}
        if wanted <= _RESTRICTED:
            reusability = {"reusability": "restricted"}
        parameters = {
            "query": query,
            "qf": "TYPE:IMAGE",
            "media": "true",
            "profile": "rich",
            "rows": self.about.size,
            "cursor": cursor or "*",
            **reusability,
        }
        # in a header, so that no URL holds the key
        return PageRequest(f"{self.api}?{urlencode(parameters, errors='replace')}", {"X-Api-Key": self.key})

    def read(self, answer: PageAnswer) -> ResultPage:
        """See ``Search``."""
        page = document(answer.body)
        reason = text(page.get("error")) or text(page.get("message"))
        if page.get("success") is False:
            raise Refused(f"refuses the query: {reason or 'it gives no reason'}; check the keyword and {_KEY}")
        none = "none of its records has an image URL"
        found = results(page.get("items"), _result, array="items", reason=reason, none=none)
        total = page.get("totalResults")
        return ResultPage(found, text(page.get("nextCursor")), total if isinstance(total, int) else None)


def _result(record: Mapping[str, object]) -> Result | None:
    url = next(filter(None, map(address, _texts(record, "edmIsShownBy"))), "")
    if not url:
        return None
    rights = _first(record, "rights")
    host, _, statement = rights.partition("://")[2].partition("/")
    licence = licences.slug(rights) if host == "creativecommons.org" else ""
    if host == "rightsstatements.org":
        named = " ".join(statement.removeprefix("vocab/").strip("/").split("/"))  # such as "InC 1.0"
    else:
        named = licences.name(licence, licences.version(rights)) if licence else ""
    provenance = Provenance(
        # the address at Europeana ends with parameters that hold the key
        page_url=_first(record, "edmIsShownAt") or text(record.get("guid")).partition("?")[0],
        title=_first(record, "title"),
        creator=next((name for name in _texts(record, "dcCreator") if "://" not in name), ""),
        license=named,
        license_url=rights,
        caption=_first(record, "dcDescription"),
    )
    return Result(url, provenance, licence)


def _texts(record: Mapping[str, object], name: str) -> Sequence[str]:
    return [text(value) for value in items(record.get(name)) or ()]


def _first(record: Mapping[str, object], name: str) -> str:
    return next(filter(None, _texts(record, name)), "")
