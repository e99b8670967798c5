"""No output holds a credential, wherever it was written: in a setting, in an option, or in a cell of a list."""

import contextlib
import csv
import gzip
import html
import itertools
import json
import logging
import zipfile
from pathlib import Path
from urllib.parse import parse_qs, quote, urlsplit
from uuid import uuid4

import pytest
from command import at_home, jpeg, pixcore
from distributions import installed
from hostile import Client, Site, picture, status
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from pixcore import InvalidRequest, redaction
from pixcore.redaction import redacted
from pixcore_runners.settings import Settings, load

SECRET = "Tr0ub4dor"  # noqa: S105 - of no service
USER = "://{}@host/a.jpg"
# each form in which a URL may hold a credential; {} is the credential
FORMS = (
    "://user:{}@host/a.jpg",
    USER,
    "://user:{}@host:99999/a.jpg",
    "://user:{}",
    "://host/a.jpg?X-Amz-Signature={}&x=1",
    "://host/a.jpg?x=1&sig={}",
    "://host/a.jpg?api_key={}#part",
    "://host/a.jpg?key={}",
    "://host/a.jpg?options=-c%20password%3D{}",
    "://host/?next=https%3A%2F%2Fhost%2F%3Ftoken%3D{}%26x%3D1",
)
# what stands for itself in every place of a URL, and what is escaped
CREDENTIALS = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1).map(
    lambda text: f"{SECRET}{quote(text, safe='')}"
)


@given(st.sampled_from([form for form in FORMS if "%20" not in form and form != "://user:{}"]), CREDENTIALS, st.text())
@example(FORMS[0], f"{SECRET}/?#@", "")
@example(FORMS[0], f"{SECRET}#", " see http://host:80/a@b")
def test_a_text_is_redacted_wherever_a_url_stands_in_it(form: str, credential: str, around: str) -> None:
    """Messages quote URLs in the middle of sentences, and redacting twice must change nothing."""
    shown = redacted(f"{around} https{form.format(credential)} {around}")
    assert SECRET not in shown
    assert redacted(shown) == shown
    assert "host" in shown


@pytest.mark.parametrize("name", Settings.names())
def test_no_setting_shows_a_credential(name: str) -> None:
    """A setting is either refused without a quotation, or shown without the credential."""
    schemes = ("https", "redis", "postgresql", "sqlite", "s3", "urls:ftp", "file")
    for scheme, form in itertools.product(schemes, FORMS):
        if form == USER and scheme != "https":
            continue  # elsewhere a user name is no credential
        try:
            shown = f"{load(flags={name: f'{scheme}{form.format(SECRET)}'}).shown()}"
        except InvalidRequest as refused:
            shown = f"{refused}{refused.__cause__}"
        assert SECRET not in shown


def stored(folder: Path) -> dict[str, bytes]:
    """Return the bytes of all files below a folder, with the members of archives and the contents of gzip files."""
    found: dict[str, bytes] = {}
    for path in folder.rglob("*"):
        if path.is_file():
            found[str(path)] = path.read_bytes()
            if path.suffix == ".zip":
                with zipfile.ZipFile(path) as packed:
                    found |= {f"{path}/{name}": packed.read(name) for name in packed.namelist()}
            if path.suffix == ".gz":
                found[f"{path} unpacked"] = gzip.decompress(path.read_bytes())
    return found


SOURCE = """
import json
from urllib.parse import urlencode
from pixcore.model.images import Provenance
from pixcore_adapters.downloader.sources.answer import document, items
from pixcore_adapters.downloader.sources.search import About, Credential, PageRequest, Result, ResultPage

class Source:
    about = About("echo", 2, 4, "free", "https://echo.example/terms", "on loopback",
        credentials=(Credential("ECHO_KEY", "https://echo.example/key"),))

    def __init__(self, environ):
        self.api, self.key = environ["ECHO_API"], environ["ECHO_KEY"]

    def request(self, query, licenses, page, cursor):
        # in the query under a name that no pattern knows, and in a header
        url = f"{self.api}?{urlencode({'q': query, 'page': page, 'me': self.key})}"
        return PageRequest(url, {"X-Me": self.key})

    def read(self, answer):
        found = items(document(answer.body).get("images"))
        return ResultPage([Result(one["url"], Provenance(one["page"], one["title"])) for one in found])
"""


async def echo(client: Client) -> bool:
    """Answer with images whose URLs, pages and titles repeat the key; the second page is the key itself."""
    key = client.site.requests[-1].headers["x-me"]
    values = parse_qs(urlsplit(client.site.requests[-1].target).query)
    assert values["me"] == [key]
    if values["page"] != ["0"]:
        return await status(200, f"<p>no page for {key}".encode())(client)
    found = [
        {
            "url": client.site.url(f"/{name}.jpg?me={quote(key, safe='')}"),
            "page": f"https://e.example/{key}",
            "title": key,
        }
        for name in (4, "gone")
    ]
    return await status(200, json.dumps({"images": found}).encode())(client)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Install the plug-in, and return an empty folder for each example."""
    at_home(tmp_path, monkeypatch)
    entries = {"pixcore.sources": {"echo": "echo_source:Source"}}
    monkeypatch.syspath_prepend(str(installed(tmp_path / "site", "pixcore-echo", entries, echo_source=SOURCE)))
    monkeypatch.setenv("TTY_COMPATIBLE", "0")
    return tmp_path


# as they are, and of characters that JSON, HTML, URLs and Python's literals escape; only these may be in headers
KEYS = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=6, max_size=40).map(
    lambda text: f"{SECRET.lower()}{text}"
)


@settings(max_examples=2, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(login=CREDENTIALS, signature=CREDENTIALS, key=KEYS)
@example(login="pass%2Fw0rd%23", signature="s1g%2Bnature%3D%3D", key="k3y'\"\\<&>%20+/=é")
def test_no_output_of_a_run_holds_a_credential(
    home: Path, caplog: pytest.LogCaptureFixture, login: str, signature: str, key: str
) -> None:
    """A list has signed links, and links with a login, which are refused; a source has a key, which it repeats.

    Only the stored list keeps signatures, because workers on other machines fetch by it. A login is not even in it.
    """
    login, signature = f"L0gin{login}", f"S1gn{signature}"
    key = key.encode("ascii", "ignore").decode()
    folder = home / uuid4().hex
    folder.mkdir()
    caplog.set_level(logging.DEBUG)
    caplog.clear()
    with contextlib.chdir(folder), pytest.MonkeyPatch.context() as environ, Site() as site:
        environ.setattr(redaction, "_values", ())
        environ.setenv("PIXCORE_WORK", str(folder / "work"))
        environ.setenv("ECHO_KEY", key)
        environ.setenv("ECHO_API", site.url("/echo"))
        site.routes |= {f"/{n}.jpg": picture(jpeg(n)) for n in range(5)} | {"/echo": echo}
        outputs = outputs_of_a_run(site, folder, login, signature)
    outputs["logged"] = caplog.text.encode()
    for secret in (login, key):
        for spelling in (secret, quote(secret, safe=""), json.dumps(secret)[1:-1], html.escape(secret)):
            assert {name for name, data in outputs.items() if spelling.encode() in data} == set()
    holders = {name for name, data in outputs.items() if signature.encode() in data}
    assert {name for name in holders if "/lists/" not in name} == set()
    assert holders
    rows = b"".join(data for name, data in outputs.items() if name.endswith("rows.jsonl"))
    assert rows.count(b"/0.jpg?X-Amz-Signature=***") == 1
    assert rows.count(b"/4.jpg?me=***") == 1
    assert any(name.endswith(".page") for name in outputs)


def outputs_of_a_run(site: Site, folder: Path, login: str, signature: str) -> dict[str, bytes]:
    """Run a small job and everything that shows it; return all that was printed and stored, by name."""
    with Path("cats.csv").open("w", newline="") as file:
        cells = csv.writer(file)
        cells.writerow(["url", "caption", "page", "label"])
        queries = (f"X-Amz-Signature={signature}", f"x=1&sig={signature}", f"token={signature}", "a=b")
        for number, query in enumerate(queries):
            link = f"https://me:{login}@host/?sig={signature}"
            cells.writerow([site.url(f"/{number}.jpg?{query}"), f"see {link}", link, "cat"])
        cells.writerow([site.url("/0.jpg").replace("://", f"://me:{login}@"), "", "", ""])
        cells.writerow([site.url(f"/gone.jpg?sig={signature}"), "", "", ""])
    sources = ("--source", "urls:cats.csv", "--source", "echo", "--count", "8")
    allowed = ("--allow-private-hosts", site.host, "--keep-pages", "pages")
    said = ""
    for words in (
        ("run", "cats", *sources, "--dataset", "cats", "--verbose", *allowed),
        ("plan", "cats", *sources, "--dataset", "other", "--json"),
        ("status", "cats", "--json"),
        ("outcomes", "cats", "--format", "jsonl"),
        ("why", "cats", site.url(f"/gone.jpg?sig={signature}")),
        ("report", "cats", "--out", "cats.html"),
        ("export", "cats", "--out", "out", "--format", "imagefolder"),
        ("verify", "cats", "--json"),
        ("config", "show"),
    ):
        ran = pixcore(*words)
        assert ran.code in (0, 3), ran
        said += ran.out + ran.err
    Path("cats.csv").unlink()
    return {"printed": said.encode(), **stored(folder)}
