"""Servers and proxies that speak less than the whole of S3: a proxy in front of moto has each quirk in turn."""

import hashlib
import io
import re
from base64 import b64encode
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import s3_clients
from command import at_home, fill, pixcore
from contract.blob_store import keys, noise, put, read
from fault_proxy import Answer, Fault, FaultProxy, Rule, Without
from servers.addresses import S3
from stores import real_store

from pixcore.errors import StoreConflict, StoreDenied, StoreUnavailable, one_line
from pixcore_adapters.blob_store.s3.store import S3BlobStore
from pixcore_runners.assembly.assembly import assemble
from pixcore_runners.assembly.imaging import validating
from pixcore_runners.settings import load_here

Behind = Callable[[Rule], tuple[S3BlobStore, FaultProxy]]

LARGE = noise(1, 6 << 20)  # sent in parts
SHA256 = ("x-amz-checksum-", "x-amz-sdk-checksum-", "x-amz-trailer", "x-amz-decoded-")


def refusing(*headers: str, status: int = 400, code: str = "InvalidArgument", requests: str = "") -> Rule:
    """Refuse requests that match and have a header whose name begins like that."""
    body = f"<Error><Code>{code}</Code><Message>Unsupported header</Message></Error>".encode()

    def rule(request: str, sent: Mapping[str, str]) -> Fault | None:
        found = re.search(requests, request) and any(name.lower().startswith(headers) for name in sent)
        return Answer(status, body=body) if found else None

    return rule


def unsupported(*headers: str) -> Rule:
    """Refuse a header as a function that is not implemented."""
    return refusing(*headers, status=501, code="NotImplemented")


def ignoring(*headers: str) -> Rule:
    """Drop headers of requests."""
    return lambda _request, _headers: Without(request=headers)


def forgetting(*headers: str) -> Rule:
    """Drop headers of responses."""
    return lambda _request, _headers: Without(response=headers)


MD5 = "refuses the header x-amz-checksum-sha256 of blobs; Content-MD5 is sent instead"
NONE = "refuses the headers x-amz-checksum-sha256 and Content-MD5 of blobs; each is read back after it is stored"


def notes(*sentences: str) -> list[str]:
    """Return what `check` notes."""
    return [f"the server {sentence}" for sentence in sentences]


def in_parts(sentence: str) -> str:
    """Return the sentence about blobs in parts."""
    return sentence.replace("of blobs", "of blobs in parts")


FALLBACKS = {
    "400 for checksums": (refusing(*SHA256), notes(MD5, in_parts(MD5))),
    "400 for every checksum": (refusing(*SHA256, "content-md5"), notes(NONE, in_parts(NONE))),
    "400 for the checksums of parts": (refusing(*SHA256, requests=r"\?uploads"), notes(in_parts(MD5))),
}
REFUSALS = {
    "400 for If-None-Match": (refusing("if-none-match"), "refuses the header If-None-Match (400 InvalidArgument), so"),
    "501 for If-None-Match": (
        unsupported("if-none-match"),
        "refuses the header If-None-Match (501 NotImplemented), so",
    ),
    "If-None-Match and checksums": (unsupported("if-none-match", *SHA256), "refuses the header If-None-Match (501"),
    "If-None-Match ignored": (ignoring("if-none-match"), "ignores the header If-None-Match, so writers could"),
    "metadata dropped": (forgetting("x-amz-meta-"), "drops the metadata of objects (the headers x-amz-meta-*)"),
    "400 for every write": (refusing("", requests="^PUT"), "Unsupported header; the server does not accept this"),
}


@pytest.fixture
def behind(moto: S3) -> Iterator[Callable[[Rule], tuple[S3BlobStore, FaultProxy]]]:
    """Put a proxy with a rule before moto; return an empty store behind it, and the proxy."""
    with ExitStack() as proxies:

        def start(rule: Rule) -> tuple[S3BlobStore, FaultProxy]:
            proxy = proxies.enter_context(FaultProxy(moto.port, rule=rule))
            bucket = s3_clients.store(s3_clients.client(moto))._bucket
            client = s3_clients.client(moto, endpoint=f"http://127.0.0.1:{proxy.port}")
            return S3BlobStore(client, bucket, "pre/fix"), proxy

        yield start


@pytest.fixture
def command(moto: S3, behind: Behind, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[Rule], str]:
    """Change to a folder with two photos. Return the function that returns the URL of a store behind a rule."""
    at_home(tmp_path, monkeypatch)
    fill(tmp_path / "photos", 2)

    def url(rule: Rule) -> str:
        store, proxy = behind(rule)
        real = real_store(moto, store._bucket, proxy.port)
        real.enter(monkeypatch)
        return real.url

    return url


def worker_probe(url: str) -> str:
    """Return what the probe of a worker finds to be wrong with a store; "" if it finds nothing."""
    assembly = assemble(load_here(flags={"store": url}).settings)
    with validating(assembly.settings) as validator:
        found = assembly.find_fault(validator, 0, 0)
    return one_line(found) if found else ""


@pytest.mark.parametrize("quirk", FALLBACKS)
def test_refused_checksums_fall_back(command: Callable[[Rule], str], quirk: str) -> None:
    """`check` names the header and what is done instead; the run and the worker's probe work as it says."""
    rule, notes = FALLBACKS[quirk]
    url = command(rule)
    checked = pixcore("check", "--store", url, "--json")
    assert checked.code == 0
    assert [probe["note"] for probe in checked.document["probes"] if probe["note"]] == notes
    ran = pixcore("run", "--source", "folder:photos", "--store", url, "--json", "--quiet")
    assert (ran.code, [chunk["accepted"] for chunk in ran.chunks]) == (0, [2])
    assert worker_probe(url) == ""


@pytest.mark.parametrize("quirk", REFUSALS)
def test_a_server_that_would_lose_blobs_is_refused(command: Callable[[Rule], str], quirk: str) -> None:
    """`check`, the run and the worker's probe name the same header, do not blame the credentials, and write nothing."""
    rule, message = REFUSALS[quirk]
    url = command(rule)
    checked = pixcore("check", "--store", url, "--json")
    lacking = {probe["right"]: probe["error"] for probe in checked.document["probes"] if not probe["works"]}
    ran = pixcore("run", "--source", "folder:photos", "--store", url, "--json", "--quiet")
    assert (checked.code, [*lacking], ran.code, ran.err.count("\n")) == (2, ["write"], 2, 1)
    for text in (lacking["write"], ran.err, worker_probe(url)):
        assert message in text
        assert "credentials" not in text
    assert list(assemble(load_here(flags={"store": url}).settings).store.list()) == []


@pytest.mark.parametrize("server", ["juicefs", "rclone", "ministack"])
def test_check_says_what_a_server_enforces(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, server: str
) -> None:
    """Of real servers, one enforces all conditions; two ignore them, and a run on these ends with the same line."""
    at_home(tmp_path, monkeypatch)
    fill(tmp_path / "photos", 2)
    real = real_store(request.getfixturevalue(server), s3_clients.bucket())
    real.enter(monkeypatch)
    checked = pixcore("check", "--store", real.url, "--create-container", "--json")
    lacking = {probe["right"]: probe["error"] for probe in checked.document["probes"] if not probe["works"]}
    ran = pixcore("run", "--source", "folder:photos", "--store", real.url, "--json", "--quiet")
    if server == "ministack":
        assert (checked.code, lacking, ran.code) == (0, {}, 0)
        return
    assert (checked.code, [*lacking], ran.code, ran.err.count("\n")) == (2, ["write"], 2, 1)
    for text in (lacking["write"], ran.err):
        assert "its server ignores the header If-None-Match, so writers could overwrite each other's blobs" in text


@pytest.mark.parametrize("rule", [refusing("if-match"), unsupported("if-match"), ignoring("if-match")])
def test_a_server_that_cannot_replace_creates_only(behind: Behind, rule: Rule) -> None:
    """Blobs of both sizes are created; a replacement is refused by the name of the header and changes nothing."""
    store, _ = behind(rule)
    for data in (b"old", LARGE):
        old = put(store, f"key {len(data)}", data)
        with pytest.raises(StoreDenied, match=r"(refuses|ignores) the header If-Match.*; delete it yourself"):
            put(store, old.key, b"new", replacing=old.etag)
        with pytest.raises(StoreConflict):
            put(store, old.key, b"new")
        assert read(store, old.key) == data


def test_content_md5_is_sent_in_place_of_the_refused_checksum(behind: Behind) -> None:
    """With each request that stores bytes, of a small blob and of a large one, which come back."""
    sent: list[tuple[str, str | None]] = []
    refuse = refusing(*SHA256)

    def rule(request: str, headers: Mapping[str, str]) -> Fault | None:
        if not (refused := refuse(request, headers)) and request.startswith("PUT") and "probe" not in request:
            sent.append((headers["Content-Length"], headers.get("Content-MD5")))
        return refused

    store, _ = behind(rule)
    for data in (b"small", LARGE):
        put(store, f"key {len(data)}", data)
        assert read(store, f"key {len(data)}") == data
    first, *parts = sent
    assert first == ("5", b64encode(hashlib.md5(b"small", usedforsecurity=False).digest()).decode())
    assert sum(int(size) for size, _ in parts) == len(LARGE)
    assert all(md5 for _, md5 in parts)


def test_a_blob_without_checksum_that_arrives_damaged_is_deleted(behind: Behind) -> None:
    """It is read back, found to differ and deleted; the next attempt stores it. Sound ones are not reported."""
    store, _ = behind(refusing(*SHA256, "content-md5"))
    put(store, "sound", b"images")
    damaged = iter([b"imagXs"])

    def damage(parsed: dict[str, Any], **_: object) -> None:
        parsed["Body"] = io.BytesIO(next(damaged, b"images"))

    store._client.meta.events.register("after-call.s3.GetObject", damage)
    with pytest.raises(StoreUnavailable, match="blob 'key' was damaged while it was sent, so it was deleted; try"):
        put(store, "key", b"images")
    assert keys(store) == ["sound"]
    assert put(store, "key", b"images") == store.head("key")


def test_fallbacks_are_counted_and_logged(behind: Behind, caplog: pytest.LogCaptureFixture) -> None:
    """The first blob and the tenth are logged with the header's name; every one is counted; the probe is not."""
    store, _ = behind(unsupported(*SHA256))
    for number in range(11):
        put(store, f"key {number}", b"x")
    assert store.fallbacks == {f"the server {MD5}": 11}
    lines = [record.getMessage() for record in caplog.records if record.name == "pixcore"]
    assert lines == [f"s3://{store._bucket}/pre/fix/: the server {MD5} ({number} so far)" for number in (1, 10)]


def test_a_server_without_copies_gets_the_bytes_again(behind: Behind) -> None:
    """An export is then as slow as an upload, and says so; the copy is as any other, and creates only."""
    store, _ = behind(unsupported("x-amz-copy-source"))
    put(store, "source", LARGE, metadata={"attempt": "1"})
    copied = store.prepare_copy("source", "key")()
    assert (copied, read(store, "key")) == (store.head("key"), LARGE)
    assert copied.metadata == {"attempt": "1"}
    with pytest.raises(StoreConflict):
        store.prepare_copy("source", "key")()
    assert [*store.fallbacks] == ["the server refuses the header x-amz-copy-source; copies are fetched and sent again"]


def test_large_blobs_are_whole_where_parts_are_not_protected(behind: Behind) -> None:
    """A server that enforces If-None-Match for whole blobs only gets them whole, and the store says so."""
    store, proxy = behind(refusing("if-none-match", requests="^POST"))
    put(store, "key", LARGE)
    assert read(store, "key") == LARGE
    assert not any(line.startswith("POST") and "/key?" in line for line in proxy.requests)
    with pytest.raises(StoreConflict):
        put(store, "key", LARGE)
    sentence = "the server does not enforce If-None-Match for blobs in parts; large ones are sent in one request"
    assert store.fallbacks == {sentence: 1}


def test_names_of_metadata_in_capitals_are_understood(behind: Behind) -> None:
    """HTTP knows no case of names, and some servers write `X-Amz-Meta-Attempt`."""
    store, _ = behind(lambda _request, _headers: None)
    capitals = {"Metadata": {"Attempt": "1", "Pixcore-Sha256": "0" * 64, "Pixcore-Version": "v"}}
    for name in ("HeadObject", "GetObject"):
        store._client.meta.events.register(f"after-call.s3.{name}", lambda parsed, **_: parsed.update(capitals))
    store._client.put_object(Bucket=store._bucket, Key="pre/fix/key", Body=b"x")
    blob = store.head("key")
    assert (blob.metadata, blob.sha256, blob.etag.rpartition(".")[2]) == ({"attempt": "1"}, "0" * 64, "v")
