"""Openverse: openly licensed images of many collections, through its API (https://api.openverse.org/v1/)."""

from collections.abc import Mapping
from typing import ClassVar, Self
from urllib.parse import urlencode

from attrs import frozen

from pixcore.model.images import Provenance
from pixcore_adapters.downloader.sources.answer import address, document, items, mapping, text
from pixcore_adapters.downloader.sources.search import (
    About,
    Limits,
    PageAnswer,
    PageRequest,
    Result,
    ResultPage,
    Unreadable,
)

_NAMES = {"cc0": "CC0", "pdm": "Public Domain Mark"}  # other licences are named "CC" and the slug in upper case


@frozen
class Openverse:
    """Search without an account: 20 results a page, 240 a query.

    Attributes:
        api: The URL of the search for images.
    """

    about: ClassVar[About] = About(
        name="openverse",
        size=20,
        depth=240,
        licenses=frozenset(
            {"cc0", "pdm", "by", "by-sa", "by-nd", "by-nc", "by-nc-sa", "by-nc-nd", "sampling+", "nc-sampling+"}
        ),
        limits=Limits(minute=20, day=200),
        terms="each image has its own licence; the catalogue must not be copied as a whole",
        terms_url="https://docs.openverse.org/terms_of_service.html",
        tried="against a server on loopback that gives documented answers",
    )

    api: str = "https://api.openverse.org/v1/images/"

    @classmethod
    def at(cls, environ: Mapping[str, str]) -> Self:  # noqa: ARG003 - the search needs no credentials
        """Return the source."""
        return cls()

    def request(self, query: str, licenses: str, page: int, cursor: str) -> PageRequest:  # noqa: ARG002 - counts pages
        """See ``Search``."""
        filters = {"license": licenses} if licenses else {}
        parameters = {"q": query, "page": page + 1, "page_size": self.about.size} | filters
        return PageRequest(f"{self.api}?{urlencode(parameters, errors='replace')}")

    def read(self, answer: PageAnswer) -> ResultPage:
        """See ``Search``."""
        page = document(answer.body)
        found = items(page.get("results"))
        if found is None:
            raise Unreadable(f"it has no list of results; {text(page.get('detail')) or 'it gives no reason'}")
        results = [_result(mapping(item)) for item in found]
        if results and not any(results):
            raise Unreadable("none of its results has an image URL")
        return ResultPage(results)


def _result(item: Mapping[str, object]) -> Result | None:
    url = address(item.get("url"))
    if not url:
        return None
    slug = text(item.get("license")).lower()
    name = _NAMES.get(slug, f"CC {slug.upper()}") if slug else ""
    provenance = Provenance(
        page_url=text(item.get("foreign_landing_url")),
        title=text(item.get("title")),
        creator=text(item.get("creator")),
        license=f"{name} {text(item.get('license_version'))}".strip(),
        license_url=text(item.get("license_url")),
    )
    return Result(url, provenance, slug)
