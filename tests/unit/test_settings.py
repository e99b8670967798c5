"""Settings: which of several places decides, how errors are reported, and that no credential is ever shown."""

import inspect
import json
import os
import re
import tempfile
import tomllib
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from types import MappingProxyType

import pytest
from attrs import asdict
from hypothesis import given
from hypothesis import strategies as st

from pixcore import InvalidRequest
from pixcore_adapters.downloader.fetch.hosts import HostHeader
from pixcore_adapters.validator.pillow import PillowValidator
from pixcore_runners.cli.run import command
from pixcore_runners.settings import SecretUrl, Settings, about, load, load_here
from pixcore_runners.settings.urls import Address

DOCS = Path(__file__).parents[2] / "docs/configuration.md"
CONNECTION = "DefaultEndpointsProtocol=https;AccountName=me;AccountKey=c2VjcmV0;EndpointSuffix=core.windows.net"

WORDS = st.text("abcxyz0189-_", min_size=1, max_size=8)
COUNTS = st.integers(1, 64)
SECONDS = st.floats(0.001, 6e5)
BROKERS = WORDS.map(lambda word: f"redis://user:pw@{word}:6379/0")
VALUES: Mapping[str, st.SearchStrategy[object]] = MappingProxyType(
    {
        "store": WORDS.map(lambda word: f"file:///{word}"),
        "status": WORDS.map(lambda word: f"sqlite:////{word}.db"),
        "source": st.lists(WORDS.map(lambda word: f"folder:/{word}"), min_size=1, max_size=3),
        "license": st.lists(st.sampled_from(["cc0", "by", "by-nc-sa"]), min_size=1, max_size=3),
        "drop": st.lists(st.sampled_from(["dark", "blurry", "text"]), min_size=1, max_size=3),
        "filters": st.lists(WORDS, min_size=1, max_size=3),
        "max_aspect": SECONDS,
        "near": st.sampled_from(["drop", "report", "off"]),
        "health": st.integers(0, 65535).map(lambda port: f"0.0.0.0:{port}"),
        "log_format": st.sampled_from(["text", "json"]),
        "log_level": st.sampled_from(["debug", "info", "warning", "error"]),
        "archive": st.sampled_from(["zip", "tar"]),
        **dict.fromkeys(("work", "keep_pages", "metrics_dir"), WORDS.map(lambda word: f"/{word}")),
        **dict.fromkeys(("lease_ttl", "chunk_deadline", "decode_seconds", "fetch_seconds", "per_host_rate"), SECONDS),
        **dict.fromkeys(("user_agent", "queue", "list_encoding"), WORDS),
        **dict.fromkeys(("url_column", "caption_column", "label_column", "license_column"), WORDS),
        **dict.fromkeys(("columns", "keep_columns", "drop_columns"), st.lists(WORDS, min_size=1, max_size=3)),
        "list_format": st.sampled_from(["csv", "parquet"]),
        "verify_hash": WORDS.map(lambda word: f"md5:{word}"),
        "label_from": st.sampled_from(["folder", "none"]),
        **dict.fromkeys(
            ("private_hosts", "allow_bad_tls"), st.lists(WORDS.map(lambda word: f"{word}:80"), min_size=1, max_size=3)
        ),
        "request_headers": st.lists(WORDS.map(lambda word: f"{word}.example Referer: {word}"), min_size=1, max_size=3),
        "max_redirects": st.integers(0, 20),
        "placeholder_urls": st.integers(2, 20),
        "placeholders": st.lists(WORDS.map(lambda word: f"/{word}"), min_size=1, max_size=3),
        **dict.fromkeys(
            ("create_container", "ignore_opt_out", "proxy_from_environment", "accept_junk", "keep_rejected"),
            st.booleans(),
        ),
        **dict.fromkeys(("broker", "result_backend", "pace_redis"), BROKERS),
    }
)
LAYER = st.fixed_dictionaries({}, optional={name: VALUES.get(name, COUNTS) for name in Settings.names()})


def variable(name: str) -> str:
    """Return the environment variable of a setting."""
    return f"PIXCORE_{name.upper()}"


def variables(layer: Mapping[str, object]) -> dict[str, str]:
    """Return a layer as environment variables."""
    between = {"request_headers": "\n"}
    return {
        variable(name): between.get(name, ",").join(value) if isinstance(value, list) else str(value)
        for name, value in layer.items()
    }


def typed(value: object, name: str) -> object:
    """Convert a value of a layer to its type in Settings."""
    if isinstance(value, list):
        made = {"request_headers": HostHeader.parse, "placeholders": Path}.get(name, str)
        return tuple(map(made, value))
    if name == "health":
        return Address(str(value))
    if name in ("broker", "result_backend", "pace_redis"):
        return SecretUrl(str(value))
    return Path(str(value)) if name in ("work", "keep_pages", "metrics_dir") else value


def refusal(
    flags: Mapping[str, object] | None = None, environ: Mapping[str, str] | None = None, config: Path | None = None
) -> str:
    """Return the message with which loading these is refused."""
    with pytest.raises(InvalidRequest) as refused:
        load(flags=flags or {}, environ=environ or {}, config=config)
    return str(refused.value)


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Change to an empty current folder."""
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """Return the path for a test's pixcore.toml."""
    return tmp_path / "pixcore.toml"


# -- precedence ------------------------------------------------------------------------------------------------------


@given(LAYER, LAYER, LAYER, LAYER)
def test_the_place_of_highest_precedence_decides_and_is_named(
    flags: dict[str, object], environ: dict[str, object], dotenv: dict[str, object], toml: dict[str, object]
) -> None:
    """A user must be able to tell which of the four places decides each setting."""
    with tempfile.TemporaryDirectory() as folder:
        env, config = Path(folder, ".env"), Path(folder, "pixcore.toml")
        env.write_text("".join(f"{name}='{value}'\n" for name, value in variables(dotenv).items()))
        # JSON strings, numbers and lists are also valid TOML
        config.write_text("".join(f"{name} = {json.dumps(value)}\n" for name, value in toml.items()))
        loaded = load(flags=flags, environ=variables(environ), dotenv=env, config=config)
    for name in Settings.names():
        places = (
            (flags, "flag"),
            (environ, f"environment {variable(name)}"),
            (dotenv, f"{env} {variable(name)}"),
            (toml, str(config)),
        )
        default = getattr(Settings(), name)
        value, origin = next(((typed(p[name], name), o) for p, o in places if name in p), (default, "default"))
        assert (name, getattr(loaded.settings, name), loaded.origins[name]) == (name, value, origin)


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize(
    ("environ", "dotenv", "store", "origin"),
    [
        (["AZURE"], [], "azure://datasets", "environment AZURE_STORAGE_CONNECTION_STRING"),
        (["AZURE", "CONTAINER"], [], "azure://pictures", "environment AZURE_STORAGE_CONNECTION_STRING"),
        (["AZURE"], ["CONTAINER"], "azure://pictures", "environment AZURE_STORAGE_CONNECTION_STRING"),
        ([], ["AZURE"], "azure://datasets", ".env AZURE_STORAGE_CONNECTION_STRING"),
        (["AZURE", "STORE"], [], "file:/s", "environment PIXCORE_STORE"),
        (["AZURE"], ["STORE"], "file:/s", ".env PIXCORE_STORE"),
        (["CONTAINER"], [], "file:/toml", "pixcore.toml"),
    ],
)
def test_azure_is_chosen_by_its_connection_string_unless_pixcore_store_is_set(
    environ: list[str],
    dotenv: list[str],
    store: str,
    origin: str,
) -> None:
    """Installations of the replaced system must work unchanged, but an explicit store takes precedence."""
    known = {
        "AZURE": ("AZURE_STORAGE_CONNECTION_STRING", CONNECTION),
        "CONTAINER": ("AZURE_CONTAINER_NAME", "pictures"),
        "STORE": ("PIXCORE_STORE", "file:/s"),
    }
    Path(".env").write_text("".join("{}='{}'\n".format(*known[key]) for key in dotenv))
    Path("pixcore.toml").write_text('store = "file:/toml"')
    places = {"environ": dict(known[key] for key in environ), "dotenv": Path(".env"), "config": Path("pixcore.toml")}

    loaded = load(**places)
    assert (loaded.settings.store, loaded.origins["store"]) == (store, origin)
    assert "c2VjcmV0" not in repr(loaded) + repr(loaded.shown())
    assert load(**places, flags={"store": "file:/flag"}).settings.store == "file:/flag"


def test_the_older_variables_of_the_broker_work_until_the_newer_are_set() -> None:
    """Installations of the replaced system must not have to rename its two variables."""
    old = {"PIXCRAWLER_CELERY_BROKER_URL": "redis://a/0", "PIXCRAWLER_CELERY_RESULT_BACKEND": "redis://a/1"}
    loaded = load(environ=old | {"PIXCORE_RESULT_BACKEND": "redis://b/1"})
    assert loaded.settings.broker == SecretUrl("redis://a/0")
    assert loaded.settings.result_backend == SecretUrl("redis://b/1")
    assert loaded.origins["broker"] == "environment PIXCRAWLER_CELERY_BROKER_URL"


@pytest.mark.usefixtures("here")
def test_load_reads_only_the_places_that_it_is_given(monkeypatch: pytest.MonkeyPatch) -> None:
    """The demo must give the same result on every machine, whatever its environment and current folder contain."""
    monkeypatch.setenv("PIXCORE_WORKERS", "7")
    Path(".env").write_text("PIXCORE_CHUNK_SIZE=7")
    Path("pixcore.toml").write_text("min_width = 7")
    assert load().settings == Settings()


@pytest.mark.usefixtures("here")
def test_load_here_reads_the_environment_and_the_two_files_of_the_current_folder(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The command and the workers must read the same files, and reading .env must not change the environment."""
    assert load_here().settings == Settings()
    monkeypatch.setenv("PIXCORE_WORKERS", "7")
    monkeypatch.setenv("PIXCORE_MIN_WIDTH", "")
    Path(".env").write_text("PIXCORE_CHUNK_SIZE=7\nPIXCORE_SOURCE=folder:/${HOME}\nPIXCORE_STORE=\nOTHER=1")
    Path("pixcore.toml").write_text("min_width = 7")
    Path("other.toml").write_text("min_width = 8")
    before = dict(os.environ)
    loaded = load_here()
    assert loaded.settings == Settings(workers=7, chunk_size=7, source=("folder:/${HOME}",), min_width=7)
    assert loaded.origins["chunk_size"] == ".env PIXCORE_CHUNK_SIZE"
    assert loaded.origins["min_width"] == "pixcore.toml"
    assert load_here(config=Path("other.toml")).settings.min_width == 8
    assert dict(os.environ) == before


# -- paths -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "written", "meant"),
    [
        ("store", "file:./out", "file://{base}/out"),
        ("store", "file:../out", "file://{base}/../out"),
        ("store", "file:~/out", "file:///home/ann/out"),
        ("store", "file:///data", "file:///data"),
        ("store", "file:/data", "file:/data"),
        ("store", "azure://box/./prefix", "azure://box/./prefix"),
        ("status", "sqlite:///./s.db", "sqlite:///{base}/s.db"),
        ("status", "sqlite:///~/s.db", "sqlite:////home/ann/s.db"),
        ("status", "sqlite:////s.db", "sqlite:////s.db"),
        ("status", "sqlite:///:memory:", "sqlite:///:memory:"),
        ("source", "folder:photos", "folder:{plain}/photos"),
        ("source", "folder:~", "folder:/home/ann"),
        ("source", "urls:list.csv", "urls:{plain}/list.csv"),
        ("source", "urls:~/list.csv", "urls:/home/ann/list.csv"),
        ("source", "urls:https://host/list.csv", "urls:https://host/list.csv"),
        ("source", "bing", "bing"),
        ("work", "tmp", "{plain}/tmp"),
        ("work", "~/tmp", "/home/ann/tmp"),
    ],
)
def test_paths_in_the_file_start_from_its_folder_and_elsewhere_from_the_current_one(
    name: str, written: str, meant: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A pixcore.toml must mean the same from every current folder, and the shell does not expand ``~`` in a URL."""
    monkeypatch.setenv("HOME", "/home/ann")
    folder = tmp_path / "100% mine"
    folder.mkdir()
    config = folder / "pixcore.toml"
    config.write_text(f'{name} = "{written}"')
    escaped = str(folder).replace("%", "%25")
    shown = load(config=config).shown()[name]
    assert (shown[0] if name == "source" else shown) == meant.format(base=escaped, plain=folder)

    flag = load(flags={name: written}).shown()[name]
    assert (flag[0] if name == "source" else flag) == (meant if "~" in written else written)


# -- what is refused -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("workers", "two", "flag: workers cannot be 'two'; give a whole number from 1 to 2147483647"),
        ("workers", 0, "flag: workers cannot be 0; give a whole number from 1 to 2147483647"),
        ("workers", True, "flag: workers cannot be True; give a whole number from 1 to 2147483647"),
        ("workers", 1.5, "flag: workers cannot be 1.5; give a whole number from 1 to 2147483647"),
        ("lease_ttl", "nan", "flag: lease_ttl cannot be 'nan'; give a number of seconds above 0"),
        ("lease_ttl", "inf", "flag: lease_ttl cannot be 'inf'; give a number of seconds above 0"),
        ("lease_ttl", 10**400, f"flag: lease_ttl cannot be 1{'0' * 99}; give a number of seconds above 0"),
        ("lease_ttl", "1e19", "flag: lease_ttl cannot be '1e19'; give a number of seconds above 0, at most 604800"),
        ("max_bytes", 10**10, "flag: max_bytes cannot be 10000000000; give a whole number from 1 to 2147483647"),
        ("lease_ttl", 0, "flag: lease_ttl cannot be 0; give a number of seconds above 0"),
        ("near_dhash", 65, "flag: near_dhash cannot be 65; give a whole number from 0 to 64"),
        ("archive", "rar", "flag: archive cannot be 'rar'; give one of: zip"),
        ("store", "./out", "flag: store cannot be './out'; give a URL such as file:./out"),
        ("store", ["file:./out"], "flag: store cannot be ['file:./out']; give a URL such as file:./out"),
        ("source", [1], "flag: source cannot be [1]; give one or more sources such as folder:./photos"),
        ("work", "", "flag: work cannot be ''; give the path of a folder"),
        ("per_host_rate", -1, "flag: per_host_rate cannot be -1; give a number, at least 0"),
        ("in_flight", 0, "flag: in_flight cannot be 0; give a whole number from 1 to 2147483647"),
        ("ignore_opt_out", "perhaps", "flag: ignore_opt_out cannot be 'perhaps'; give true or false"),
        ("ignore_opt_out", 1, "flag: ignore_opt_out cannot be 1; give true or false"),
        ("private_hosts", ["a", ""], "flag: private_hosts cannot be ['a', '']; give one or more hosts such as"),
        ("work", "~nobody-at-all/x", "flag: ~nobody-at-all/x cannot be expanded to a home folder; write the full path"),
        ("wrokers", 1, "flag: unknown setting 'wrokers'; did you mean workers?"),
    ],
)
def test_an_error_names_the_place_the_value_and_the_expected_form(name: str, value: object, expected: str) -> None:
    """The message must be enough to correct the setting."""
    assert refusal(flags={name: value}).startswith(expected)


@pytest.mark.parametrize(
    ("text", "meant"),
    [("true", True), ("TRUE", True), ("yes", True), ("1", True), ("False", False), ("no", False), ("0", False)],
)
def test_a_variable_may_write_a_boolean_in_the_usual_ways(text: str, meant: bool) -> None:
    """Variables are text, and the text "no" must not count as true."""
    assert load(environ={"PIXCORE_IGNORE_OPT_OUT": text}).settings.ignore_opt_out is meant


def test_a_variable_may_name_several_private_hosts() -> None:
    """The hosts are separated by commas, like sources."""
    loaded = load(environ={"PIXCORE_PRIVATE_HOSTS": "images.intranet, 10.0.0.7:8080"})
    assert loaded.settings.private_hosts == ("images.intranet", "10.0.0.7:8080")


def test_a_value_that_is_overridden_is_not_checked() -> None:
    """A flag must work even if the user cannot correct a broken variable."""
    assert load(flags={"workers": 2}, environ={"PIXCORE_WORKERS": "two"}).settings.workers == 2


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('store = "file:./a"\nchunksize = 3', "pixcore.toml: unknown setting 'chunksize'; did you mean chunk_size?"),
        ('[celery]\nurl = "x"', "pixcore.toml: unknown setting 'celery'; use one of: store, create_container, status,"),
        ("store = file:./a", "pixcore.toml cannot be read as TOML: Invalid value (at line 1, column 9)"),
        ("workers = 1\nworkers = 2\n", "(at line 2, column 12)"),
        ("work = 2024-01-01", "pixcore.toml: work cannot be datetime.date(2024, 1, 1); give the path of a folder"),
        ("min_width = " + "9" * 5000, "pixcore.toml cannot be read as TOML: Exceeds the limit"),
        ("store = " + "[" * 5000 + "]" * 5000, "pixcore.toml cannot be read as TOML: its values are nested too deeply"),
        ("store = '\udcff'", "pixcore.toml cannot be read as TOML: 'utf-8' codec can't decode"),
        (None, "pixcore.toml cannot be read (No such file or directory); name an existing TOML file"),
    ],
)
def test_an_invalid_file_is_refused_with_the_line_or_key(text: str | None, expected: str, config: Path) -> None:
    """The message must lead to the mistake in a long file."""
    if text is not None:
        config.write_bytes(text.encode(errors="surrogateescape"))
    assert expected in refusal(config=config)


def test_a_misspelt_variable_is_refused_and_foreign_ones_are_ignored(tmp_path: Path) -> None:
    """A misspelling must not silently select the default; variables of other programs must not be errors."""
    assert refusal(environ={"HOME": "/", "PIXCORE_CHUNKSIZE": "3"}) == (
        "environment: unknown setting 'PIXCORE_CHUNKSIZE'; did you mean PIXCORE_CHUNK_SIZE?"
    )
    env = tmp_path / ".env"
    env.write_text("PIXCORE_STOER=file:./out")
    with pytest.raises(InvalidRequest, match=r"\.env: unknown setting 'PIXCORE_STOER'; did you mean PIXCORE_STORE"):
        load(dotenv=env)


def test_a_dotenv_file_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    """The file may name the store, so going on without it could write to another one."""
    env = tmp_path / ".env"
    env.write_bytes(b"PIXCORE_STORE=\xff")
    with pytest.raises(InvalidRequest, match=r"\.env is not UTF-8"):
        load(dotenv=env)


# -- credentials -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("store", "s3://key:hidden@bucket"),
        ("store", "s3://key:hid/hidden@bucket"),
        ("store", "azure://hidden@box"),
        ("store", "azure://box/prefix?sv=2024&sig=hidden"),
        ("store", "azure://box?%73ig=hidden"),
        ("store", "s3://bucket?X-Amz-Signature=hidden"),
        ("store", "s3://bucket?secret_access_key=hidden"),
        ("store", CONNECTION.replace("c2VjcmV0", "hidden")),
        ("store", ["AccountKey=hidden"]),
        ("status", "postgresql+psycopg://me:hidden@host/db"),
        ("status", "postgresql+psycopg://me:h@idden/hidden@host/db"),
        ("status", "postgresql+psycopg://host/db?user=me&password=hidden"),
        ("broker", "hidden"),
        ("broker", ["redis://:hidden@host"]),
        ("result_backend", 0xDEAD),
    ],
)
def test_a_credential_in_a_setting_is_refused_and_not_quoted(name: str, value: object) -> None:
    """URLs and error messages are shown and stored, so they must not contain credentials."""
    with pytest.raises(InvalidRequest) as refused:
        load(flags={name: value})
    seen: BaseException | None = refused.value
    while seen is not None:
        assert "hidden" not in str(seen)
        assert str(0xDEAD) not in str(seen)
        seen = None if seen.__suppress_context__ and not seen.__cause__ else seen.__cause__


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("status", "postgresql+psycopg://me@host:5432/db"),
        ("store", "s3://bucket/a@2x?endpoint=http://localhost:9000&region=x"),
        ("store", "file:///data/me@home/a:b@c"),
        ("store", "file:///warehouse/token=1/design=2"),
    ],
)
def test_a_value_that_only_resembles_a_credential_is_accepted(name: str, value: str) -> None:
    """A check that is too strict would refuse valid folder names."""
    assert load(flags={name: value}).shown()[name] == value


@pytest.mark.parametrize(
    ("url", "masked"),
    [
        ("redis://user:pw@host:6379/0", "redis://user:***@host:6379/0"),
        ("redis://:pw@host", "redis://:***@host"),
        ("amqp://token@host", "amqp://***@host"),
        ("redis://host:6379/0", "redis://host:6379/0"),
        ("amqp://host?heartbeat=3", "amqp://host?***"),
        ("sentinel://:pw@a:1;sentinel://:pw@b:1", "sentinel://:***@a:1;sentinel://:***@b:1"),
        ("db+postgresql://me:pw@host/db", "db+postgresql://me:***@host/db"),
        ("cache+memory://", "cache+memory://"),
    ],
)
def test_a_brokers_password_is_masked_wherever_the_settings_are_shown(url: str, masked: str) -> None:
    """Code that prints, logs or dumps settings must not need to mask the password itself."""
    loaded = load(flags={"broker": url})
    assert loaded.shown()["broker"] == f"{loaded.settings.broker}" == masked
    assert f"SecretUrl('{masked}')" in repr(loaded)
    assert loaded.settings.broker is not None
    assert loaded.settings.broker.reveal() == url


@pytest.mark.parametrize(
    "line",
    [
        "a.example Authorization: Bearer hush!",
        "a.example Authorization Bearer hush!",
        "a.example User-Agent: hush!",
        "a.example X: hush!\u00fc",
        "Authorization: hush!",
        "a.example X: hush!\r\nY: z",
    ],
)
def test_the_value_of_a_request_header_is_never_shown(line: str) -> None:
    """Code that prints settings, and messages about them, must not quote a token."""
    try:
        loaded = load(flags={"request_headers": [line]})
    except InvalidRequest as refused:
        assert "hush!" not in f"{refused}{refused.__cause__}"  # noqa: PT017 - most of the lines are refused
    else:
        assert loaded.shown()["request_headers"] == ["a.example Authorization: ***"]
        assert "hush!" not in f"{loaded!r}{loaded.settings}"
        assert loaded.settings.request_headers[0].value == "Bearer hush!"


@pytest.mark.parametrize("url", [f"redis://:p{unsafe}w@host" for unsafe in "#/?@["] + ["redis://:p/w@x@host"])
def test_a_password_that_is_not_escaped_is_refused_with_the_remedy(url: str) -> None:
    """Every library would split such a URL at another place, and quote a part of the password in its error."""
    with pytest.raises(InvalidRequest) as refused:
        load(flags={"broker": url})
    assert str(refused.value) == (
        "flag: the URL cannot be split; in its user name and password write '#' as %23, '/' as %2F, ':' as %3A, ';' as"
        " %3B, '?' as %3F, '@' as %40"
    )
    assert refused.value.__cause__ is None or "p" not in str(refused.value.__cause__.__cause__)


@pytest.mark.parametrize(
    ("url", "complaint"),
    [
        ("redis://host/mydb", "flag: the database of a Redis is a number, as in redis://host:6379/0"),
        ("rediss://host?password=pw", "flag: write the password before the host, as in redis://:password@host:6379/0"),
    ],
)
def test_the_url_of_a_redis_that_one_of_the_runners_would_misread_is_refused(url: str, complaint: str) -> None:
    """RQ takes a name for database 0, and Celery ends with a traceback for both."""
    with pytest.raises(InvalidRequest) as refused:
        load(flags={"broker": url})
    assert str(refused.value) == complaint


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ("A=1\nPIXCORE_STORE='file:./hush\nB=2\n", ".env:2 cannot be read; write NAME=VALUE, or begin it with #"),
        ("OTHER\nPIXCORE_STORE\n", ".env:2 cannot be read; write NAME=VALUE, or begin it with #"),
        (None, ".env cannot be read (Is a directory); make it a file that you may read"),
    ],
    ids=["a quotation mark", "no value", "a folder"],
)
def test_a_env_file_that_cannot_be_read_is_named(tmp_path: Path, content: str | None, complaint: str) -> None:
    """A setting that is ignored in silence puts a dataset into another store. The line itself may hold a password."""
    env = tmp_path / ".env"
    if content is None:
        env.mkdir()
    else:
        env.write_text(content)
    with pytest.raises(InvalidRequest) as refused:
        load(dotenv=env)
    assert str(refused.value) == f"{tmp_path}/{complaint}"


@given(st.text(), st.text(), st.text())
def test_a_masked_url_never_contains_the_password(user: str, before: str, after: str) -> None:
    """Users often do not escape special characters in their passwords."""
    for url in (f"redis://{user}:{before}hush!{after}@host", f"amqp://host?password={before}hush!{after}"):
        try:
            shown = str(SecretUrl(url))
        except ValueError as refused:
            shown = f"{refused}{refused.__cause__}"
        assert "hush!" not in shown


# -- the rest --------------------------------------------------------------------------------------------------------


def test_the_shown_settings_are_json_that_loads_to_the_same_settings() -> None:
    """``config show --json`` must be complete and correct."""
    shown = json.loads(json.dumps(load(flags={"source": ["folder:/a"], "workers": 3}).shown()))
    assert list(shown) == list(Settings.names())
    assert load(flags={name: value for name, value in shown.items() if value is not None}).settings == Settings(
        source=("folder:/a",), workers=3
    )


def test_the_default_decode_time_equals_the_validators() -> None:
    """The default is written twice, because reading the validator's would import Pillow."""
    assert Settings().decode_seconds == inspect.signature(PillowValidator).parameters["seconds"].default


def test_the_documented_table_lists_the_settings() -> None:
    """Users rely on this table of the documents."""
    rows = [
        f"| `{name}` | {flag(name)} | `{variable(name)}` | {documented(default)} | {about(name).help} |"
        for name, default in asdict(Settings()).items()
    ]
    table = DOCS.read_text().split("|---|---|---|---|---|\n")[1].split("\n\n")[0]
    assert table.split("\n") == rows


def flag(name: str) -> str:
    """Return a setting's flag as the table shows it, taken from the command itself."""
    flags = {parameter.name: parameter.opts[0] for parameter in command.params}
    assert (name in flags) == about(name).flag
    return f"`{flags[name]}`" if name in flags else ""


def documented(default: object) -> str:
    """Return a default as the table shows it."""
    match default:
        case None | ():
            return "none"
        case tuple():
            return ", ".join(f"`{part}`" for part in default)
        case bool():
            return f"`{default}`".lower()
        case float():
            return f"`{default:g}`"
        case Path():
            assert default == Path(tempfile.gettempdir(), f"pixcore-{os.geteuid()}")
            return "`<tempdir>/pixcore-<uid>`"
        case _:
            return f"`{default}`".replace(version("pixcore"), "<version>")


def test_the_documented_example_file_can_be_loaded(config: Path) -> None:
    """Users copy the example."""
    (example,) = re.findall(r"```toml\n(.*?)```", DOCS.read_text(), re.DOTALL)
    config.write_text(example)
    origins = load(config=config).origins
    assert {name for name, origin in origins.items() if origin == str(config)} == set(tomllib.loads(example))
