"""The contract of sources that are searched, for the collections: each answers as its documentation says."""

from collections.abc import Callable, Mapping
from typing import Any

from apis import openverse_entry
from attrs import evolve

from pixcore_adapters.downloader.sources.europeana import Europeana
from pixcore_adapters.downloader.sources.inaturalist import INaturalist
from pixcore_adapters.downloader.sources.museums import ArtInstitute, Met, Smithsonian
from pixcore_adapters.downloader.sources.openverse import Openverse
from pixcore_adapters.downloader.sources.search import Search

from .source import Answers, Asked, Reply, SearchContract

KEY = "secret-credential"  # the value that the contract gives to every credential
Item = Mapping[str, Any]


def page_of(count: int, start: int, size: int) -> range:
    """Return the numbers of the results on a page."""
    return range(count)[start : start + size]


class TestOpenverseWithCredentials(SearchContract):
    """Openverse with client credentials: a token, and 500 results a page."""

    def search(self, url: str) -> Search:
        """See ``SearchContract``."""
        return Openverse(f"{url}/v1/images/", KEY, KEY)

    def answers(self, count: int, image: Callable[[int], str]) -> Answers:
        """See ``SearchContract``."""

        def answer(asked: Asked) -> Reply:
            if asked.path == "/v1/auth_tokens/token/":
                assert asked.form == {"grant_type": "client_credentials", "client_id": KEY, "client_secret": KEY}
                return Reply.json({"access_token": "a-token", "token_type": "Bearer", "expires_in": 43_200})
            assert asked.headers["authorization"] == "Bearer a-token"
            size, page = int(asked.query["page_size"]), int(asked.query["page"])
            assert size <= 500
            found = [openverse_entry(image(n), n) for n in page_of(count, (page - 1) * size, size)]
            return Reply.json({"result_count": count, "page_count": -(-count // size), "results": found})

        return answer


class TestINaturalist(SearchContract):
    """iNaturalist's API: the first licensed photo of each observation, with its species."""

    def search(self, url: str) -> Search:
        """See ``SearchContract``."""
        return INaturalist(f"{url}/v1/observations")

    def answers(self, count: int, image: Callable[[int], str]) -> Answers:
        """See ``SearchContract``."""

        def answer(asked: Asked) -> Reply:
            size, page = int(asked.query["per_page"]), int(asked.query["page"])
            found = [observation(image(n), n) for n in page_of(count, (page - 1) * size, size)]
            return Reply.json({"total_results": count, "page": page, "per_page": size, "results": found})

        return answer


def observation(url: str, number: int) -> Item:
    """Return an observation in the format of iNaturalist, whose first photo has no licence."""
    photos = [
        {"id": 2 * number, "license_code": None, "url": "https://static.example/square.jpg"},
        {"id": 2 * number + 1, "license_code": "cc-by-nc", "attribution": "(c) Ada", "url": url},
    ]
    return {
        "id": number,
        "uri": f"https://www.inaturalist.org/observations/{number}",
        "quality_grade": "research",
        "taxon": {"id": 71, "name": "Ailurus fulgens fulgens", "rank": "subspecies", "preferred_common_name": "Panda"},
        "user": {"login": "ada", "name": "Ada"},
        "photos": photos,
    }


class TestEuropeana(SearchContract):
    """Europeana: a key in a header, and a cursor."""

    def search(self, url: str) -> Search:
        """See ``SearchContract``."""
        return Europeana(KEY, f"{url}/record/v2/search.json")

    def answers(self, count: int, image: Callable[[int], str]) -> Answers:
        """See ``SearchContract``."""

        def answer(asked: Asked) -> Reply:
            assert asked.headers["x-api-key"] == KEY
            start = 0 if asked.query["cursor"] == "*" else int(asked.query["cursor"].removeprefix("AoE="))
            size = int(asked.query["rows"])
            found = [record(image(n), n) for n in page_of(count, start, size)]
            more = {"nextCursor": f"AoE={start + size}"} if start + size < count else {}
            about = {"apikey": KEY, "success": True, "itemsCount": len(found), "totalResults": count}
            return Reply.json({**about, "items": found, **more})

        return answer


def record(url: str, number: int) -> Item:
    """Return a record in the format of Europeana."""
    return {
        "id": f"/2022704/{number}",
        "guid": f"https://www.europeana.eu/item/2022704/{number}?utm_source=api&utm_campaign={KEY}",
        "title": [f"Red panda {number}"],
        "dcCreator": ["http://data.europeana.eu/agent/1", "Ada"],
        "dcDescription": ["A red panda in a tree."],
        "edmIsShownBy": [url],
        "rights": ["http://creativecommons.org/licenses/by-sa/4.0/"],
        "dataProvider": ["A museum"],
        "type": "IMAGE",
    }


class TestArtInstitute(SearchContract):
    """The Art Institute of Chicago."""

    def search(self, url: str) -> Search:
        """See ``SearchContract``."""
        return ArtInstitute(f"{url}/api/v1/artworks/search")

    def image(self, number: int) -> str:
        """Return the address at a IIIF server."""
        return f"https://images.example/iiif/2/image-{number}/full/843,/0/default.jpg"

    def answers(self, count: int, image: Callable[[int], str]) -> Answers:
        """See ``SearchContract``."""

        def answer(asked: Asked) -> Reply:
            size, page = int(asked.query["limit"]), int(asked.query["page"])
            assert asked.query["query[term][is_public_domain]"] == "true"
            assert size <= 100
            numbers = page_of(count, (page - 1) * size, size)
            base = image(0).partition("/image-")[0]
            return Reply.json(
                {
                    "pagination": {"total": count, "limit": size, "current_page": page},
                    "data": [work(n) for n in numbers],
                    "config": {"iiif_url": base, "website_url": "https://www.artic.edu"},
                }
            )

        return answer


def work(number: int) -> Item:
    """Return a work in the format of the Art Institute."""
    return {
        "id": number,
        "title": f"Red panda {number}",
        "artist_title": "Ada",
        "artist_display": "Ada\nBritish, 1815-1852",
        "is_public_domain": True,
        "image_id": f"image-{number}",
        "thumbnail": {"alt_text": "A red panda in a tree.", "width": 3000, "height": 2000},
    }


class TestSmithsonian(SearchContract):
    """The Smithsonian: a key in a header."""

    def search(self, url: str) -> Search:
        """See ``SearchContract``."""
        return Smithsonian(KEY, f"{url}/openaccess/api/v1.0/search")

    def answers(self, count: int, image: Callable[[int], str]) -> Answers:
        """See ``SearchContract``."""

        def answer(asked: Asked) -> Reply:
            assert asked.headers["x-api-key"] == KEY
            start, size = int(asked.query["start"]), int(asked.query["rows"])
            rows = [thing(image(n), n) for n in page_of(count, start, size)]
            return Reply.json({"status": 200, "responseCode": 1, "response": {"rows": rows, "rowCount": count}})

        return answer


def thing(url: str, number: int) -> Item:
    """Return an object in the format of the Smithsonian, whose first image is not free."""
    media = [
        {"type": "Images", "content": "https://ids.example/other", "usage": {"access": "Usage conditions apply"}},
        {"type": "Images", "content": url, "idsId": f"ids-{number}", "usage": {"access": "CC0"}},
    ]
    return {
        "id": f"edanmdm-{number}",
        "title": f"Red panda {number}",
        "unitCode": "NMNH",
        "content": {
            "descriptiveNonRepeating": {
                "record_link": f"https://collections.example/{number}",
                "guid": f"http://n2t.net/ark:/{number}",
                "online_media": {"mediaCount": 2, "media": media},
            },
            "freetext": {"name": [{"label": "Artist", "content": "Ada"}]},
        },
    }


class SmallMet(Met):
    """The Met with small pages, and without the limit by the minute, which only its clock would show."""

    about = evolve(Met.about, size=10, limits=evolve(Met.about.limits, minute=0))


class TestMet(SearchContract):
    """The Met: pages of numbers, and a request for each object."""

    count = 25

    def search(self, url: str) -> Search:
        """See ``SearchContract``."""
        return SmallMet(f"{url}/public/collection")

    def is_page(self, asked: Asked) -> bool:
        """See ``SearchContract``."""
        return asked.path.endswith("/search")

    def answers(self, count: int, image: Callable[[int], str]) -> Answers:
        """See ``SearchContract``."""

        def answer(asked: Asked) -> Reply:
            if not asked.path.endswith("/v1.1/search"):
                return Reply.json(museum_object(image, int(asked.path.rpartition("/")[2])))
            start, size = int(asked.query["offset"]), int(asked.query["limit"])
            assert size <= 500
            return Reply.json({"total": count, "objectIDs": list(page_of(count, start, size)) or None})

        return answer


def museum_object(image: Callable[[int], str], number: int) -> Item:
    """Return an object in the format of the Met."""
    return {
        "objectID": number,
        "isPublicDomain": True,
        "primaryImage": image(number),
        "additionalImages": [],
        "title": f"Red panda {number}",
        "artistDisplayName": "Ada",
        "objectURL": f"https://www.metmuseum.org/art/collection/search/{number}",
    }
