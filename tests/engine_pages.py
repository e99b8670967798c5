"""Pages of results in the formats of search engines, and engines on loopback that serve them."""

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
    """One result of an engine."""

    url: str
    page_url: str = ""
    title: str = ""


def results_of(urls: Iterable[str]) -> list[Found]:
    """Return a result for each URL, with a page and a title of its own."""
    return [
        Found(url, f"https://site.example/{number}", f"Red panda no. {number}") for number, url in enumerate(urls, 1)
    ]


def bing_links(values: Iterable[str]) -> bytes:
    """Return a page of Bing whose links have these attributes."""
    items = "".join(
        f'<li data-idx="{number}"><div class="iuscp"><div class="imgpt"><a class="iusc" href="/search?id={number}"'
        f' m="{html.escape(value)}"><div class="img_cont"><img class="mimg" src="https://th.example/{number}"></div></a>'
        '<div class="img_info"><span>320 x 240 · jpeg</span></div></div></div></li>'
        for number, value in enumerate(values, 1)
    )
    return f'<div class="dgControl hover"><ul class="dgControl_list">{items}</ul></div>'.encode()


def bing_page(results: Iterable[Found]) -> bytes:
    """Return a page of Bing, with the matched words marked."""
    return bing_links(
        json.dumps(
            {
                "murl": found.url,
                "turl": "https://th.example/1",
                "purl": found.page_url,
                "t": found.title.replace("panda", "\ue000panda\ue001"),
            },
            ensure_ascii=False,
            separators=(",", ":"),  # icrawler's own parser accepts no other form
        )
        for found in results
    )


def google_page(results: Iterable[Found]) -> bytes:
    """Return a page of Google: data for a script between other parts of the page."""
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
    """Encode a URL like Baidu."""
    return url.translate(_CIPHER)


def baidu_items(items: Iterable[object]) -> bytes:
    """Return a page of Baidu with these items and the empty one at its end."""
    answer = {"queryEnc": "x", "listNum": 1000, "bdFmtDispNum": "1000", "data": [*items, {}]}
    return json.dumps(answer, ensure_ascii=False).replace("'", "\\'").encode()


def baidu_page(results: Iterable[Found]) -> bytes:
    """Return a page of Baidu, with the matched words marked."""
    return baidu_items(
        {
            "objURL": ciphered(found.url),
            "hoverURL": "https://img0.example/it/u=1",
            "fromURL": ciphered(found.page_url),
            "fromPageTitle": found.title.replace("panda", "<strong>panda</strong>"),
        }
        for found in results
    )


Page = Callable[[Mapping[str, str]], bytes]  # from the parameters of the request


def engine(page: Page) -> Answer:
    """Answer each request with the page for its parameters."""

    async def answer(client: Client) -> bool:
        parameters = dict(parse_qsl(urlsplit(client.site.requests[-1].target).query))
        return await status(200, page(parameters), Content_Type="text/html; charset=utf-8")(client)

    return answer


def bing(results: Sequence[Found]) -> Page:
    """Serve pages of Bing: positions start at 1, 0 counts as 1, and each page has 35 results."""

    def page(parameters: Mapping[str, str]) -> bytes:
        return bing_page(results[max(int(parameters["first"]) - 1, 0) :][:35])

    return page


def google(results: Sequence[Found]) -> Page:
    """Serve pages of Google, with 100 results each."""
    return lambda parameters: google_page(results[int(parameters["start"]) :][:100])


def baidu(results: Sequence[Found]) -> Page:
    """Serve pages of Baidu, with as many results as requested."""
    return lambda parameters: baidu_page(results[int(parameters["pn"]) :][: int(parameters["rn"])])
