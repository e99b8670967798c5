"""How sources are written by people, and what they are called."""

import pytest

from pixcore import InvalidRequest
from pixcore_runners.settings.source_names import caution, parse, title


@pytest.mark.parametrize(
    ("source", "parsed"),
    [
        ("folder:./photos", ("folder", "./photos")),
        ("folder:a:b", ("folder", "a:b")),
        ("urls:list.csv", ("urls", "list.csv")),
        ("urls:https://host.example:8080/list.csv?a=b:c", ("urls", "https://host.example:8080/list.csv?a=b:c")),
        ("openverse", ("openverse", "")),
        ("baidu", ("baidu", "")),
    ],
)
def test_a_source_is_a_name_and_what_it_is_asked_for(source: str, parsed: tuple[str, str]) -> None:
    """The first colon divides; paths and addresses hold others."""
    assert parse(source) == parsed


@pytest.mark.parametrize(
    ("source", "complaint"),
    [
        ("flickr:cats", "unknown source 'flickr:cats'; use one of: openverse, commons, folder:DIR, urls:LIST, bing,"),
        ("list.csv", "unknown source 'list.csv'; use one of: "),
        ("bing:cats", "source 'bing:cats' is searched by the keyword and takes no argument; write bing"),
        ("openverse:", "source 'openverse:' is searched by the keyword and takes no argument; write openverse"),
        ("URLS:list.csv", "unknown source 'URLS:list.csv'"),
        ("", "unknown source ''"),
        ("urls", "source 'urls' is incomplete; write urls:LIST"),
        ("folder:", "source 'folder:' is incomplete; write folder:DIR"),
    ],
)
def test_anything_else_is_refused_with_the_forms_there_are(source: str, complaint: str) -> None:
    """Whoever mistypes needs the right spelling."""
    for ask in (parse, title):
        with pytest.raises(InvalidRequest) as refused:
            ask(source)
        assert complaint in str(refused.value)


@pytest.mark.parametrize(
    ("source", "name"),
    [
        ("folder:/data/red panda", "red panda"),
        ("folder:/data/red panda/", "red panda"),
        ("folder:/data/v1.2", "v1.2"),
        ("urls:list.csv", "list"),
        ("urls:/data/red panda.jsonl.gz", "red panda"),
        ("urls:https://host.example/a/red%20panda.csv?sig=hidden#x", "red panda"),
        ("urls:https://[broken/cats.csv", "cats"),
        ("urls:https://host.example:port/cats.csv", "cats"),
    ],
)
def test_a_source_is_called_as_its_last_part(source: str, name: str) -> None:
    """It becomes the keyword and the dataset when nobody gives others; a broken address is not its to find."""
    assert title(source) == name


@pytest.mark.parametrize(
    ("sources", "told"),
    [
        (["openverse", "commons", "folder:bing"], ""),
        (["bing", "openverse"], "bing: search engines generally forbid automated collection"),
        (["google", "baidu", "google"], "google, baidu: search engines generally forbid automated collection"),
    ],
)
def test_whoever_names_an_engine_is_told_once_what_that_means(sources: list[str], told: str) -> None:
    """In one line, which names the engines and what to take instead."""
    assert caution(sources).startswith(told)
    assert bool(caution(sources)) == bool(told)
    assert "\n" not in caution(sources)
