"""iNaturalist: photos of species, through its API (https://api.inaturalist.org/v1/docs/).

The API is meant for applications, so this source is for small sets; ``pixcore inaturalist`` lists the open tables.
"""

from collections.abc import Mapping
from typing import ClassVar, Self
from urllib.parse import urlencode

from attrs import frozen

from pixcore.model.images import Provenance
from pixcore_adapters.downloader import licences
from pixcore_adapters.downloader.sources.answer import address, document, items, mapping, results, text
from pixcore_adapters.downloader.sources.search import (
    About,
    Limits,
    PageAnswer,
    PageRequest,
    Result,
    ResultPage,
)

# the versions are those that iNaturalist itself names
_VERSIONS = {"cc0": "1.0"} | dict.fromkeys(("by", "by-sa", "by-nd", "by-nc", "by-nc-sa", "by-nc-nd"), "4.0")
_SPECIES_WORDS = 2  # words of a species' name; a subspecies or variety adds to them


@frozen
class INaturalist:
    """Observations that people agree about, with the species as label; of each its first licensed photo.

    Photos without a licence are never requested: iNaturalist serves them from its own host, which it asks not to
    crawl, while the licensed ones lie in a bucket that is made for downloading.

    Attributes:
        api: The URL of the search for observations.
    """

    about: ClassVar[About] = About(
        name="inaturalist",
        size=200,
        depth=10_000,
        licenses=frozenset(_VERSIONS),
        limits=Limits(minute=60, day=10_000),
        exact=".*",
        terms="each photo has its own licence, many for non-commercial use; the API is not for harvesting",
        terms_url="https://www.inaturalist.org/pages/api+recommended+practices",
        tried="against a server on loopback that gives documented answers",
    )

    api: str = "https://api.inaturalist.org/v1/observations"

    @classmethod
    def at(cls, environ: Mapping[str, str]) -> Self:  # noqa: ARG003 - the search needs no credentials
        """Return the source."""
        return cls()

    def request(self, query: str, licenses: str, page: int, cursor: str) -> PageRequest:  # noqa: ARG002 - counts pages
        """See ``Search``. A query that is a number is that of a taxon. Results are in the order of their numbers."""
        wanted = licenses.split(",") if licenses else sorted(self.about.licenses)
        parameters = {
            "taxon_id" if query.isdecimal() else "taxon_name": query,
            "hrank": "species",
            "quality_grade": "research",
            "photo_license": ",".join(one if one == "cc0" else f"cc-{one}" for one in wanted),
            "order_by": "id",
            "order": "asc",
            "per_page": self.about.size,
            "page": page + 1,
        }
        return PageRequest(f"{self.api}?{urlencode(parameters, errors='replace')}")

    def read(self, answer: PageAnswer) -> ResultPage:
        """See ``Search``."""
        page = document(answer.body)
        none = "none of its observations has a licensed photo"
        found = results(page.get("results"), _result, reason=text(page.get("error")), none=none)
        total = page.get("total_results")
        return ResultPage(found, total=total if isinstance(total, int) else None)


def _result(observation: Mapping[str, object]) -> Result | None:
    taxon, observer = mapping(observation.get("taxon")), mapping(observation.get("user"))
    for photo in map(mapping, items(observation.get("photos")) or ()):
        url, licence = address(photo.get("url")), licences.slug(text(photo.get("license_code")))
        if not url or licence not in _VERSIONS:
            continue
        name = text(taxon.get("name"))
        provenance = Provenance(
            page_url=text(observation.get("uri")),
            title=text(taxon.get("preferred_common_name")) or name,
            creator=text(observer.get("name")) or text(observer.get("login")),
            license=licences.name(licence, _VERSIONS[licence]),
            license_url=licences.url(licence, _VERSIONS[licence]),
        )
        # the answer holds the address of a thumbnail
        original = url.replace("/square.", "/original.")
        return Result(original, provenance, licence, label=" ".join(name.split()[:_SPECIES_WORDS]))
    return None
