"""What is known of sources before any request: `pixcore sources`, `pixcore plan` and docs/sources.md say the same."""

from pathlib import Path

import pytest
from attrs import evolve
from command import at_home, pixcore
from distributions import installed

from pixcore import Slice
from pixcore_adapters.downloader.sources.search import About, Limits
from pixcore_runners.assembly.known_sources import KnownSource, known_sources, licences, rate
from pixcore_runners.planning.effort import efforts
from pixcore_runners.settings.source_names import LISTED

DOCUMENT = Path(__file__).parents[2] / "docs" / "sources.md"
ABOUT = About("herd", 100, 1000, "free", "https://herd.example", "here", limits=Limits(minute=30, day=400))


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Change to an empty folder; no credential is set."""
    at_home(tmp_path, monkeypatch)
    for one in known_sources():
        for credential in one.about.credentials if one.about else ():
            monkeypatch.delenv(credential.variable, raising=False)


def row(one: KnownSource, name: str = "") -> str:
    """Return a source as a row of the table in the document."""
    about = one.about
    assert about
    key = one.key.rpartition(",")[0] or one.key
    chosen = "by default" if one.by_default else "by name"
    named = name or f"`{one.form}`"
    slugs = licences(about)
    return f"| {named} | {key} | {about.depth:,} | {about.size} | {rate(about.limits)} | {slugs} | {chosen} |"


def test_the_document_has_what_the_code_says(monkeypatch: pytest.MonkeyPatch) -> None:
    """A table that is kept by hand becomes wrong; copy the rows below into docs/sources.md if they differ."""
    rows = []
    for one in known_sources():
        rows.append(row(one))
        optional = [each.variable for each in one.about.credentials if not each.required] if one.about else []
        if optional:
            for variable in optional:
                monkeypatch.setenv(variable, "a-credential")
            keyed = next(again for again in known_sources() if again.name == one.name)
            rows.append(row(keyed, f"`{one.name}` with its key").replace(": optional |", ": set |"))
    of_lists = [f"| `{form}` |" for form in LISTED.values()]
    table = [line for line in DOCUMENT.read_text().splitlines() if line.endswith(("| by name |", "| by default |"))]
    assert [line for line in table if not line.startswith(tuple(of_lists))] == rows, "\n".join(rows)
    assert len(table) == len(rows) + len(of_lists)


def test_sources_are_listed_with_their_keys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A user must see which key is missing, and a plug-in that cannot be used must not hide the others."""
    entries = {"pixcore.sources": {"herd": "herd_source:Source"}}
    source = "def Source(environ):\n    raise KeyError('HERD')"
    folder = installed(tmp_path / "site", "pixcore-herd", entries, herd_source=source)
    monkeypatch.syspath_prepend(str(folder))
    Path(".env").write_text(
        "EUROPEANA_API_KEY=a-secret-key\nOPENVERSE_CLIENT_ID=ann\nOPENVERSE_CLIENT_SECRET=a-secret-too\n"
    )
    ran = pixcore("sources", "--json")
    found = {one["source"]: one for one in ran.document["sources"]}
    assert found["europeana"]["credentials"] == [
        {
            "variable": "EUROPEANA_API_KEY",
            "required": True,
            "set": True,
            "url": "https://pro.europeana.eu/pages/get-api",
        }
    ]
    assert [each["set"] for each in found["smithsonian"]["credentials"]] == [False]
    assert (found["openverse"]["results_a_query"], found["openverse"]["requests_a_day"]) == (10_000, 10_000)
    assert "no longer reads Google's pages" in found["google"]["known"]
    assert found["herd"]["error"] == "KeyError: 'HERD'"
    table = pixcore("sources")
    assert (ran.code, table.code) == (0, 0)
    assert "SMITHSONIAN_API_KEY: needed, not set" in table.out
    assert "a contact address in user_agent: needed, not set" in table.out
    monkeypatch.setenv("PIXCORE_USER_AGENT", "lab/1.0 (ann@lab.example)")
    assert "a contact address in user_agent: needed, set" in pixcore("sources").out
    assert "cannot be used: KeyError: 'HERD'" in table.out
    assert "a-secret" not in ran.out + table.out + ran.err + table.err


def test_half_of_a_pair_of_credentials_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """A user who forgot one would otherwise search without the other, and wonder at the limits."""
    monkeypatch.setenv("OPENVERSE_CLIENT_ID", "ann")
    ran = pixcore("plan", "red panda", "--source", "openverse", "--count", "10")
    assert (ran.code, ran.out) == (2, "")
    assert "or neither of them; OPENVERSE_CLIENT_SECRET is not set; register at https://" in ran.err


def test_a_plan_says_how_much_each_source_can_give_and_how_long_it_takes() -> None:
    """A user can then choose another source before a run of hours."""
    words = ("--source", "openverse", "--source", "google", "--source", "inaturalist")
    ran = pixcore("plan", "red panda", "--count", "2000", *words, "--json")
    assert ran.code == 0, ran.err
    most = {one["source"]: one["most"] for one in ran.document["sources"]}
    assert most == {"openverse": 4_800, "google": 20_000, "inaturalist": 10_000}
    shown = pixcore("plan", "red panda", "--count", "2000", *words).out
    assert "google: gives at most 20,000 images here; at most " in shown
    assert "within no documented limit; others report since 2023 that icrawler no longer reads Google's pages" in shown
    alone = pixcore("plan", "red panda", "--count", "2000", "--source", "met").out
    assert (
        "at most 200,000 images here; at most 2,525 requests for pages, which take 21 minutes within its limits"
        in alone
    )


@pytest.mark.parametrize(
    ("stop", "details", "requests", "seconds"),
    [(100, False, 1, 0), (3_100, False, 31, 60), (41_000, False, 410, 86_400), (50, True, 51, 60)],
)
def test_the_time_follows_from_the_limits(stop: int, details: bool, requests: int, seconds: int) -> None:
    """A page that two chunks share counts once, and the longest limit decides."""
    slices = [Slice("herd", "cats", 0, stop // 2), Slice("herd", "cats", stop // 2, stop), Slice("urls", "x", 0, 9)]
    (effort,) = efforts({"herd": 1000}, {"herd": evolve(ABOUT, details=details)}, slices)
    assert (effort.most, effort.requests, effort.seconds) == (1000, requests, seconds)
