"""The two open APIs on loopback, in their documented formats, and pages of results without a network."""

import json
from collections.abc import Callable, Generator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import closing
from typing import Any
from urllib.parse import parse_qs, urlsplit

from attrs import define, field
from hostile import Answer, Client, Site, picture, status

from pixcore.model.images import Candidate, Miss
from pixcore_adapters.downloader.sources.search import PageAnswer, PageRequest

Entry = dict[str, Any]


def query(target: str) -> dict[str, str]:
    """Return the parameters of a request."""
    return {name: values[-1] for name, values in parse_qs(urlsplit(target).query, keep_blank_values=True).items()}


def answer(value: object, code: int = 200, **headers: object) -> Answer:
    """Answer with JSON."""
    return status(code, json.dumps(value).encode(), **{"Content_Type": "application/json", **headers})


def body(number: int) -> bytes:
    """Return the content of a picture's file."""
    return f"picture {number}".encode()


@define
class Api:
    """Answers requests from ``entries``; ``instead`` has other answers for some pages, by their numbers from 0.

    ``pages`` lists the numbers of the requested pages, ``requests`` the parameters of the requests, in order.
    """

    entries: Sequence[Entry]
    instead: dict[int, Answer] = field(factory=dict)
    headers: Callable[[], Mapping[str, object]] = dict
    pages: list[int] = field(factory=list, init=False)
    requests: list[dict[str, str]] = field(factory=list, init=False)

    async def __call__(self, client: Client) -> bool:
        """See ``hostile.Answer``."""
        parameters = query(client.site.requests[-1].target)
        number = self.number(parameters)
        self.requests.append(parameters)
        self.pages.append(number)
        reply = self.instead.get(number) or answer(self.found(parameters, number), **self.headers())
        return await reply(client)

    def number(self, parameters: Mapping[str, str]) -> int:
        """Return the number of the requested page, from 0."""
        raise NotImplementedError

    def found(self, parameters: Mapping[str, str], number: int) -> object:
        """Return the JSON value of the page."""
        raise NotImplementedError


class OpenverseApi(Api):
    """``/v1/images/`` of Openverse's API."""

    def number(self, parameters: Mapping[str, str]) -> int:
        """See ``Api``."""
        return int(parameters["page"]) - 1

    def found(self, parameters: Mapping[str, str], number: int) -> object:
        """See ``Api``."""
        size = int(parameters["page_size"])
        assert size <= 20, "more needs an account"
        wanted = set(filter(None, parameters.get("license", "").split(",")))
        found = [entry for entry in self.entries if not wanted or entry["license"] in wanted]
        return {
            "result_count": len(found),
            "page_count": -(-len(found) // size),
            "page_size": size,
            "page": number + 1,
            "results": found[number * size : (number + 1) * size],
        }


class CommonsApi(Api):
    """``/w/api.php`` of Wikimedia Commons, which returns files in no particular order."""

    def number(self, parameters: Mapping[str, str]) -> int:
        """See ``Api``."""
        return int(parameters["gsroffset"]) // int(parameters["gsrlimit"])

    def found(self, parameters: Mapping[str, str], number: int) -> object:
        """See ``Api``."""
        size = int(parameters["gsrlimit"])
        assert size <= 50, "imageinfo accepts no more titles"
        start = number * size
        found = [{**entry, "index": index} for index, entry in enumerate(self.entries[start : start + size], start + 1)]
        more = (
            {"continue": {"gsroffset": start + size, "continue": "gsroffset||"}} if self.entries[start + size :] else {}
        )
        # an answer without results has no `query` at all
        return {"batchcomplete": True, **more, **({"query": {"pages": found[::-1]}} if found else {})}


def openverse_entry(url: str, number: int = 0, **changes: object) -> Entry:
    """Return a result in the format of Openverse."""
    return {
        "id": f"4bc43a04-ef46-4544-a0c1-{number:012}",
        "title": f"Red panda {number}",
        "indexed_on": "2022-08-27T17:39:48Z",
        "foreign_landing_url": f"https://photos.example/{number}",
        "url": url,
        "creator": "Ada",
        "creator_url": "https://photos.example/ada",
        "license": "by-sa",
        "license_version": "4.0",
        "license_url": "https://creativecommons.org/licenses/by-sa/4.0/",
        "provider": "flickr",
        "source": "flickr",
        "category": None,
        "filesize": 1024,
        "filetype": "jpg",
        "tags": [{"accuracy": None, "name": "tree", "unstable__provider": "flickr"}],
        "attribution": "…",
        "mature": False,
        "height": 10,
        "width": 10,
        **changes,
    }


def commons_entry(url: str, number: int = 0, **metadata: object) -> Entry:
    """Return a file in the format of the MediaWiki API (formatversion 2), without index; None omits a value."""
    values = {
        "ObjectName": f"Red panda {number}",
        "Artist": '<a href="//commons.wikimedia.org/wiki/User:Ada" title="User:Ada">Ada</a>',
        "LicenseShortName": "CC BY-SA 4.0",
        "LicenseUrl": "https://creativecommons.org/licenses/by-sa/4.0",
        "License": "cc-by-sa-4.0",
        **metadata,
    }
    info = {
        "url": url,
        "descriptionurl": f"https://commons.wikimedia.org/wiki/File:Red_panda_{number}.jpg",
        "descriptionshorturl": f"https://commons.wikimedia.org/w/index.php?curid={number}",
        "extmetadata": {
            name: {"value": value, "source": "commons-desc-page", "hidden": ""}
            for name, value in values.items()
            if value is not None
        },
    }
    title = f"File:Red panda {number}.jpg"
    return {"pageid": number + 1, "ns": 6, "title": title, "imagerepository": "local", "imageinfo": [info]}


def pictures(site: Site, count: int) -> list[str]:
    """Add so many pictures to the site; return their URLs."""
    for number in range(count):
        site.routes[f"/{number}.jpg"] = picture(body(number))
    return [site.url(f"/{number}.jpg") for number in range(count)]


@define
class PagesInMemory:
    """Pages without a network: ``written`` returns the page at a URL; see ``source.Pages``.

    ``requests`` lists the requested URLs in order, ``dropped`` those that were cancelled.
    """

    written: Callable[[str], bytes]
    requests: list[str] = field(factory=list, init=False)
    futures: list[Future[PageAnswer]] = field(factory=list, init=False)

    def __call__(self, request: PageRequest) -> Future[PageAnswer]:
        """See ``Pages``; a page arrives once the source waits for it."""
        self.requests.append(request.url)
        self.futures.append(Future())
        return self.futures[-1]

    def read(self, items: Generator[Candidate | Miss | Future[PageAnswer]]) -> Generator[Candidate | Miss]:
        """Yield the candidates of a source; deliver each page when the source waits for it."""
        with closing(items):
            for item in items:
                if isinstance(item, Future):
                    item.set_result(PageAnswer(self.written(self.requests[self.futures.index(item)])))
                else:
                    yield item

    def dropped(self) -> list[str]:
        """Return the URLs of requests that were cancelled."""
        return [url for url, future in zip(self.requests, self.futures, strict=True) if future.cancelled()]


def no_page(url: object) -> bytes:
    """Fail, for sources that must request no page."""
    raise AssertionError(f"{url} was requested")
