"""Pages of results as search engines write them, and engines on loopback that answer with them."""

import html
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from urllib.parse import parse_qsl, urlsplit

from attrs import frozen
from hostile import Answer, Client, status

CONSENT = b"""<!doctype html><html><head><title>Before you continue</title></head><body>
<img src="https://www.gstatic.com/images/branding/googlelogo.png"><h1>Before you continue</h1>
<form action="https://consent.example/save" method="POST"><button>Accept all</button></form></body></html>"""

NO_SCRIPT = b"""<!doctype html><html><head><noscript><meta content="0;url=/retry/enablejs?sei=x" http-equiv="refresh">
</noscript><script>var w="http://www.w3.org/2000/svg";</script></head><body></body></html>"""

_CIPHER = str.maketrans(
    {
        **dict(zip("abcdefghijklmnopqrstuvw0123456789", "wkv1ju2it3hs4g5rq6fp7eoa8dn9cm0bl", strict=True)),
        ":": "_z2C$q",
        ".": "_z&e3B",
        "/": "AzdH3F",
    }
)


@frozen
class Found:
    """One result, as the engine knows it."""

    url: str
    page_url: str = ""
    title: str = ""


def founds(urls: Iterable[str]) -> list[Found]:
    """Give each of them a page and a title of its own."""
    return [
        Found(url, f"https://site.example/{number}", f"Red panda no. {number}") for number, url in enumerate(urls, 1)
    ]


def bing_links(values: Iterable[str]) -> bytes:
    """A page of Bing's whose links say this of their images."""
    items = "".join(
        f'<li data-idx="{number}"><div class="iuscp"><div class="imgpt"><a class="iusc" href="/search?id={number}"'
        f' m="{html.escape(value)}"><div class="img_cont"><img class="mimg" src="https://th.example/{number}"></div></a>'
        '<div class="img_info"><span>320 x 240 · jpeg</span></div></div></div></li>'
        for number, value in enumerate(values, 1)
    )
    return f'<div class="dgControl hover"><ul class="dgControl_list">{items}</ul></div>'.encode()


def bing_page(results: Iterable[Found]) -> bytes:
    """A page of Bing's, which marks the words that it found."""
    return bing_links(
        json.dumps(
            {
                "murl": found.url,
                "turl": "https://th.example/1",
                "purl": found.page_url,
                "t": found.title.replace("panda", "\ue000panda\ue001"),
            },
            ensure_ascii=False,
            separators=(",", ":"),  # icrawler's own parser knows no other form
        )
        for found in results
    )


def google_page(results: Iterable[Found]) -> bytes:
    """A page of Google's: data for a script, among what is Google's own."""
    thumbnail, logo = "https://encrypted-tbn0.gstatic.com/images?q=tbn:x&s=1", "https://www.gstatic.com/logo_48dp.png"
    cells = [
        [
            *(1, [0, f"id{number}", [thumbnail, 168, 300], [found.url, 240, 320], None, 0, "rgb(1,2,3)"]),
            {"2003": [None, f"id{number}", found.page_url, found.title, None, [logo, 48, 48]]},
        ]
        for number, found in enumerate(results)
    ]
    data = json.dumps(cells, ensure_ascii=False).replace("=", "\\u003d").replace("&", "\\u0026")
    return (
        '<!doctype html><html><head><script>var s="https://www.google.com/xjs",t=[1];</script></head><body>'
        '<form action="/search" method="GET"><input name="q"></form>'
        f"<script>AF_initDataCallback({{key: 'ds:1', data:{data}, sideChannel: {{}}}});</script></body></html>"
    ).encode()


def ciphered(url: str) -> str:
    """An address as Baidu writes it."""
    return url.translate(_CIPHER)


def baidu_items(items: Iterable[object]) -> bytes:
    """A page of Baidu's with these items, and the empty one at its end."""
    answer = {"queryEnc": "x", "listNum": 1000, "bdFmtDispNum": "1000", "data": [*items, {}]}
    return json.dumps(answer, ensure_ascii=False).replace("'", "\\'").encode()


def baidu_page(results: Iterable[Found]) -> bytes:
    """A page of Baidu's, which marks the words that it found."""
    return baidu_items(
        {
            "objURL": ciphered(found.url),
            "hoverURL": "https://img0.example/it/u=1",
            "fromURL": ciphered(found.page_url),
            "fromPageTitle": found.title.replace("panda", "<strong>panda</strong>"),
        }
        for found in results
    )


Page = Callable[[Mapping[str, str]], bytes]  # of what was asked, by name


def engine(page: Page) -> Answer:
    """Answer with the page that fits what was asked."""

    async def answer(client: Client) -> bool:
        asked = dict(parse_qsl(urlsplit(client.site.asked[-1].target).query))
        return await status(200, page(asked), Content_Type="text/html; charset=utf-8")(client)

    return answer


def bing(results: Sequence[Found]) -> Page:
    """Bing: counts from 1, takes 0 for 1 too, and gives 35 a page, wherever it begins."""

    def page(asked: Mapping[str, str]) -> bytes:
        return bing_page(results[max(int(asked["first"]) - 1, 0) :][:35])

    return page


def google(results: Sequence[Found]) -> Page:
    """Google: 100 a page."""
    return lambda asked: google_page(results[int(asked["start"]) :][:100])


def baidu(results: Sequence[Found]) -> Page:
    """Baidu: as many as are asked for."""
    return lambda asked: baidu_page(results[int(asked["pn"]) :][: int(asked["rn"])])
