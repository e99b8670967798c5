"""The collections: what is requested of each, and how what they say of licences is read. The contract has the rest."""

import json
from typing import Any

import pytest
from apis import query

from pixcore_adapters.downloader.sources.europeana import Europeana
from pixcore_adapters.downloader.sources.inaturalist import INaturalist
from pixcore_adapters.downloader.sources.museums import ArtInstitute, Met, Smithsonian
from pixcore_adapters.downloader.sources.openverse import Openverse
from pixcore_adapters.downloader.sources.search import PageAnswer, Refused, Search, Unreadable

KEY = "a-secret-key"


def answered(value: object) -> PageAnswer:
    """Return an answer in JSON."""
    return PageAnswer(json.dumps(value).encode())


@pytest.mark.parametrize(
    ("search", "licenses", "parameters"),
    [
        (
            INaturalist(),
            "by,cc0",
            {"taxon_name": "7 cats", "photo_license": "cc-by,cc0", "page": "3", "hrank": "species"},
        ),
        (
            Europeana(KEY),
            "",
            {"query": "7 cats", "reusability": "open", "cursor": "*", "qf": "TYPE:IMAGE", "rows": "100"},
        ),
        (Europeana(KEY), "by,cc0", {"reusability": "open"}),
        (Europeana(KEY), "by-nc", {"reusability": "restricted"}),
        (Met(), "", {"q": "7 cats", "isPublicDomain": "true", "offset": "200", "limit": "100"}),
        (ArtInstitute(), "", {"q": "7 cats", "page": "3", "limit": "100", "query[term][is_public_domain]": "true"}),
        (Smithsonian(KEY), "", {"q": "7 cats AND online_media_type:Images AND media_usage:CC0", "start": "200"}),
        (Openverse(client_id="ann", client_secret=KEY), "", {"q": "7 cats", "page": "3", "page_size": "500"}),
    ],
)
def test_a_request_follows_the_documentation(search: Search, licenses: str, parameters: dict[str, str]) -> None:
    """The third page is requested as documented, and no URL holds a key."""
    request = search.request("7 cats", licenses, 2, "")
    assert parameters.items() <= query(request.url).items()
    assert KEY not in request.url + repr(request)


def test_mixed_licences_and_numbers_of_taxa_have_requests_of_their_own() -> None:
    """Europeana can filter for one group of licences only; a number is no name of a taxon."""
    assert "reusability" not in query(Europeana(KEY).request("cats", "by,by-nc", 0, "").url)
    assert query(Europeana(KEY).request("cats", "", 1, "AoE=").url)["cursor"] == "AoE="
    taxon = query(INaturalist().request("42", "", 0, "").url)
    assert (taxon["taxon_id"], "taxon_name" in taxon) == ("42", False)


@pytest.mark.parametrize(
    ("rights", "slug", "name"),
    [
        ("http://creativecommons.org/publicdomain/mark/1.0/", "pdm", "Public Domain Mark 1.0"),
        ("http://creativecommons.org/publicdomain/zero/1.0/", "cc0", "CC0 1.0"),
        ("http://creativecommons.org/licenses/by-nc-sa/3.0/de/", "by-nc-sa", "CC BY-NC-SA 3.0"),
        ("http://rightsstatements.org/vocab/InC/1.0/", "", "InC 1.0"),
        ("http://rightsstatements.org/vocab/NoC-US/1.0/", "", "NoC-US 1.0"),
        ("https://museum.example/by", "", ""),
    ],
)
def test_rights_statements_are_named(rights: str, slug: str, name: str) -> None:
    """A statement that is no licence must not be taken for one, and its address is kept."""
    record: dict[str, Any] = {"edmIsShownBy": ["https://images.example/1.jpg"], "rights": [rights]}
    (result,) = Europeana(KEY).read(answered({"items": [record]})).results
    assert result
    assert (result.license, result.provenance.license, result.provenance.license_url) == (slug, name, rights)


def test_a_refusal_with_status_200_is_no_empty_result() -> None:
    """Europeana and the museums say in the body why they give nothing."""
    with pytest.raises(Refused, match="refuses the query: Invalid query parameter; check the keyword and EUROPEANA_"):
        Europeana(KEY).read(answered({"success": False, "error": "Invalid query parameter"}))
    with pytest.raises(Unreadable, match="it has no list of objects; The API key is not valid"):
        Smithsonian(KEY).read(answered({"error": {"code": "API_KEY_INVALID", "message": "The API key is not valid"}}))
    assert Met().read(answered({"total": 0, "objectIDs": None})).results == []
