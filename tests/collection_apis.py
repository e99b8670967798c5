"""The collections on loopback: each answers as its documentation says. For ``contract.source.serving``."""

from collections.abc import Callable, Mapping
from typing import Any

from apis import openverse_entry
from contract.source import Answers, Asked, Reply

KEY = "secret-credential"  # the value that the contract gives to every credential
Item = Mapping[str, Any]
Images = Callable[[int], str]
"""Returns the URL of the image of a result, by its number from 0."""


def page_of(count: int, start: int, size: int) -> range:
    """Return the numbers of the results on a page."""
    return range(count)[start : start + size]


def openverse(count: int, image: Images) -> Answers:
    """Return the answers of Openverse to a client with credentials: a token, and pages of at most 500 results."""

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


def inaturalist(count: int, image: Images) -> Answers:
    """Return the answers of iNaturalist's API: observations whose first photo has no licence."""

    def answer(asked: Asked) -> Reply:
        size, page = int(asked.query["per_page"]), int(asked.query["page"])
        found = [_observation(image(n), n) for n in page_of(count, (page - 1) * size, size)]
        return Reply.json({"total_results": count, "page": page, "per_page": size, "results": found})

    return answer


def _observation(url: str, number: int) -> Item:
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


def europeana(count: int, image: Images) -> Answers:
    """Return the answers of Europeana to a client with a key; it repeats the key."""

    def answer(asked: Asked) -> Reply:
        assert asked.headers["x-api-key"] == KEY
        start = 0 if asked.query["cursor"] == "*" else int(asked.query["cursor"].removeprefix("AoE="))
        size = int(asked.query["rows"])
        found = [_record(image(n), n) for n in page_of(count, start, size)]
        more = {"nextCursor": f"AoE={start + size}"} if start + size < count else {}
        about = {"apikey": KEY, "success": True, "itemsCount": len(found), "totalResults": count}
        return Reply.json({**about, "items": found, **more})

    return answer


def _record(url: str, number: int) -> Item:
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


def artic(count: int, image: Images) -> Answers:
    """Return the answers of the Art Institute. ``image(n)`` ends in ``/image-{n}/full/843,/0/default.jpg``."""

    def answer(asked: Asked) -> Reply:
        size, page = int(asked.query["limit"]), int(asked.query["page"])
        assert asked.query["query[term][is_public_domain]"] == "true"
        assert size <= 100
        return Reply.json(
            {
                "pagination": {"total": count, "limit": size, "current_page": page},
                "data": [_work(n) for n in page_of(count, (page - 1) * size, size)],
                "config": {"iiif_url": image(0).partition("/image-")[0], "website_url": "https://www.artic.edu"},
            }
        )

    return answer


def _work(number: int) -> Item:
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


def smithsonian(count: int, image: Images) -> Answers:
    """Return the answers of the Smithsonian to a client with a key."""

    def answer(asked: Asked) -> Reply:
        assert asked.headers["x-api-key"] == KEY
        start, size = int(asked.query["start"]), int(asked.query["rows"])
        rows = [_open_access_object(image(n), n) for n in page_of(count, start, size)]
        return Reply.json({"status": 200, "responseCode": 1, "response": {"rows": rows, "rowCount": count}})

    return answer


def _open_access_object(url: str, number: int) -> Item:
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


def met(count: int, image: Images) -> Answers:
    """Return the answers of the Met: pages of at most 500 numbers, and each object."""

    def answer(asked: Asked) -> Reply:
        if not asked.path.endswith("/v1.1/search"):
            return Reply.json(_museum_object(image, int(asked.path.rpartition("/")[2])))
        start, size = int(asked.query["offset"]), int(asked.query["limit"])
        assert size <= 500
        return Reply.json({"total": count, "objectIDs": list(page_of(count, start, size)) or None})

    return answer


def _museum_object(image: Images, number: int) -> Item:
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
