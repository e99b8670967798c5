"""The server of a review: who may use it, what it stores, and how much it keeps."""

import http.client
import json
import os
import resource
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing
from email.message import Message
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from attrs import define, evolve, field, frozen
from reports import a_record, a_row, jpegs, stored_dataset

from pixcore import InvalidRequest
from pixcore.model.decisions import Decision, DecisionKind
from pixcore_adapters.decisions.memory import MemoryDecisions
from pixcore_adapters.outputs.review.choices import Choices
from pixcore_adapters.outputs.review.served import served
from pixcore_adapters.outputs.review.spool import Spool

SHA256 = a_row(0).sha256


@frozen
class Answer:
    """What the server answered."""

    status: int
    headers: Message
    body: bytes


@define
class Client:
    """A program that talks to the server: the headers of a browser that used the link, unless others are given."""

    host: str
    link: str
    decisions: MemoryDecisions
    cookie: str = field(init=False)

    def __attrs_post_init__(self) -> None:
        answer = self.get(self.link.removeprefix(f"http://{self.host}"), {})
        cookie = answer.headers.get("Set-Cookie")
        assert cookie
        assert cookie.endswith("; Path=/; HttpOnly; SameSite=Strict")
        self.cookie = cookie.partition(";")[0]

    def get(self, path: str, headers: Mapping[str, str] | None = None) -> Answer:
        """Send a GET request."""
        return self._send("GET", path, None, headers if headers is not None else {"Cookie": self.cookie})

    def post(self, body: str, **changes: str | None) -> Answer:
        """Send a POST request as the page does, with other headers; None leaves one out."""
        usual = {"Cookie": self.cookie, "Origin": f"http://{self.host}", "Content-Type": "application/json"}
        headers = {name.replace("_", "-"): value for name, value in (usual | changes).items() if value is not None}
        return self._send("POST", "/decisions", body, headers)

    def _send(self, method: str, path: str, body: str | None, headers: Mapping[str, str]) -> Answer:
        connection = http.client.HTTPConnection(self.host, timeout=10)
        connection.request(method, path, body, dict(headers))
        with closing(connection):
            answer = connection.getresponse()
            return Answer(answer.status, answer.headers, answer.read())


@pytest.fixture
def client(tmp_path: Path) -> Iterator[Client]:
    """Serve a dataset of one image and one chunk whose archive is gone, and use the link."""
    whole, decisions = stored_dataset(tmp_path, [[(a_row(0), jpegs(1)[0])]]), MemoryDecisions()
    records = [*whole.records, a_record(2, accepted=1)]
    with served(lambda: records, whole.archives, Choices("d", decisions, "Ada"), list) as link:
        address = link()
        client = Client(urlsplit(address).netloc, address, decisions)
        client.get("/chunks")
        yield client


def excluding(**changes: object) -> str:
    """Return the body of a request that excludes the image."""
    decision = {"kind": "exclude", "sha256": SHA256, "label": ""} | changes
    return json.dumps({"take_back": [], "record": [decision]})


def test_only_the_browser_that_used_the_link_gets_in(client: Client) -> None:
    """Other users and pages of this machine can reach a server on it; none of them has the cookie."""
    assert client.get("/", {"Cookie": f'other="a|b; {{}}; {client.cookie}'}).status == 200  # of another local server
    port = client.host.partition(":")[2]
    refused = [
        client.get("/", {}),
        client.get("/chunks", {"Cookie": client.cookie[:-1]}),
        client.get(client.link.removeprefix(f"http://{client.host}"), {}),  # a used token
        client.get("/?token=", {}),
        client.get("/", {"Cookie": client.cookie, "Host": f"rebound.example:{port}"}),
        client.get("/decisions", {"Cookie": client.cookie, "Origin": "http://127.0.0.1:1"}),
        client.post(excluding(), Origin="http://evil.example"),
        client.post(excluding(), Origin=None),
        client.post(excluding(), Origin="null"),
        client.post(excluding(), Sec_Fetch_Site="same-site"),
        client.post(excluding(), Cookie=None),
        client.post(excluding(), Host=f"rebound.example:{port}", Origin=f"http://rebound.example:{port}"),
    ]
    assert [answer.status for answer in refused] == [403] * len(refused)
    assert list(client.decisions.read("d")) == []
    assert client.post(excluding(), Content_Type="text/plain").status == 404  # what a form of another page can send


def test_every_answer_forbids_foreign_scripts_and_caches(client: Client) -> None:
    """The policy must hold for pictures and errors, too: a browser may open each as a page."""
    for path in ("/", "/small/1/1/0", "/nothing", "/review.js"):
        answer = client.get(path)
        policy = answer.headers.get("Content-Security-Policy", "")
        assert policy.startswith("default-src 'none'; img-src 'self'; style-src 'self'; script-src 'self'")
        assert "unsafe" not in policy
        assert (answer.headers.get("X-Content-Type-Options"), answer.headers.get("Cache-Control")) == (
            "nosniff",
            "no-store",
        )
    assert client.get("/small/1/1/0").body[:3] == b"\xff\xd8\xff"


def test_a_process_with_many_open_files_draws_pictures(client: Client) -> None:
    """`select` refuses descriptors above 1,023, which the connections of a process with so many open files have."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with ExitStack() as closed_at_end:
        closed_at_end.callback(resource.setrlimit, resource.RLIMIT_NOFILE, (soft, hard))
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(hard, 4_096)), hard))
        for _ in range(1_024):
            closed_at_end.enter_context(Path(os.devnull).open("rb"))
        assert client.get("/small/1/1/0").status == 200


def test_bad_requests_are_refused_in_one_line_and_store_nothing(client: Client) -> None:
    """The page shows what the server says."""
    bodies = (
        "",
        "[]",
        "{}",
        excluding(kind="delete"),
        excluding(sha256="x"),
        excluding(label="cat"),
        excluding(at="now"),
    )
    for body in bodies:
        answer = client.post(body)
        assert (answer.status, answer.body.count(b"\n")) == (400, 1), body
    assert client.post(excluding(), Content_Length="999999999").status == 413
    for path in ("/small/1/1/1", "/small/1/2/0", "/large/7/1/0", "/chunk/9/1", f"/preview/1/1/{SHA256}", "/%2e%2e/etc"):
        assert client.get(path).status == 404, path
    assert "error" in json.loads(client.get("/chunk/2/1").body)  # its archive is missing
    assert list(client.decisions.read("d")) == []


def test_a_decision_names_what_it_replaced_so_that_undoing_it_brings_that_back(client: Client) -> None:
    """Two people may decide about one image before either page shows the other's decision."""
    theirs = Decision("d", DecisionKind.EXCLUDE, SHA256, by="Bob", reason="a fox", at=client.decisions.now())
    client.decisions.record([theirs])
    answer = json.loads(client.post(excluding(kind="include")).body)
    ours, before = answer["recorded"][0], answer["replaced"][0]
    assert (ours["kind"], ours["by"], before["by"], before["reason"]) == ("include", "Ada", "Bob", "a fox")
    client.post(json.dumps({"take_back": [ours], "record": [before]}))
    assert list(client.decisions.read("d")) == [theirs]
    seen = client.get("/decisions")
    known = {"Cookie": client.cookie, "If-None-Match": seen.headers.get("ETag", "")}
    assert (seen.status, client.get("/decisions", known).status) == (200, 304)


def test_a_chunk_that_was_rebuilt_is_never_shown_under_the_rows_of_the_old_one(tmp_path: Path) -> None:
    """A curator would throw out another image than the one in sight."""
    whole = stored_dataset(tmp_path, [[(a_row(0), jpegs(1)[0])]])
    records = list(whole.records)
    with served(lambda: records, whole.archives, Choices("d", MemoryDecisions(), "Ada"), list) as link:
        address = link()
        client = Client(urlsplit(address).netloc, address, MemoryDecisions())
        assert json.loads(client.get("/chunks").body)["chunks"] == [[1, 1, 1]]
        result = records[0].result
        assert result
        records[0] = evolve(records[0], result=evolve(result, attempt=2, sha256="0" * 64))
        assert json.loads(client.get("/chunks").body)["chunks"] == [[1, 2, 1]]
        assert client.get("/small/1/2/0").status == 400  # the archive is not the recorded one
        assert client.get("/small/1/3/0").status == 404


def test_a_port_in_use_is_named_with_the_remedy(client: Client, tmp_path: Path) -> None:
    """A second review on a fixed port is a usual mistake."""
    whole = stored_dataset(tmp_path / "other", [])
    port = int(client.host.partition(":")[2])
    choices = Choices("d", client.decisions, "Ada")
    with (
        pytest.raises(InvalidRequest, match=f"port {port} cannot be used .* choose another one with --port"),
        served(list, whole.archives, choices, list, port),
    ):
        pass


def test_a_full_spool_is_emptied_and_goes_on(tmp_path: Path) -> None:
    """The disk that the page may use is bounded, whatever the size of the dataset."""
    with closing(Spool[int](tmp_path, most=100)) as spool:
        for number in range(30):
            spool.put(number, bytes([number]) * 10)
            assert spool.size <= 100
            assert spool.get(number) == bytes([number]) * 10
        assert spool.get(0) is None
    assert list(tmp_path.iterdir()) == []
