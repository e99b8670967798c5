"""No output holds a credential, wherever it was written: in a setting, in an option, or in a cell of a list."""

import csv
import gzip
import itertools
import logging
import zipfile
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest
from command import at_home, jpeg, pixcore
from hostile import Site, picture
from hypothesis import example, given
from hypothesis import strategies as st

from pixcore import InvalidRequest
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


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    """Yield a site with pictures; the current folder is empty."""
    at_home(tmp_path, monkeypatch)
    with Site({f"/{n}.jpg": picture(jpeg(n)) for n in range(4)}) as site:
        yield site


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


def test_no_output_of_a_run_holds_a_credential_of_its_list(
    site: Site, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Lists hold signed links, and links with a login, which are refused. Only the stored list keeps signatures.

    Workers on other machines fetch by the stored list. A login is not even in it.
    """
    caplog.set_level(logging.DEBUG)
    login = SECRET.upper()
    with Path("cats.csv").open("w", newline="") as file:
        cells = csv.writer(file)
        cells.writerow(["url", "caption", "page", "label"])
        for number, query in enumerate((f"X-Amz-Signature={SECRET}", f"x=1&sig={SECRET}", f"token={SECRET}", "a=b")):
            link = f"https://me:{login}@host/?sig={SECRET}"
            cells.writerow([site.url(f"/{number}.jpg?{query}"), f"see {link}", link, "cat"])
        cells.writerow([site.url("/0.jpg").replace("://", f"://me:{login}@"), "", "", ""])
        cells.writerow([site.url(f"/gone.jpg?sig={SECRET}"), "", "", ""])
    said = ""
    for words in (
        ("run", "--source", "urls:cats.csv", "--dataset", "cats", "--verbose", "--allow-private-hosts", site.host),
        ("plan", "--source", "urls:cats.csv", "--dataset", "other", "--json"),
        ("status", "cats", "--json"),
        ("outcomes", "cats", "--format", "jsonl"),
        ("why", "cats", site.url(f"/gone.jpg?sig={SECRET}")),
        ("report", "cats", "--out", "cats.html"),
        ("export", "cats", "--out", "out", "--format", "imagefolder"),
        ("verify", "cats", "--json"),
        ("config", "show"),
    ):
        ran = pixcore(*words)
        assert ran.code in (0, 3), ran
        said += ran.out + ran.err
    Path("cats.csv").unlink()
    outputs = {"printed": said.encode(), "logged": caplog.text.encode(), **stored(tmp_path)}
    assert {name for name, data in outputs.items() if login.encode() in data} == set()
    holders = {name for name, data in outputs.items() if SECRET.encode() in data}
    assert {name for name in holders if "/lists/" not in name} == set()
    rows = b"".join(data for name, data in outputs.items() if name.endswith("rows.jsonl"))
    assert rows.count(b"/0.jpg?X-Amz-Signature=***") == 1
