"""The two open APIs on loopback, in the formats that their documentation gives, and pages without a network."""

import json
from collections.abc import Callable, Generator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import closing
from typing import Any
from urllib.parse import parse_qs, urlsplit

from attrs import define, field
from hostile import Answer, Client, Site, picture, status

from pixcore.model.images import Candidate, Miss

Entry = dict[str, Any]


def query(target: str) -> dict[str, str]:
    """The parameters of a request."""
    return {name: values[-1] for name, values in parse_qs(urlsplit(target).query, keep_blank_values=True).items()}


def answer(value: object, code: int = 200, **headers: object) -> Answer:
    """Answer with JSON."""
    return status(code, json.dumps(value).encode(), **{"Content_Type": "application/json", **headers})


def body(number: int) -> bytes:
    """What a picture's file holds."""
    return f"picture {number}".encode()


@define
class Api:
    """Answers requests out of ``entries``; ``instead`` gives another answer to the page of that number, from 0.

    ``pages`` holds the numbers of the pages that were asked for, ``asked`` their parameters, in order.
    """

    entries: Sequence[Entry]
    instead: dict[int, Answer] = field(factory=dict)
    headers: Callable[[], Mapping[str, object]] = dict
    pages: list[int] = field(factory=list, init=False)
    asked: list[dict[str, str]] = field(factory=list, init=False)

    async def __call__(self, client: Client) -> bool:
        """See ``hostile.Answer``."""
        asked = query(client.site.asked[-1].target)
        number = self.number(asked)
        self.asked.append(asked)
        self.pages.append(number)
        reply = self.instead.get(number) or answer(self.found(asked, number), **self.headers())
        return await reply(client)

    def number(self, asked: Mapping[str, str]) -> int:
        """Which page is meant, from 0."""
        raise NotImplementedError

    def found(self, asked: Mapping[str, str], number: int) -> object:
        """That page."""
        raise NotImplementedError


class OpenverseApi(Api):
    """``/v1/images/`` of Openverse's API."""

    def number(self, asked: Mapping[str, str]) -> int:
        """See ``Api``."""
        return int(asked["page"]) - 1

    def found(self, asked: Mapping[str, str], number: int) -> object:
        """See ``Api``."""
        size = int(asked["page_size"])
        assert size <= 20, "more needs an account"
        wanted = set(filter(None, asked.get("license", "").split(",")))
        found = [entry for entry in self.entries if not wanted or entry["license"] in wanted]
        return {
            "result_count": len(found),
            "page_count": -(-len(found) // size),
            "page_size": size,
            "page": number + 1,
            "results": found[number * size : (number + 1) * size],
        }


class CommonsApi(Api):
    """``/w/api.php`` of Wikimedia Commons: the files in no particular order, as the API gives them."""

    def number(self, asked: Mapping[str, str]) -> int:
        """See ``Api``."""
        return int(asked["gsroffset"]) // int(asked["gsrlimit"])

    def found(self, asked: Mapping[str, str], number: int) -> object:
        """See ``Api``."""
        size = int(asked["gsrlimit"])
        assert size <= 50, "imageinfo takes no more titles"
        start = number * size
        found = [{**entry, "index": index} for index, entry in enumerate(self.entries[start : start + size], start + 1)]
        more = (
            {"continue": {"gsroffset": start + size, "continue": "gsroffset||"}} if self.entries[start + size :] else {}
        )
        # an answer without results has no `query` at all
        return {"batchcomplete": True, **more, **({"query": {"pages": found[::-1]}} if found else {})}


def openverse_entry(url: str, number: int = 0, **changes: object) -> Entry:
    """A result as Openverse describes it."""
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
    """A file as the MediaWiki API describes it (formatversion 2), without its index; None leaves a value out."""
    said = {
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
            for name, value in said.items()
            if value is not None
        },
    }
    title = f"File:Red panda {number}.jpg"
    return {"pageid": number + 1, "ns": 6, "title": title, "imagerepository": "local", "imageinfo": [info]}


def pictures(site: Site, count: int) -> list[str]:
    """Put so many pictures on the site and give their addresses."""
    for number in range(count):
        site.routes[f"/{number}.jpg"] = picture(body(number))
    return [site.url(f"/{number}.jpg") for number in range(count)]


@define
class Paper:
    """Pages without a network: ``written`` gives the one at an address; see ``source.Pages``.

    ``asked`` holds what was asked for, in order; ``dropped`` what nobody wanted any more.
    """

    written: Callable[[str], bytes]
    asked: list[str] = field(factory=list, init=False)
    futures: list[Future[bytes]] = field(factory=list, init=False)

    def __call__(self, url: str) -> Future[bytes]:
        """See ``Pages``; a page is there once somebody waits for it."""
        self.asked.append(url)
        self.futures.append(Future())
        return self.futures[-1]

    def read(self, items: Generator[Candidate | Miss | Future[bytes]]) -> Generator[Candidate | Miss]:
        """What a source proposes, with its pages given as it waits for them."""
        with closing(items):
            for item in items:
                if isinstance(item, Future):
                    item.set_result(self.written(self.asked[self.futures.index(item)]))
                else:
                    yield item

    def dropped(self) -> list[str]:
        """What was asked for and then given up."""
        return [url for url, future in zip(self.asked, self.futures, strict=True) if future.cancelled()]


def no_page(url: str) -> bytes:
    """For sources that ask for no page."""
    raise AssertionError(f"{url} was asked for")
