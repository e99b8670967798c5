"""The pixcore command with the collections as sources: each on loopback, in its documented format, with its key."""

import json
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import collection_apis
import pytest
from command import Ran, at_home, jpeg, pixcore
from contract.source import Answers, Asked, Reply, Server, serving

from pixcore_adapters.downloader.sources.europeana import Europeana
from pixcore_adapters.downloader.sources.inaturalist import INaturalist
from pixcore_adapters.downloader.sources.museums import ArtInstitute, Met, Smithsonian
from pixcore_adapters.downloader.sources.openverse import Openverse
from pixcore_adapters.downloader.sources.search import Search
from pixcore_runners.assembly import sources

KEY = collection_apis.KEY
ZERO = "https://creativecommons.org/publicdomain/zero/1.0/"
COUNT = 6  # of each source; the contract suites have more pages
SEARCHES: dict[str, Callable[[str], Search]] = {
    "openverse": lambda url: Openverse(f"{url}/v1/images/", KEY, KEY),
    "inaturalist": lambda url: INaturalist(f"{url}/v1/observations"),
    "europeana": lambda url: Europeana(KEY, f"{url}/record/v2/search.json"),
    "met": lambda url: Met(f"{url}/public/collection"),
    "artic": lambda url: ArtInstitute(f"{url}/api/v1/artworks/search"),
    "smithsonian": lambda url: Smithsonian(KEY, f"{url}/openaccess/api/v1.0/search"),
}
PATHS = {"/v1/images/": "openverse", "/v1/auth": "openverse", "/v1/obs": "inaturalist", "/record": "europeana"}
PATHS |= {"/public": "met", "/api": "artic", "/openaccess": "smithsonian"}
"""The source that a path belongs to, by how it begins."""


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """Serve all collections, each with images of its own; change to an empty folder."""
    at_home(tmp_path, monkeypatch)
    for variable in ("EUROPEANA_API_KEY", "SMITHSONIAN_API_KEY", "OPENVERSE_CLIENT_ID", "OPENVERSE_CLIENT_SECRET"):
        monkeypatch.setenv(variable, KEY)

    def image(name: str) -> Callable[[int], str]:
        form = "image-{}/full/843,/0/default.jpg" if name == "artic" else "{}.jpg"
        return lambda number: f"{server.url}/images/{name}/{form.format(number)}"

    def answer(asked: Asked) -> Reply:
        if asked.path.startswith("/images/"):
            _, _, name, file, *_ = asked.path.split("/")
            number = int(file.removeprefix("image-").removesuffix(".jpg"))
            return Reply(jpeg(COUNT * list(SEARCHES).index(name) + number), 200, {"Content-Type": "image/jpeg"})
        name = next((name for path, name in PATHS.items() if asked.path.startswith(path)), "")
        return apis[name](asked) if name else Reply(status=404)

    with serving(answer) as server:
        apis: dict[str, Answers] = {name: getattr(collection_apis, name)(COUNT, image(name)) for name in SEARCHES}
        on_site, built_in = {name: make(server.url) for name, make in SEARCHES.items()}, sources.search_named
        monkeypatch.setattr(sources, "search_named", lambda name: on_site.get(name) or built_in(name))
        yield server


def run(server: Server, *names: str) -> Ran:
    """Collect all results of these sources, each in a chunk of its own, with the document on standard output."""
    keywords = "".join(f'[[keyword]]\nname = "{name}"\nsource = ["{name}"]\n' for name in names)
    Path("museums.toml").write_text(f"count = {COUNT}\nchunk_size = {COUNT}\n{keywords}")
    return pixcore("run", "museums.toml", "--allow-private-hosts", f"127.0.0.1:{server.port}", "--quiet", "--json")


def rows(ran: Ran) -> list[dict[str, Any]]:
    """Return the rows of all archives."""
    found: list[dict[str, Any]] = []
    for chunk in ran.chunks:
        with zipfile.ZipFile(chunk["url"].removeprefix("file://")) as archive:
            found += map(json.loads, archive.read("rows.jsonl").decode().splitlines())
    return found


def test_images_of_all_collections_have_creator_licence_and_page(server: Server) -> None:
    """Every row must have what the source states of its image, and the label that it gives."""
    ran = run(server, *SEARCHES)
    assert (ran.code, {chunk["accepted"] for chunk in ran.chunks}) == (0, {COUNT}), ran.err + str(ran.chunks)
    found = rows(ran)
    assert Counter(row["source"] for row in found) == dict.fromkeys(SEARCHES, COUNT)
    assert {row["creator"] for row in found} == {"Ada"}
    assert all(row["page_url"].startswith("http") and row["title"] for row in found)
    assert {(row["source"], row["license"], row["license_url"]) for row in found} == {
        ("openverse", "CC BY-SA 4.0", "https://creativecommons.org/licenses/by-sa/4.0/"),
        ("inaturalist", "CC BY-NC 4.0", "https://creativecommons.org/licenses/by-nc/4.0/"),
        ("europeana", "CC BY-SA 4.0", "http://creativecommons.org/licenses/by-sa/4.0/"),
        *(
            (name, "CC0 1.0", "https://creativecommons.org/publicdomain/zero/1.0/")
            for name in ("met", "artic", "smithsonian")
        ),
    }
    assert {row["label"] for row in found if row["source"] == "inaturalist"} == {"Ailurus fulgens"}
    assert {row["label"] for row in found if row["source"] == "met"} == {"met"}
    assert {row["caption"] for row in found if row["source"] in ("europeana", "artic")} == {"A red panda in a tree."}
    assert KEY not in json.dumps([found, ran.document])


def test_a_withdrawn_object_costs_only_itself(server: Server) -> None:
    """The Met answers 404 for objects that its search still names; their images are lacking, and all others come."""
    documented = server.answers
    gone = "/public/collection/v1/objects/3"
    server.answers = lambda asked: Reply(status=404) if asked.path == gone else documented(asked)
    ran = run(server, "met")
    assert (ran.code, ran.chunks[0]["accepted"]) == (3, COUNT - 1), ran.chunks
    assert ran.chunks[0]["missed"] == {}
    assert sorted(row["url"].rpartition("/")[2] for row in rows(ran)) == [f"{n}.jpg" for n in range(COUNT) if n != 3]
