"""Openverse: openly licensed images of many collections, through its API (https://api.openverse.org/v1/)."""

from collections.abc import Mapping
from typing import Self
from urllib.parse import urlencode, urljoin

from attrs import evolve, field, frozen

from pixcore.errors import InvalidRequest
from pixcore.model.images import Provenance
from pixcore_adapters.downloader import licences
from pixcore_adapters.downloader.sources.answer import address, document, results, text
from pixcore_adapters.downloader.sources.search import (
    About,
    Credential,
    Grant,
    Limits,
    PageAnswer,
    PageRequest,
    Result,
    ResultPage,
)

_ID, _SECRET = "OPENVERSE_CLIENT_ID", "OPENVERSE_CLIENT_SECRET"
_REGISTER = "https://api.openverse.org/v1/#tag/auth/operation/register"
_ABOUT = About(
    name="openverse",
    size=20,
    depth=240,
    licenses=frozenset(
        {"cc0", "pdm", "by", "by-sa", "by-nd", "by-nc", "by-nc-sa", "by-nc-nd", "sampling+", "nc-sampling+"}
    ),
    credentials=(Credential(_ID, _REGISTER, required=False), Credential(_SECRET, _REGISTER, required=False)),
    limits=Limits(minute=20, day=200),
    terms="each image has its own licence; the catalogue must not be copied as a whole",
    terms_url="https://docs.openverse.org/terms_of_service.html",
    tried="against a server on loopback that gives documented answers",
)
# ``api/conf/settings/rest_framework.py`` of WordPress/openverse: 20 pages of 500, and its limits by the minute and day
_WITH_CREDENTIALS = evolve(_ABOUT, size=500, depth=10_000, limits=Limits(minute=100, day=10_000))


@frozen
class Openverse:
    """Search with client credentials: 500 results a page, 10,000 a query. Without them: 20 a page, 240 a query.

    Attributes:
        api: The URL of the search for images.
        client_id, client_secret: The credentials; ``""`` to search without.
    """

    api: str = "https://api.openverse.org/v1/images/"
    client_id: str = field(default="", repr=False)
    client_secret: str = field(default="", repr=False)

    @classmethod
    def at(cls, environ: Mapping[str, str]) -> Self:
        """Return the source with the credentials of the environment.

        Raises:
            InvalidRequest: Only one of the two credentials is set.
        """
        found = {name: environ.get(name, "") for name in (_ID, _SECRET)}
        if len(unset := [name for name, value in found.items() if not value]) == 1:
            raise InvalidRequest(
                f"openverse needs {_ID} and {_SECRET}, or neither of them; {unset[0]} is not set; register at"
                f" {_REGISTER}"
            )
        return cls(client_id=found[_ID], client_secret=found[_SECRET])

    @property
    def about(self) -> About:
        """See ``Search``."""
        return _WITH_CREDENTIALS if self.client_id else _ABOUT

    def request(self, query: str, licenses: str, page: int, cursor: str) -> PageRequest:  # noqa: ARG002 - counts pages
        """See ``Search``."""
        filters = {"license": licenses} if licenses else {}
        parameters = {"q": query, "page": page + 1, "page_size": self.about.size} | filters
        grant = None
        if self.client_id:
            grant = Grant(urljoin(self.api, "../auth_tokens/token/"), self.client_id, self.client_secret)
        return PageRequest(f"{self.api}?{urlencode(parameters, errors='replace')}", grant=grant)

    def read(self, answer: PageAnswer) -> ResultPage:
        """See ``Search``."""
        page = document(answer.body)
        found = results(page.get("results"), _result, reason=text(page.get("detail")))
        return ResultPage(found, total=self._total(page))

    def _total(self, page: Mapping[str, object]) -> int | None:
        """Return how many results the answer says that pages can give: fewer than it counts, if it has a depth."""
        results, pages = page.get("result_count"), page.get("page_count")
        if not (isinstance(results, int) and isinstance(pages, int)):
            return None
        return min(results, pages * self.about.size)


def _result(item: Mapping[str, object]) -> Result | None:
    url = address(item.get("url"))
    if not url:
        return None
    slug = text(item.get("license")).lower()
    provenance = Provenance(
        page_url=text(item.get("foreign_landing_url")),
        title=text(item.get("title")),
        creator=text(item.get("creator")),
        license=licences.name(slug, text(item.get("license_version"))),
        license_url=text(item.get("license_url")),
    )
    return Result(url, provenance, slug)
