"""Opt-outs of sites are respected unless the policy ignores them."""

import asyncio
import gzip
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from hostile import (
    Answer,
    Naps,
    Site,
    endless,
    fetch,
    head,
    held,
    in_turn,
    picture,
    policy,
    raw,
    redirect,
    resetting,
    silent,
    status,
    text,
    until,
)
from hypothesis import given
from hypothesis import strategies as st

from pixcore_adapters.downloader.fetch.fetcher import Fetcher
from pixcore_adapters.downloader.fetch.opt_out import robots_rules, robots_tag
from pixcore_adapters.downloader.fetch.policy import Fetched, Missed

FORBIDDING = text("User-agent: *\nDisallow: /x.jpg\nDisallow: /private/")
OURS = "pixcore-test"


@pytest.fixture
def site() -> Iterator[Site]:
    """Return a site with a picture."""
    with Site({"/x.jpg": picture(), "/free.jpg": picture()}) as site:
        yield site


@pytest.mark.parametrize(
    "value",
    [
        "noai", "noimageai", "noindex", "noimageindex", "none", "NoAI", "nofollow, noai", "nofollow,noimageai",
        " noai ",
        "noai noimageai", f"{OURS}: noai", f"nofollow, {OURS}: noai", f"otherbot: all, {OURS}: noai", "*: noai",
        "max-snippet: 20, noai", "unavailable_after: Wed, 25 Jun 2031 15:00:00 GMT, noai",
        "max-image-preview:large, noimageindex", f"{OURS} : none", "nofollow; noai", "nofollow;noimageai",
        "unavailable_after: Wed, 25 Jun 2031 15:00:00 GMT; noai", f"otherbot: all; {OURS}: noai",
    ],
)  # fmt: skip
def test_tag_forbids(value: str) -> None:
    """Each known directive forbids, among others too, if it addresses this agent or all. It is reported verbatim."""
    assert robots_tag([value], OURS) == f"X-Robots-Tag: {value}"


@pytest.mark.parametrize(
    "value",
    [
        "", "all", "nofollow", "noarchive", "noaix", "index", "otherbot: noai", "otherbot: nofollow, noai",
        "otherbot:none",
        "unavailable_after: 2031-06-25T15:00:00", "max-snippet: none", f"{OURS}: all", "other-bot/2: noindex",
        ":", ",,", "a:b:c", ";;", "nofollow; otherbot: noai",
    ],
)  # fmt: skip
def test_tag_allows(value: str) -> None:
    """Other directives, and directives for other agents, do not forbid."""
    assert not robots_tag([value], OURS)


def test_several_tags() -> None:
    """Only the headers that forbid must be reported."""
    assert robots_tag(["otherbot: noai", "nofollow", "noai", "none"], OURS) == "X-Robots-Tag: noai, none"


def test_tag(site: Site, tmp_path: Path) -> None:
    """A forbidding header ends the fetch before the body, and no file is created."""
    site.routes["/x.jpg"] = picture(X_Robots_Tag=["nofollow", "noai, noimageai"])
    (outcome,) = fetch(site.url("/x.jpg"), tmp_path, policy(site))
    assert outcome == Missed("opted_out", permanent=True, detail="X-Robots-Tag: noai, noimageai")
    assert not list(tmp_path.iterdir())


def test_robots(site: Site, tmp_path: Path) -> None:
    """URLs that robots.txt forbids are not requested."""
    site.routes["/robots.txt"] = FORBIDDING
    outcomes = fetch([site.url("/x.jpg"), site.url("/free.jpg")], tmp_path, policy(site))
    assert outcomes[0] == Missed("opted_out", permanent=True, detail=f"robots.txt of http://{site.host}")
    assert isinstance(outcomes[1], Fetched)
    assert "/x.jpg" not in site.paths()


@pytest.mark.parametrize(
    "path", ["/a/../x.jpg", "/private/a.jpg?b", "/./private/", "/%70rivate/a.jpg", "/a/%2e%2e/x.jpg"]
)
def test_robots_in_disguise(site: Site, tmp_path: Path, path: str) -> None:
    """Another spelling of a forbidden path is forbidden too."""
    site.routes["/robots.txt"] = FORBIDDING
    (outcome,) = fetch(site.url(path), tmp_path, policy(site))
    assert isinstance(outcome, Missed)
    assert outcome.reason == "opted_out"


@pytest.mark.parametrize(
    ("robots_txt", "allowed"),
    [
        ("User-agent: *\nDisallow: /", False),
        ("User-agent: *\nDisallow:", True),
        ("User-agent: otherbot\nDisallow: /", True),
        ("User-agent: pixcore-test\nDisallow: /", False),
        ("User-Agent: PIXCORE-TEST/2.0 # us\nDisallow: /x", False),
        ("User-agent: pixcore-test\nAllow: /\n\nUser-agent: *\nDisallow: /", True),
        ("User-agent: otherbot\nUser-agent: pixcore-test\nDisallow: /", False),
        ("User-agent: pix\nDisallow: /", True),
        ("User-agent: *\nDisallow: /*.jpg$", False),
        ("User-agent: *\nDisallow: /\nAllow: /x.jpg", True),
        ("user agent *\ndisallow /", False),
        ("\ufeff", True),
        ("<html>not found</html>", True),
        ("Disallow: /", True),
    ],
)
def test_robots_rules(site: Site, tmp_path: Path, robots_txt: str, allowed: bool) -> None:
    """The rules of this agent's group apply, or else those for all agents."""
    site.routes["/robots.txt"] = text(robots_txt)
    (outcome,) = fetch(site.url("/x.jpg"), tmp_path, policy(site))
    assert isinstance(outcome, Fetched) == allowed


def test_robots_of_each_hop(site: Site, tmp_path: Path) -> None:
    """The robots.txt of each redirect's site applies."""
    with Site({"/robots.txt": FORBIDDING, "/x.jpg": picture()}) as other:
        site.routes["/x.jpg"] = redirect(other.url("/x.jpg"))
        how = policy(site, private_hosts={site.host, other.host})
        (outcome,) = fetch(site.url("/x.jpg"), tmp_path, how)
        assert other.paths() == ["/robots.txt"]
    assert outcome == Missed("opted_out", permanent=True, detail=f"robots.txt of http://{other.host}")


def test_robots_is_read_once(site: Site, tmp_path: Path) -> None:
    """A hundred concurrent fetches request one robots.txt, whatever the concurrency limit."""
    outcomes = fetch([site.url("/x.jpg")] * 100, tmp_path, policy(site, in_flight=2, per_host=1))
    assert all(isinstance(outcome, Fetched) for outcome in outcomes)
    assert site.paths().count("/robots.txt") == 1


ABSENT: dict[str, Answer] = {
    "404": status(404),
    "401": status(401),
    "410": status(410, b"User-agent: *\nDisallow: /"),
    "empty": status(200),
    "204": status(204),
    "binary": status(200, bytes(range(256))),
    "redirected": redirect("/robots/"),
}


@pytest.mark.parametrize("answer", ABSENT.values(), ids=ABSENT)
def test_no_robots(site: Site, tmp_path: Path, answer: Answer) -> None:
    """If there is no robots.txt, or it says nothing, nothing is forbidden."""
    site.routes["/robots.txt"] = answer
    (outcome,) = fetch(site.url("/x.jpg"), tmp_path, policy(site))
    assert isinstance(outcome, Fetched)


FORBID_ALL = b"User-agent: *\nDisallow: /"
ODD: dict[str, Answer] = {
    "a byte order mark": status(200, b"\xef\xbb\xbf" + FORBID_ALL),
    "UTF-16": status(200, FORBID_ALL.decode().encode("utf-16")),
    "203": status(203, FORBID_ALL),
    "206": status(206, FORBID_ALL, Content_Range=f"bytes 0-{len(FORBID_ALL) - 1}/{len(FORBID_ALL)}"),
    "202": status(202, FORBID_ALL),
    "no encoding": status(200, FORBID_ALL, Content_Encoding="utf-8"),
    "gzip": status(200, gzip.compress(FORBID_ALL), Content_Encoding="gzip"),
    "gzip that is not declared": status(200, gzip.compress(FORBID_ALL)),
    "gzip that is none": status(200, FORBID_ALL, Content_Encoding="gzip"),
    "an image, it says": status(200, FORBID_ALL, Content_Type="image/jpeg"),
    "carriage returns": status(200, FORBID_ALL.replace(b"\n", b"\r")),
    "60 kB of headers": status(200, FORBID_ALL, X=["x" * 3000] * 20),
    "a redirect": redirect("/robots/other"),
}


@pytest.mark.parametrize("answer", ODD.values(), ids=ODD)
def test_odd_robots(site: Site, tmp_path: Path, answer: Answer) -> None:
    """A robots.txt that is sent in an odd way is read all the same, because a site's wish must not be missed."""
    site.routes |= {"/robots.txt": answer, "/robots/other": status(200, FORBID_ALL)}
    (outcome,) = fetch(site.url("/x.jpg"), tmp_path, policy(site))
    assert isinstance(outcome, Missed)
    assert (outcome.reason, outcome.permanent) == ("opted_out", True)
    assert "/x.jpg" not in site.paths()


UNKNOWN: dict[str, tuple[Answer, int]] = {  # response, and how often it is tried
    "500": (status(500), 3),
    "503": (status(503), 3),
    "429": (status(429), 3),
    "reset": (resetting(), 3),
    "gzip cut": (status(200, gzip.compress(FORBID_ALL)[:-9], Content_Encoding="gzip"), 3),
    "304": (status(304), 1),
    "redirect to nowhere": (status(302), 1),
    "redirect for ever": (redirect("/robots.txt"), 1),
    "redirect inside": (redirect("http://127.0.0.1:1/robots.txt"), 1),
    "redirect to junk": (redirect("http://[::1"), 1),
    "headers without end": (endless(b"HTTP/1.1 200 OK\r\n", b"X: x\r\n" * 500), 1),
    "not HTTP": (raw(b"SSH-2.0-OpenSSH_9.9\r\n\r\n"), 1),
    "brotli that is none": (status(200, b"x", Content_Encoding="br"), 1),
    "zstd": (status(200, b"x", Content_Encoding="zstd"), 1),
    "gzip junk": (status(200, b"\x1f\x8bx" * 9, Content_Encoding="gzip"), 1),
}


@pytest.mark.parametrize(("answer", "tried"), UNKNOWN.values(), ids=UNKNOWN)
def test_unknown_robots(site: Site, tmp_path: Path, answer: Answer, tried: int) -> None:
    """If it is not known what robots.txt forbids, nothing is fetched now. It is not read again for each image."""
    site.routes["/robots.txt"] = answer
    naps = Naps()
    outcomes = fetch([site.url("/x.jpg")] * 20, tmp_path, policy(site), sleep=naps)
    assert all(isinstance(outcome, Missed) and not outcome.permanent for outcome in outcomes)
    assert all("robots.txt" in outcome.detail for outcome in outcomes if isinstance(outcome, Missed))
    assert len(naps.taken) == tried - 1
    assert "/x.jpg" not in site.paths()


@pytest.mark.parametrize(("said", "spacing"), [("1", 1.0), ("0.5", 0.5), ("86400", 2.0), ("soon", 0.0), ("-1", 0.0)])
def test_crawl_delay(site: Site, tmp_path: Path, said: str, spacing: float) -> None:
    """Requests to a host start as far apart as its robots.txt says, but at most two seconds."""
    site.routes["/robots.txt"] = text(f"User-agent: *\nCrawl-delay: {said}")
    naps = Naps()
    fetch([site.url("/x.jpg")] * 3, tmp_path, policy(site), sleep=naps)
    assert naps.taken == pytest.approx([spacing * number for number in (1, 2, 3) if spacing], abs=0.4)


def test_robots_after_a_while(site: Site, tmp_path: Path) -> None:
    """A robots.txt that arrives at a retry applies."""
    site.routes["/robots.txt"] = in_turn(status(503), FORBIDDING)
    (outcome,) = fetch(site.url("/x.jpg"), tmp_path, policy(site))
    assert isinstance(outcome, Missed)
    assert outcome.reason == "opted_out"


def test_cancelling_one_caller_does_not_cancel_others(site: Site, tmp_path: Path) -> None:
    """Cancelling the task that requested robots.txt first does not cancel the others that wait for it."""
    said = threading.Event()
    site.routes["/robots.txt"] = held(said, FORBIDDING)

    async def run() -> Fetched | Missed:
        async with Fetcher(policy(site)) as fetcher:
            first = asyncio.create_task(fetcher.fetch(site.url("/x.jpg"), tmp_path / "0"))
            await until(lambda: bool(site.busy))
            second = asyncio.create_task(fetcher.fetch(site.url("/x.jpg"), tmp_path / "1"))
            await asyncio.sleep(0)
            first.cancel()
            await asyncio.gather(first, return_exceptions=True)
            said.set()
            return await second

    outcome = asyncio.run(run())
    assert isinstance(outcome, Missed)
    assert outcome.reason == "opted_out"
    assert site.paths() == ["/robots.txt"]


def test_closing_while_robots_is_read(site: Site, tmp_path: Path) -> None:
    """Closing the fetcher cancels a robots.txt that is being fetched."""
    site.routes["/robots.txt"] = silent()

    async def run() -> None:
        async with asyncio.timeout(10), Fetcher(policy(site)) as fetcher:
            asking = asyncio.create_task(fetcher.fetch(site.url("/x.jpg"), tmp_path / "0"))
            await until(lambda: bool(site.busy))
            asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)
        assert asyncio.all_tasks() == {asyncio.current_task()}

    asyncio.run(run())


def test_ignoring(site: Site, tmp_path: Path) -> None:
    """With `ignore_opt_out`, the image is fetched and the ignored signal is reported."""
    site.routes |= {"/robots.txt": FORBIDDING, "/x.jpg": picture(X_Robots_Tag="noai")}
    outcomes = fetch([site.url("/x.jpg"), site.url("/free.jpg")], tmp_path, policy(site, ignore_opt_out=True))
    assert [outcome.opt_out for outcome in outcomes if isinstance(outcome, Fetched)] == [
        f"robots.txt of http://{site.host}; X-Robots-Tag: noai",
        "",
    ]


def test_ignoring_an_unreachable_robots_txt(site: Site, tmp_path: Path) -> None:
    """With `ignore_opt_out`, an unreachable robots.txt is ignored too."""
    site.routes["/robots.txt"] = status(500)
    (outcome,) = fetch(site.url("/x.jpg"), tmp_path, policy(site, ignore_opt_out=True))
    assert isinstance(outcome, Fetched)


def test_large_robots(site: Site, tmp_path: Path) -> None:
    """The first 500 KiB of a large robots.txt are read, with or without a Content-Length."""
    start = b"User-agent: *\nDisallow: /x.jpg\n"
    rest = b"#" * 600 * 1024 + b"\nDisallow: /free.jpg"
    urls = [site.url("/x.jpg"), site.url("/free.jpg")]
    for answer in (status(200, start + rest), raw(head(200, Connection="close"), start, rest)):
        site.routes["/robots.txt"] = answer
        forbidden, free = fetch(urls, tmp_path, policy(site))
        assert isinstance(forbidden, Missed)
        assert forbidden.reason == "opted_out"
        assert isinstance(free, Fetched)


@pytest.mark.parametrize("agent", ["User-agent: bot{}", "useragent bot{}", "User agent\tbot{}", "  USER-AGENT  bot{}"])
def test_robots_with_a_crowd_of_agents(agent: str) -> None:
    """Thousands of rules for thousands of agents are parsed quickly, and this agent's rules apply."""
    agents = "\n".join(agent.format(n) for n in range(10_000))
    rules = "\n".join(f"Disallow: /{n}$" for n in range(20_000))
    parsed = robots_rules(f"{agents}\nUser-agent: {OURS}\n{rules}", OURS)
    assert not parsed.can_fetch("http://example.org/19999", OURS)
    assert parsed.can_fetch("http://example.org/20000", OURS)


def test_robots_with_a_crowd_of_wildcards() -> None:
    """A robots.txt with too many wildcards forbids everything; matching it would take seconds for each image."""
    parsed = robots_rules("User-agent: *\n" + "Disallow: /*a*b\n" * 10_000, OURS)
    assert not parsed.can_fetch("http://example.org/c", OURS)


@given(st.text(alphabet=st.sampled_from("User-agent: *Dislow/#\n\r\x00\x85x"), max_size=200), st.text(max_size=30))
def test_any_robots(robots_txt: str, path: str) -> None:
    """Any robots.txt can be parsed."""
    robots_rules(robots_txt, OURS).can_fetch(f"http://example.org/{path}", OURS)
