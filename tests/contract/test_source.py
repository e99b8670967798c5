"""The contract of sources that are searched, for those of pixcore and for one with tokens and cursors."""

import json
from collections.abc import Callable, Mapping

from apis import commons_entry, openverse_entry
from attrs import evolve, frozen

from pixcore.model.images import Provenance
from pixcore_adapters.downloader.sources.answer import address, document, items, mapping, text
from pixcore_adapters.downloader.sources.commons import Commons, CommonsCategory, CommonsDepicts
from pixcore_adapters.downloader.sources.openverse import Openverse
from pixcore_adapters.downloader.sources.paged import PagedSource
from pixcore_adapters.downloader.sources.search import (
    About,
    Credential,
    Grant,
    PageAnswer,
    PageRequest,
    Result,
    ResultPage,
    Search,
    Unreadable,
)

from .source import Answers, Asked, Reply, SearchContract, Server, image

SECRET = "secret-credential"  # noqa: S105 - the value that the contract gives to every credential


class TestOpenverse(SearchContract):
    """Openverse without credentials."""

    count = 200

    def search(self, url: str) -> Search:
        """See ``SearchContract``."""
        return Openverse(api=f"{url}/v1/images/")

    def answers(self, count: int, image: Callable[[int], str]) -> Answers:
        """See ``SearchContract``."""

        def answer(asked: Asked) -> Reply:
            size, page = int(asked.query["page_size"]), int(asked.query["page"])
            numbers = range(count)[(page - 1) * size : page * size]
            found = [openverse_entry(image(number), number) for number in numbers]
            return Reply.json({"result_count": count, "page_count": -(-count // size), "results": found})

        return answer


class TestCommons(SearchContract):
    """Wikimedia Commons by search."""

    def search(self, url: str) -> Search:
        """See ``SearchContract``."""
        return Commons(api=f"{url}/w/api.php")

    def answers(self, count: int, image: Callable[[int], str]) -> Answers:
        """See ``SearchContract``."""

        def answer(asked: Asked) -> Reply:
            start, size = int(asked.query["gsroffset"]), int(asked.query["gsrlimit"])
            numbers = range(count)[start : start + size]
            pages = [{**commons_entry(image(number), number), "index": number + 1} for number in numbers]
            return Reply.json({"batchcomplete": True, **({"query": {"pages": pages}} if pages else {})})

        return answer


class TestCommonsCategory(SearchContract):
    """Wikimedia Commons by category, by continuation."""

    def search(self, url: str) -> Search:
        """See ``SearchContract``."""
        return CommonsCategory(api=f"{url}/w/api.php")

    def answers(self, count: int, image: Callable[[int], str]) -> Answers:
        """See ``SearchContract``."""

        def answer(asked: Asked) -> Reply:
            assert asked.query["gcmtitle"] == "Category:red panda"
            start, size = (
                int(asked.query.get("gcmcontinue", "file||0").rpartition("|")[2]),
                int(asked.query["gcmlimit"]),
            )
            stop = min(start + size, count)
            pages = [commons_entry(image(number), number) for number in range(start, stop)]
            more = (
                {"continue": {"gcmcontinue": f"file|{stop:x}|{stop}", "continue": "gcmcontinue||"}}
                if stop < count
                else {}
            )
            return Reply.json({"batchcomplete": True, **more, **({"query": {"pages": pages}} if pages else {})})

        return answer


class TestCommonsDepicts(TestCommons):
    """Wikimedia Commons by depicted item."""

    def search(self, url: str) -> Search:
        """See ``SearchContract``."""
        return CommonsDepicts(api=f"{url}/w/api.php")


@frozen
class Archive:
    """A source with OAuth 2.0 client credentials, whose pages are found by cursor."""

    base: str
    secret: str

    @property
    def about(self) -> About:
        """See ``Search``."""
        key = Credential("ARCHIVE_SECRET", "https://archive.example/register")
        terms = ("free", "https://archive.example/terms", "on loopback")
        return About("archive", 100, 5_000, *terms, frozenset({"cc0"}), (key,), by_cursor=True)

    def request(self, query: str, licenses: str, page: int, cursor: str) -> PageRequest:  # noqa: ARG002 - not needed
        """See ``Search``."""
        grant = Grant(f"{self.base}/token", "me", self.secret)
        return PageRequest(f"{self.base}/images?q={len(query)}&cursor={cursor}", grant=grant)

    def read(self, answer: PageAnswer) -> ResultPage:
        """See ``Search``."""
        page = document(answer.body)
        found = items(page.get("items"))
        if found is None:
            raise Unreadable("it has no list of items")
        return ResultPage([self._result(mapping(item)) for item in found], text(page.get("next")))

    def _result(self, item: Mapping[str, object]) -> Result | None:
        url = address(item.get("url"))
        about = Provenance(page_url=text(item.get("page")), creator=text(item.get("by")), license="CC0 1.0")
        return Result(url, about, "cc0") if url else None


class TestArchive(SearchContract):
    """Tokens and cursors."""

    def search(self, url: str) -> Search:
        """See ``SearchContract``."""
        return Archive(url, SECRET)

    def answers(self, count: int, image: Callable[[int], str]) -> Answers:
        """See ``SearchContract``."""

        def answer(asked: Asked) -> Reply:
            if asked.path == "/token":
                right = asked.method == "POST" and asked.form["client_secret"] == SECRET
                return Reply.json(
                    {"access_token": "t0ken-1", "expires_in": 3600} if right else {}, 200 if right else 400
                )
            if asked.headers.get("authorization") != "Bearer t0ken-1":
                return Reply.json({"error": "no token"}, 401)
            start = int(asked.query["cursor"] or 0)
            numbers = range(count)[start : start + 100]
            found = [{"url": image(n), "page": f"https://archive.example/{n}", "by": "Ada"} for n in numbers]
            return Reply.json({"items": found, **({"next": str(start + 100)} if start + 100 < count else {})})

        return answer

    def test_a_token_that_expires_is_renewed(self, server: Server) -> None:
        """A server may end a token before its time, in the middle of a walk: the page is requested with a new one."""
        documented, issued = server.answers, iter(range(9))
        valid = ""

        def answer(asked: Asked) -> Reply:
            nonlocal valid
            if asked.path == "/token":
                valid = f"token-{next(issued)}"
                return Reply.json({"access_token": valid, "expires_in": 3600})
            if asked.headers["authorization"] != f"Bearer {valid}":
                return Reply.json({"error": "expired"}, 401)
            if asked.query["cursor"] == "300":
                valid = "none any more"
            return documented(evolve(asked, headers={"authorization": "Bearer t0ken-1"}))

        server.answers = answer
        assert len(self.candidates(server, 0, 5_000)) == self.count
        assert [asked.path for asked in server.asked].count("/token") == 2

    def test_an_expired_cursor_is_found_again(self, server: Server) -> None:
        """The cursor that an earlier slice of the process found may expire: the walk begins again at the first page."""
        documented, walks = server.answers, [0]

        def answer(asked: Asked) -> Reply:
            walk, _, start = asked.query.get("cursor", "").rpartition(":")
            if walk and int(walk) < walks[0]:
                return Reply.json({"error": "expired"}, 400)
            reply = documented(evolve(asked, query={"cursor": start}))
            page = json.loads(reply.body)
            return Reply.json(page | ({"next": f"{walks[0]}:{page['next']}"} if "next" in page else {}))

        server.answers = answer
        source = PagedSource(self.search(server.url))
        assert len(self.candidates(server, 0, 300, source)) == 300
        walks[0] = 1
        asked = len(server.asked)
        assert [item.url for item in self.candidates(server, 199, 202, source)] == list(map(image, (199, 200, 201)))
        requested = [one.query["cursor"] for one in server.asked[asked:] if one.path == "/images"]
        assert requested == ["0:100", "", "1:100", "1:200"]
