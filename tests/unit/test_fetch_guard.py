"""The fetcher cannot be used to attack the network it runs in."""

import os
import re
import socket
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from itertools import chain, repeat
from pathlib import Path

import pycurl
import pytest
from hostile import AGENT, Site, fetch, picture, policy, redirect, status

from pixcore.errors import InvalidRequest
from pixcore_adapters.downloader.fetch import handle
from pixcore_adapters.downloader.fetch.failures import FetchFailed
from pixcore_adapters.downloader.fetch.handle import open_socket
from pixcore_adapters.downloader.fetch.hosts import HostHeader
from pixcore_adapters.downloader.fetch.policy import Fetched, FetchPolicy, Missed
from pixcore_adapters.downloader.fetch.url import web_url

PUBLIC = "93.184.216.34"


class Names:
    """A resolver with a table of results. Each call returns the next one, and the last one repeats."""

    def __init__(self, answers: Mapping[str, Sequence[Sequence[str]]]) -> None:
        self._answers = {name: chain(each, repeat(each[-1])) for name, each in answers.items()}

    async def resolve(self, host: str, port: int) -> Sequence[str]:  # noqa: ARG002 - any port
        """Return the next result."""
        if host not in self._answers:
            raise socket.gaierror(socket.EAI_NONAME, "no such name")
        return next(self._answers[host])


@pytest.fixture
def decoy() -> Iterator[Site]:
    """Return a site on loopback that must never receive a request."""
    with Site({"/x.jpg": picture()}) as site:
        yield site


class Wired(pycurl.Curl):
    """A handle of libcurl that takes sockets which are connected already."""

    def __init__(self) -> None:
        self.setopt(pycurl.SOCKOPTFUNCTION, self._connected)

    def _connected(self, descriptor: int, _purpose: int) -> int:
        with socket.socket(fileno=os.dup(descriptor)) as sock, suppress(OSError):
            sock.getpeername()
            return pycurl.SOCKOPT_ALREADY_CONNECTED
        return pycurl.SOCKOPT_OK


@pytest.fixture
def wire(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, int]]:
    """Redirect connections to the public address to loopback. Return the addresses of all connections."""
    connected: list[tuple[str, int]] = []

    def opened(address: tuple[int, int, int, tuple[str, int]], *, guarded: bool) -> socket.socket:
        sock = open_socket(address, guarded=guarded)
        host, port = address[3][:2]
        connected.append((host, port))
        if host == PUBLIC:
            sock.connect(("127.0.0.1", port))
        return sock

    monkeypatch.setattr(handle, "open_socket", opened)
    monkeypatch.setattr(pycurl, "Curl", Wired)
    return connected


def guarded(**values: object) -> FetchPolicy:
    """Return a policy without private hosts."""
    return FetchPolicy(**{"user_agent": AGENT, "attempts": 1, **values})  # type: ignore[arg-type]  # values of any type


SPELLINGS = [
    "127.0.0.1", "127.0.0.1.", "127.1", "127.0.1", "2130706433", "0x7f000001", "0x7f.1", "0177.0.0.1",
    "017700000001", "0000127.0.0.1", "127.0.0.2", "0", "000.0.0.0", "localhost", "LOCALHOST.",
    "127\u30020\u30020\u30021",
    "\u2460\u2461\u2466.\u24ea.\u24ea.\u2460", "\uff11\uff12\uff17.0.0.1", "[::1]", "[::]", "[::ffff:127.0.0.1]",
    "[::ffff:7f00:1]", "[::127.0.0.1]", "[0:0:0:0:0:ffff:127.0.0.1]", "[64:ff9b::127.0.0.1]", "[2002:7f00:1::]",
    "[fe80::1%25lo]", "[::1%25lo]", "ip6-localhost.", "name.of.loopback", "name.of.both",
]  # fmt: skip


@pytest.mark.parametrize("host", SPELLINGS)
@pytest.mark.parametrize("way", ["asked for", "redirected to"])
def test_private_address(decoy: Site, tmp_path: Path, wire: list[tuple[str, int]], host: str, way: str) -> None:
    """No spelling of a loopback address connects there, neither directly nor by a redirect."""
    url = f"http://{host}:{decoy.port}/x.jpg"
    names = Names(
        {
            "site.example": [[PUBLIC]],
            "name.of.loopback": [["127.0.0.1", "::1"]],
            "name.of.both": [["::ffff:127.0.0.1", "10.0.0.1"]],
            "localhost": [["127.0.0.1"]],
            "ip6-localhost": [["::1"]],
        }
    )
    with Site({"/x.jpg": redirect(url)}) as site:
        start = url if way == "asked for" else f"http://site.example:{site.port}/x.jpg"
        (outcome,) = fetch(start, tmp_path, guarded(), resolver=names)
        assert isinstance(outcome, Missed)
        assert (outcome.reason, outcome.permanent) == ("address_refused", True)
        assert site.paths().count("/x.jpg") == (way == "redirected to")
        assert re.search(r"pass --allow-private-hosts \S+:\d+", outcome.detail)
    assert not decoy.requests
    assert {address for address, _ in wire} <= {PUBLIC}


@pytest.mark.parametrize(
    "target", ["http://169.254.169.254/latest/meta-data/", "http://[fd00:ec2::254]/", "http://168.63.129.16/"]
)
def test_metadata(tmp_path: Path, wire: list[tuple[str, int]], target: str) -> None:
    """A redirect to a cloud's metadata service is refused, even from a trusted host."""
    with Site({"/x.jpg": redirect(target)}) as site:
        (outcome,) = fetch(site.url("/x.jpg"), tmp_path, policy(site))
    assert isinstance(outcome, Missed)
    assert outcome.reason == "address_refused"
    assert {address for address, _ in wire} == {"127.0.0.1"}


def test_rebinding(decoy: Site, tmp_path: Path, wire: list[tuple[str, int]]) -> None:
    """A name that becomes private after the check is connected to the checked address, or not at all."""
    names = Names({f"{n}.example": [[PUBLIC], ["127.0.0.1"]] for n in range(5)})
    with Site({"/x.jpg": picture()}) as site:
        public = [f"http://{n}.example:{site.port}/x.jpg" for n in range(5)]
        assert all(isinstance(outcome, Fetched) for outcome in fetch(public, tmp_path, guarded(), resolver=names))
    later = [f"http://{n}.example:{decoy.port}/x.jpg" for n in range(5)]
    assert {isinstance(each, Missed) and each.reason for each in fetch(later, tmp_path, guarded(), resolver=names)} == {
        "address_refused"
    }
    assert {address for address, _ in wire} == {PUBLIC}
    assert not decoy.requests


@pytest.mark.usefixtures("wire")
def test_rebinding_between_hops(decoy: Site, tmp_path: Path) -> None:
    """A name that was public for the first hop is checked again for a hop to another port."""
    with Site({"/x.jpg": redirect(f"http://flip.example:{decoy.port}/x.jpg")}) as site:
        names = Names({"flip.example": [[PUBLIC], ["127.0.0.1"]]})
        (outcome,) = fetch(f"http://flip.example:{site.port}/x.jpg", tmp_path, guarded(), resolver=names)
        assert site.requests
    assert isinstance(outcome, Missed)
    assert outcome.reason == "address_refused"
    assert not decoy.requests


@pytest.mark.parametrize("host", ["mixed.example", "mixed.example."])
def test_public_among_private(tmp_path: Path, wire: list[tuple[str, int]], host: str) -> None:
    """Only the public addresses of a name are used."""
    with Site({"/x.jpg": picture()}) as site:
        names = Names({"mixed.example": [["10.0.0.1", "127.0.0.1", PUBLIC, "fe80::1"]]})
        (outcome,) = fetch(f"http://{host}:{site.port}/x.jpg", tmp_path, guarded(), resolver=names)
    assert isinstance(outcome, Fetched)
    assert {address for address, _ in wire} == {PUBLIC}


def test_socket_is_the_last_gate(decoy: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The socket factory refuses a private address even if every earlier check were bypassed."""
    for module in ("connections", "resolving"):
        monkeypatch.setattr(f"pixcore_adapters.downloader.fetch.{module}.is_public_host", lambda _host: True)
    names = Names({"fooled.example": [["127.0.0.1"]]})
    urls = [decoy.url("/x.jpg"), f"http://fooled.example:{decoy.port}/x.jpg"]
    outcomes = fetch(urls, tmp_path, guarded(), resolver=names)
    assert [isinstance(outcome, Missed) and outcome.reason for outcome in outcomes] == ["address_refused"] * 2
    assert not decoy.requests


@pytest.mark.parametrize(
    ("allowed", "host", "reached"),
    [
        ("127.0.0.1", "127.0.0.1", True),
        ("127.0.0.1:{port}", "127.0.0.1", True),
        ("127.0.0.1:1", "127.0.0.1", False),
        ("127.0.0.1:{port}", "2130706433", False),
        ("intranet.example", "INTRANET.example", True),
        ("Intranet.Example:{port}", "intranet.example", True),
        ("intranet.example", "other.example", False),
        ("127.0.0.1", "intranet.example", False),
        ("intranet.example", "127.0.0.1", False),
        ("b\u00fccher.example", "xn--bcher-kva.example", True),
        ("B\u00dcCHER.example:{port}", "b\u00fccher.example", True),
        ("xn--bcher-kva.example", "b\u00fccher.example", True),
    ],
)
def test_private_hosts(tmp_path: Path, allowed: str, host: str, reached: bool) -> None:
    """A private host is allowed as the URL spells it, on the named port, and nothing else is."""
    with Site({"/x.jpg": picture()}) as site:
        names = Names(
            {"intranet.example": [["127.0.0.1"]], "other.example": [["127.0.0.1"]]}
            | {"xn--bcher-kva.example": [["127.0.0.1"]]}
        )
        how = guarded(private_hosts={allowed.format(port=site.port)})
        (outcome,) = fetch(f"http://{host}:{site.port}/x.jpg", tmp_path, how, resolver=names)
        assert isinstance(outcome, Fetched) == reached
        assert bool(site.requests) == reached


@pytest.mark.parametrize(("allowed", "reason"), [("[::1]:1", "unreachable"), ("[::1]:2", "address_refused")])
def test_private_hosts_v6(tmp_path: Path, allowed: str, reason: str) -> None:
    """An IPv6 address is written in brackets. Nothing listens there, so an allowed one is unreachable."""
    (outcome,) = fetch("http://[::1]:1/x.jpg", tmp_path, guarded(private_hosts={allowed}))
    assert isinstance(outcome, Missed)
    assert outcome.reason == reason


def test_no_such_name(tmp_path: Path) -> None:
    """A name that does not exist is a permanent miss."""
    (outcome,) = fetch("http://gone.example/x.jpg", tmp_path, guarded(attempts=3), resolver=Names({}))
    assert isinstance(outcome, Missed)
    assert (outcome.reason, outcome.permanent) == ("unreachable", True)


def test_refused_connection(tmp_path: Path) -> None:
    """A closed port is a transient miss."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    how = guarded(private_hosts={"127.0.0.1"})
    (outcome,) = fetch(f"http://127.0.0.1:{port}/x.jpg", tmp_path, how)
    assert isinstance(outcome, Missed)
    assert (outcome.reason, outcome.permanent) == ("unreachable", False)


JUNK = [
    "", "x", "/x.jpg", "//example.org/x.jpg", "file:///etc/passwd", "ftp://example.org/x.jpg",
    "data:image/png;base64,AA",
    "javascript:alert(1)", "http:", "http://", "http:///x.jpg", "http:example.org", "http://?x",
    "http://user@example.org/",
    "http://user:s3cret@example.org/", "http://:s3cret@example.org/", "http://@example.org/",
    "http://8.8.8.8@127.0.0.1/",
    "http://127.0.0.1\\@example.org/", "http://example.org:0/", "http://example.org:99999/",
    "http://example.org:-1/",
    "http://example.org:x/", "http://[::1", "http://::1/", "http://[v1.a]/", "http://exa mple.org/",
    "http://exa%20mple.org/",
    "http://%31%32%37.0.0.1/", "http://a%00b/", "http://xn--a/", "http://a..b/", "http://" + "a" * 64 + ".org/",
    "http://" + "a." * 200 + "org/", "http://example.org/" + "a" * 9000, "http://\udcff/", "http://\u2028/",
    "http://-/",
    "http://a/" + "\ud800",
]  # fmt: skip


@pytest.mark.parametrize("url", JUNK)
def test_junk(tmp_path: Path, wire: list[tuple[str, int]], url: str) -> None:
    """Any invalid line of a list is one permanent miss and connects nowhere."""
    (outcome,) = fetch(url, tmp_path, guarded())
    assert isinstance(outcome, Missed)
    assert outcome.reason in {"not_a_url", "unreachable"}
    assert "s3cret" not in outcome.detail
    assert not wire


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("HTTP://Example.ORG", "http://example.org/"),
        (" https://example.org:443/a \n", "https://example.org/a"),
        ("http://b\u00fccher.example/a b?c=%2F&d=%zz#e", "http://xn--bcher-kva.example/a%20b?c=%2F&d=%zz"),
        ("http://example.org/a%2Cb(c);d?e=f+g", "http://example.org/a%2Cb(c);d?e=f+g"),
        ("http://[2606:4700::1]:8080/a", "http://[2606:4700::1]:8080/a"),
        ("http://example.org?a", "http://example.org/?a"),
    ],
)
def test_url(text: str, url: str) -> None:
    """A URL is sent as written, as far as HTTP allows."""
    assert str(web_url(text)) == url


def test_no_control_characters() -> None:
    """A URL cannot smuggle a second request."""
    url = web_url("http://example.org/a\r\nX: y\r\n\r\n\x00?b\r\n\t\x7f")
    assert str(url) == "http://example.org/aX:%20y%00?b%7F"


def test_userinfo_in_detail() -> None:
    """A password in a URL is not repeated in the miss."""
    with pytest.raises(FetchFailed) as raised:
        web_url("http://me:s3cret@example.org/")
    assert "s3cret" not in raised.value.missed.detail


@pytest.mark.usefixtures("wire")
def test_a_cookie_lives_within_one_chain_of_redirects(tmp_path: Path) -> None:
    """A cookie of a redirect is sent to its own host on the next hops, to no other host, and by no other fetch."""
    with Site() as site:
        a, b = (f"http://{name}.example:{site.port}" for name in "ab")
        site.routes |= {
            "/x.jpg": status(302, Location="/y.jpg", Set_Cookie=["k=1; Path=/", "far=2; Domain=b.example"]),
            "/y.jpg": status(302, Location=f"{b}/z.jpg", Set_Cookie="late=3"),
            "/z.jpg": status(302, Location=f"{a}/end.jpg"),
            "/end.jpg": picture(),
            "/other.jpg": picture(),
        }
        names = Names({"a.example": [[PUBLIC]], "b.example": [[PUBLIC]]})
        how = guarded(in_flight=1)
        outcomes = fetch([f"{a}/x.jpg", f"{a}/other.jpg", f"{a}/end.jpg"], tmp_path, how, resolver=names)
        assert all(isinstance(outcome, Fetched) for outcome in outcomes), outcomes
        sent = [(request.target, request.headers["cookie"]) for request in site.requests if "cookie" in request.headers]
    assert sent == [("/y.jpg", "k=1"), ("/end.jpg", "late=3; k=1")]


@pytest.mark.usefixtures("wire")
def test_headers_of_one_host(tmp_path: Path) -> None:
    """A header of a host is sent to that host only, also with its robots.txt, and replaces the usual one."""
    with Site() as site:
        a, b = (f"http://{name}.example:{site.port}" for name in "ab")
        site.routes |= {"/x.jpg": redirect(f"{b}/y.jpg"), "/y.jpg": picture()}
        names = Names({"a.example": [[PUBLIC]], "b.example": [[PUBLIC]]})
        lines = ("A.example Referer: https://a.example/", "a.example:1 X: no", f"b.example:{site.port} Accept: image/*")
        (outcome,) = fetch(f"{a}/x.jpg", tmp_path, guarded(headers=tuple(map(HostHeader.parse, lines))), resolver=names)
        assert isinstance(outcome, Fetched)
        sent = [(one.target, one.headers.get("referer"), one.headers["accept"]) for one in site.requests]
    assert not any("x" in one.headers for one in site.requests)
    assert sent == [
        ("/robots.txt", "https://a.example/", "*/*"),
        ("/x.jpg", "https://a.example/", "*/*"),
        ("/robots.txt", None, "image/*"),
        ("/y.jpg", None, "image/*"),
    ]


@pytest.fixture
def proxied(monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    """Return a proxy on loopback with a password, set in the environment."""
    with Site({"/x.jpg": picture()}) as proxy:
        for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "REQUEST_METHOD"):
            monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv("all_proxy", raising=False)
        monkeypatch.setenv("http_proxy", f"http://me:w%40rd@{proxy.host}")
        monkeypatch.setenv("https_proxy", f"http://me:w%40rd@{proxy.host}")
        monkeypatch.setenv("no_proxy", "direct.example")
        yield proxy


@pytest.mark.usefixtures("wire")
def test_proxy_is_unused_by_default(proxied: Site, tmp_path: Path) -> None:
    """Proxies in the environment are unused by default, because they resolve names themselves."""
    names = Names({"site.example": [[PUBLIC]]})
    with Site({"/x.jpg": picture()}) as site:
        (outcome,) = fetch(f"http://site.example:{site.port}/x.jpg", tmp_path, guarded(), resolver=names)
    assert isinstance(outcome, Fetched)
    assert not proxied.requests


@pytest.mark.usefixtures("wire")
def test_proxy(proxied: Site, tmp_path: Path) -> None:
    """With the setting, the proxy is used, with its password, but not for addresses that are not public."""
    names = Names({"site.example": [[PUBLIC]], "direct.example": [[PUBLIC]], "inside.example": [["10.0.0.1"]]})
    with Site({"/x.jpg": picture()}) as direct:
        urls = [
            "http://site.example/x.jpg",
            f"http://direct.example:{direct.port}/x.jpg",
            "http://inside.example/x.jpg",
            "http://127.0.0.1/x.jpg",
            "http://2130706433/x.jpg",
            "https://inside.example/x.jpg",
        ]
        outcomes = fetch(urls, tmp_path, guarded(proxy_from_environment=True), resolver=names)
    assert [isinstance(outcome, Fetched) for outcome in outcomes] == [True, True] + [False] * 4
    assert {outcome.reason for outcome in outcomes if isinstance(outcome, Missed)} == {"address_refused"}
    assert set(proxied.paths()) == {"http://site.example/robots.txt", "http://site.example/x.jpg"}
    assert {request.headers["proxy-authorization"] for request in proxied.requests} == {"Basic bWU6d0ByZA=="}
    assert "/x.jpg" in direct.paths()
    assert not any("proxy-authorization" in request.headers for request in direct.requests)


def test_proxy_tunnel(proxied: Site, tmp_path: Path) -> None:
    """For https, the proxy's password is sent in the CONNECT request."""
    names = Names({"site.example": [[PUBLIC]]})
    (outcome,) = fetch("https://site.example/x.jpg", tmp_path, guarded(proxy_from_environment=True), resolver=names)
    assert isinstance(outcome, Missed)  # this proxy supports no tunnels
    assert (outcome.reason, outcome.permanent) == ("unreachable", False)
    assert {(request.method, request.target) for request in proxied.requests} == {("CONNECT", "site.example:443")}
    assert proxied.requests[0].headers["proxy-authorization"] == "Basic bWU6d0ByZA=="


@pytest.mark.parametrize("proxy", ["socks5://127.0.0.1:1080", "http://[", "://"])
def test_bad_proxy(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, proxy: str) -> None:
    """An invalid proxy raises an error; the fetcher does not bypass it."""
    monkeypatch.setenv("all_proxy", proxy)
    with pytest.raises(InvalidRequest, match="proxy"):
        fetch("http://site.example/x.jpg", tmp_path, guarded(proxy_from_environment=True), resolver=Names({}))
