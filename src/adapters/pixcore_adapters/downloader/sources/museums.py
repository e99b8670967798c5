"""Museums that give their images away under CC0: a base that they share, and an adapter for each.

A museum describes objects as JSON. An adapter says how to request a page and where its objects are, and what an object
says of itself; objects that are not in the public domain have no result.
"""

from collections.abc import Mapping, Sequence
from typing import ClassVar, Protocol, Self
from urllib.parse import urlencode

from attrs import field, frozen

from pixcore.model.images import Provenance
from pixcore_adapters.downloader import licences
from pixcore_adapters.downloader.sources.answer import address, document, items, mapping, text
from pixcore_adapters.downloader.sources.search import (
    About,
    Credential,
    Detail,
    Limits,
    PageAnswer,
    PageRequest,
    Result,
    ResultPage,
    Unreadable,
)

_VERSION = "1.0"
_LICENSES = frozenset({"cc0"})
_TRIED = "against a server on loopback that gives documented answers"
_SMITHSONIAN_KEY = "SMITHSONIAN_API_KEY"


class Museum(Protocol):
    """What the museums share: reading a page of objects."""

    about: ClassVar[About]

    def objects(self, page: Mapping[str, object]) -> tuple[object, object]:
        """Return the list of objects on a page, and how many there are in all."""
        ...

    def result(self, found: object, page: Mapping[str, object]) -> Result | Detail | None:
        """Return the image of an object, or what describes it; None if it has none to give away."""
        ...

    def read(self, answer: PageAnswer) -> ResultPage:
        """See ``Search``. A page may have no image, because museums count objects, and not all have one."""
        page = document(answer.body)
        listed, total = self.objects(page)
        found = items(listed)
        if found is None:
            raise Unreadable(f"it has no list of objects; {_reason(page)}")
        return ResultPage([self.result(one, page) for one in found], total=total if isinstance(total, int) else None)


def _reason(page: Mapping[str, object]) -> str:
    reasons = (page.get("detail"), page.get("message"), page.get("error"), mapping(page.get("error")).get("message"))
    return next(filter(None, map(text, reasons)), "it gives no reason")


def _free(url: str, page_url: object, title: object, creator: object, caption: object = "") -> Result | None:
    """Return the result for an image under CC0; None without an address."""
    if not url:
        return None
    provenance = Provenance(
        page_url=text(page_url),
        title=text(title),
        creator=text(creator),
        license=licences.name("cc0", _VERSION),
        license_url=licences.url("cc0", _VERSION),
        caption=text(caption),
    )
    return Result(url, provenance, "cc0")


@frozen
class ArtInstitute(Museum):
    """The Art Institute of Chicago (https://api.artic.edu/docs/), whose search gives the first 1,000 works.

    Attributes:
        api: The URL of the search for works.
    """

    about: ClassVar[About] = About(
        name="artic",
        size=100,
        depth=1000,
        licenses=_LICENSES,
        limits=Limits(minute=60),
        terms="images of works in the public domain are under CC0",
        terms_url="https://www.artic.edu/terms/terms-of-use",
        tried=_TRIED,
    )

    api: str = "https://api.artic.edu/api/v1/artworks/search"

    @classmethod
    def at(cls, environ: Mapping[str, str]) -> Self:  # noqa: ARG003 - the search needs no credentials
        """Return the source."""
        return cls()

    def request(self, query: str, licenses: str, page: int, cursor: str) -> PageRequest:  # noqa: ARG002 - counts pages
        """See ``Search``."""
        parameters = {
            "q": query,
            "query[term][is_public_domain]": "true",
            "fields": "id,title,artist_title,artist_display,image_id,is_public_domain,thumbnail",
            "limit": self.about.size,
            "page": page + 1,
        }
        return PageRequest(f"{self.api}?{urlencode(parameters, errors='replace')}", {"AIC-User-Agent": "pixcore"})

    def objects(self, page: Mapping[str, object]) -> tuple[object, object]:
        """See ``Museum``."""
        return page.get("data"), mapping(page.get("pagination")).get("total")

    def result(self, found: object, page: Mapping[str, object]) -> Result | None:
        """See ``Museum``. The image has 843 pixels in width, the size that the museum asks clients to use."""
        work, base = mapping(found), address(mapping(page.get("config")).get("iiif_url"))
        image = text(work.get("image_id"))
        if not (base and image and work.get("is_public_domain") is True):
            return None
        return _free(
            f"{base}/{image}/full/843,/0/default.jpg",
            f"https://www.artic.edu/artworks/{work.get('id')}",
            work.get("title"),
            work.get("artist_title") or work.get("artist_display"),
            mapping(work.get("thumbnail")).get("alt_text"),
        )


@frozen
class Smithsonian(Museum):
    """The Smithsonian's Open Access (https://edan.si.edu/openaccess/apidocs/). Of each object its first image.

    Attributes:
        key: A key of api.data.gov; ``""`` if none is set.
        api: The URL of the search.
    """

    about: ClassVar[About] = About(
        name="smithsonian",
        size=100,
        depth=10_000,
        licenses=_LICENSES,
        credentials=(Credential(_SMITHSONIAN_KEY, "https://api.data.gov/signup/"),),
        limits=Limits(minute=1000 // 60),
        terms="images of Open Access are under CC0",
        terms_url="https://www.si.edu/openaccess/faq",
        tried=_TRIED,
    )

    key: str = field(default="", repr=False)
    api: str = "https://api.si.edu/openaccess/api/v1.0/search"

    @classmethod
    def at(cls, environ: Mapping[str, str]) -> Self:
        """Return the source with the key of the environment."""
        return cls(environ.get(_SMITHSONIAN_KEY, ""))

    def request(self, query: str, licenses: str, page: int, cursor: str) -> PageRequest:  # noqa: ARG002 - counts pages
        """See ``Search``."""
        parameters = {
            "q": f"{query} AND online_media_type:Images AND media_usage:CC0",
            "start": page * self.about.size,
            "rows": self.about.size,
        }
        # in a header, so that no URL holds the key
        return PageRequest(f"{self.api}?{urlencode(parameters, errors='replace')}", {"X-Api-Key": self.key})

    def objects(self, page: Mapping[str, object]) -> tuple[object, object]:
        """See ``Museum``."""
        response = mapping(page.get("response"))
        return response.get("rows"), response.get("rowCount")

    def result(self, found: object, page: Mapping[str, object]) -> Result | None:  # noqa: ARG002 - the object says all
        """See ``Museum``."""
        record = mapping(found)
        content = mapping(record.get("content"))
        described = mapping(content.get("descriptiveNonRepeating"))
        media = map(mapping, items(mapping(described.get("online_media")).get("media")) or ())
        free = (
            one for one in media if one.get("type") == "Images" and mapping(one.get("usage")).get("access") == "CC0"
        )
        return _free(
            next(filter(None, (address(one.get("content")) for one in free)), ""),
            described.get("record_link") or described.get("guid"),
            record.get("title"),
            "; ".join(_contents(mapping(content.get("freetext")).get("name"))),
        )


def _contents(value: object) -> Sequence[str]:
    return [found for one in items(value) or () if (found := text(mapping(one).get("content")))]


@frozen
class Met(Museum):
    """The Metropolitan Museum of Art (https://metmuseum.github.io/). Its search gives numbers of objects only.

    Attributes:
        api: The URL below which search and objects are.
    """

    about: ClassVar[About] = About(
        name="met",
        size=100,
        depth=10_000,
        licenses=_LICENSES,
        limits=Limits(concurrent=2, minute=120),  # others were refused at a faster pace than that
        details=True,
        terms="images of objects in the public domain are under CC0",
        terms_url="https://www.metmuseum.org/policies/terms-and-conditions",
        tried=_TRIED,
    )

    api: str = "https://collectionapi.metmuseum.org/public/collection"

    @classmethod
    def at(cls, environ: Mapping[str, str]) -> Self:  # noqa: ARG003 - the search needs no credentials
        """Return the source."""
        return cls()

    def request(self, query: str, licenses: str, page: int, cursor: str) -> PageRequest:  # noqa: ARG002 - counts pages
        """See ``Search``."""
        size = self.about.size
        parameters = {
            "q": query,
            "hasImages": "true",
            "isPublicDomain": "true",
            "offset": page * size,
            "limit": size,
        }
        return PageRequest(f"{self.api}/v1.1/search?{urlencode(parameters, errors='replace')}")

    def objects(self, page: Mapping[str, object]) -> tuple[object, object]:
        """See ``Museum``. A page without results has null instead of a list."""
        numbers = page.get("objectIDs")
        return ([] if numbers is None and "total" in page else numbers), page.get("total")

    def result(self, found: object, page: Mapping[str, object]) -> Detail | None:  # noqa: ARG002 - it is a number
        """See ``Museum``."""
        return Detail(PageRequest(f"{self.api}/v1/objects/{found}"), _described) if isinstance(found, int) else None


def _described(answer: PageAnswer) -> Result | None:
    """Return the image of an object of the Met."""
    record = document(answer.body)
    if record.get("isPublicDomain") is not True:
        return None
    url = address(record.get("primaryImage"))
    return _free(url, record.get("objectURL"), record.get("title"), record.get("artistDisplayName"))
