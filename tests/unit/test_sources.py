"""The forms in which users write sources, and the names that sources have."""

import pytest
from servers.addresses import Redis

from pixcore import InvalidRequest, TransientError
from pixcore_adapters.downloader.pacing import fleet
from pixcore_adapters.downloader.pacing.fleet import FleetPacing
from pixcore_runners.assembly.pace import pacing, try_redis
from pixcore_runners.settings import SecretUrl, Settings
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
        ("commons-category:Red pandas: young", ("commons-category", "Red pandas: young")),
        ("commons-depicts:Q41960", ("commons-depicts", "Q41960")),
    ],
)
def test_a_source_is_a_name_and_an_argument(source: str, parsed: tuple[str, str]) -> None:
    """Only the first colon divides, because paths and addresses contain others."""
    assert parse(source) == parsed


@pytest.mark.parametrize(
    ("source", "complaint"),
    [
        (
            "flickr:cats",
            "unknown source 'flickr:cats'; use one of: openverse, commons, commons-category:NAME, commons-depicts:Q123",
        ),
        ("list.csv", "unknown source 'list.csv'; use one of: "),
        ("bing:cats", "source 'bing:cats' is searched by the keyword and takes no argument; write bing"),
        ("openverse:", "source 'openverse:' is searched by the keyword and takes no argument; write openverse"),
        ("URLS:list.csv", "unknown source 'URLS:list.csv'"),
        ("", "unknown source ''"),
        ("urls", "source 'urls' is incomplete; write urls:LIST"),
        ("folder:", "source 'folder:' is incomplete; write folder:DIR"),
        ("commons-category", "source 'commons-category' is incomplete; write commons-category:NAME"),
        ("commons-depicts:panda", "names no item of Wikidata; write commons-depicts:Q123, with its number"),
    ],
)
def test_any_other_form_is_refused_with_the_valid_forms(source: str, complaint: str) -> None:
    """A user who mistypes a source needs the right spelling."""
    for read in (parse, title):
        with pytest.raises(InvalidRequest) as refused:
            read(source)
        assert complaint in str(refused.value)


@pytest.mark.parametrize(
    ("source", "name"),
    [
        ("folder:/data/red panda", "red panda"),
        ("folder:/data/red panda/", "red panda"),
        ("folder:/data/v1.2", "v1.2"),
        ("urls:list.csv", "list"),
        ("commons-category:Red pandas", "Red pandas"),
        ("urls:s3://bucket/cats/*.parquet", "cats"),
        ("urls:/data/red panda.jsonl.gz", "red panda"),
        ("urls:https://host.example/a/red%20panda.csv?sig=hidden#x", "red panda"),
        ("urls:https://[broken/cats.csv", "cats"),
        ("urls:https://host.example:port/cats.csv", "cats"),
    ],
)
def test_a_source_is_named_by_the_last_part_of_its_path(source: str, name: str) -> None:
    """The name is the default keyword and dataset; invalid addresses are reported elsewhere and must not raise."""
    assert title(source) == name


@pytest.mark.parametrize(
    ("sources", "expected"),
    [
        (["openverse", "commons", "folder:bing"], ""),
        (["bing", "openverse"], "bing: search engines generally forbid automated collection"),
        (["google", "baidu", "google"], "google, baidu: search engines generally forbid automated collection"),
    ],
)
def test_search_engines_get_one_caution(sources: list[str], expected: str) -> None:
    """The caution must be one line that names the engines."""
    assert caution(sources).startswith(expected)
    assert bool(caution(sources)) == bool(expected)
    assert "\n" not in caution(sources)


@pytest.mark.parametrize(
    ("urls", "chosen"),
    [
        ({}, ""),
        ({"broker": "amqp://host"}, ""),
        ({"broker": "redis://:pw@queue/0"}, "redis://:***@queue/0"),
        ({"broker": "amqp://host", "result_backend": "rediss://results/1"}, "rediss://results/1"),
        ({"broker": "redis://queue/0", "pace_redis": "unix:///run/redis.sock"}, "unix:///run/redis.sock"),
    ],
)
def test_machines_share_a_pace_by_the_redis_that_is_named_or_that_of_the_queue(
    urls: dict[str, str], chosen: str
) -> None:
    """Without a Redis, the pace is that of this machine."""
    made = pacing(Settings(**{name: SecretUrl(url) for name, url in urls.items()}))
    assert (made.shown if isinstance(made, FleetPacing) else "") == chosen


def test_a_pace_by_another_server_than_a_redis_is_refused() -> None:
    """The message names the setting and hides the password."""
    with pytest.raises(InvalidRequest, match=r"pace_redis is amqp://:\*\*\*@host, which is no Redis"):
        pacing(Settings(pace_redis=SecretUrl("amqp://:pw@host")))


def test_a_redis_that_is_tried_for_the_pace_is_named_if_it_cannot_be_used(
    redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`pixcore check` tries it, because workers only warn once they fetch."""
    monkeypatch.setattr(fleet, "_TIMEOUT", 60.0)  # on a machine that does much else
    try_redis(SecretUrl(redis.url()))
    with pytest.raises(
        TransientError, match=r"^the Redis redis://:\*\*\*@127.0.0.1:.*check that it runs and that pace_redis"
    ):
        try_redis(SecretUrl(f"redis://:wrong@127.0.0.1:{redis.port}/0"))
