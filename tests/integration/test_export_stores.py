"""Exports to real stores: nothing is listed before the end, and an export that was killed is completed by the next."""

import signal
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING

import azure_stores
import pytest
import s3_clients
from command import at_home, ended, files, fill, pixcore, start
from fault_proxy import Fault, FaultProxy
from servers.addresses import S3, Azure
from stores import real_store

if TYPE_CHECKING:
    from subprocess import Popen

CARD = "README.md"
Read = Callable[[str], dict[str, bytes]]
Names = Callable[[str], list[str]]


class Killer(FaultProxy):
    """A proxy that kills a process when request ``number`` arrives, and calls ``seen`` at each request."""

    def __init__(self, to: int) -> None:
        self.victim: Popen[str] | None = None
        self.number = -1
        self.seen: Callable[[], object] = lambda: None
        self._one = Lock()
        super().__init__(to)

    def _next(self, request: str, headers: Mapping[str, str]) -> Fault:
        with self._one:
            fault = super()._next(request, headers)
            if len(self.requests) == self.number and self.victim:
                self.victim.send_signal(signal.SIGKILL)
                self.victim.wait()
            self.seen()
        return fault


@pytest.fixture(params=["azurite", "moto", pytest.param("swift", marks=pytest.mark.soak)])  # Swift is slow
def server(request: pytest.FixtureRequest) -> Azure | S3:
    """Return one of the servers of the run."""
    address: Azure | S3 = request.getfixturevalue(request.param)
    return address


@pytest.fixture
def proxy(server: Azure | S3) -> Iterator[Killer]:
    """Return a proxy in front of the server."""
    with Killer(server.port) as proxy:
        yield proxy


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make a dataset of six photos in two chunks, and export it to the folder ``local``."""
    at_home(tmp_path, monkeypatch)
    fill(tmp_path / "photos", 6)
    words = ("cat", "--dataset", "cats", "--source", "folder:photos", "--chunk-size", "3", "--near", "off")
    assert pixcore("run", *words).code == 0
    assert pixcore("export", *WORDS, "--out", "local").code == 0
    return tmp_path


WORDS = ("cats", "--store", "file:./pixcore-data/blobs", "--format", "imagefolder", "--split", "train=0.6,test=0.4")


def bucket(server: Azure | S3, *, create: bool) -> tuple[str, Names, Read]:
    """Return the name of a new container, and what its server's own client lists and reads below a prefix."""
    if isinstance(server, Azure):
        name = azure_stores.container()
        store = azure_stores.store(server, name)
        if create:
            store.create()

        def names(prefix: str) -> list[str]:
            return [each.name.removeprefix(prefix) for each in store._container.list_blobs(prefix)]

        def read(key: str) -> bytes:
            return store._container.download_blob(key).readall()

    else:
        client, name = s3_clients.client(server), s3_clients.bucket()
        if create:
            client.create_bucket(Bucket=name)

        def names(prefix: str) -> list[str]:
            listed = client.list_objects_v2(Bucket=name, Prefix=prefix).get("Contents", ())
            return [each["Key"].removeprefix(prefix) for each in listed]

        def read(key: str) -> bytes:
            data: bytes = client.get_object(Bucket=name, Key=key)["Body"].read()
            return data

    return name, names, lambda prefix: {each: read(f"{prefix}{each}") for each in names(prefix)}


@pytest.mark.parametrize("moments", [1, pytest.param(20, marks=pytest.mark.soak)])
@pytest.mark.usefixtures("home")
def test_a_killed_export_to_a_store_is_completed_by_the_next(
    server: Azure | S3, proxy: Killer, monkeypatch: pytest.MonkeyPatch, moments: int
) -> None:
    """Killed at any request, an export leaves nothing for readers; the next one completes it.

    If it was killed during the last requests, which show the files, readers find some of them, whole and without the
    card. The longer run of this test lists the destination at each request of an export, and kills twenty.
    """
    name, names, read = bucket(server, create=moments > 1)
    store = real_store(server, name, proxy.port)
    store.enter(monkeypatch)
    local = {each: (Path("local") / each).read_bytes() for each in files(Path("local"))}

    def export(out: str) -> tuple[object, ...]:
        return ("export", *WORDS, "--out", store.url.replace("pre/fix", f"pre/{out}"))

    found: list[int] = []
    if moments > 1:
        proxy.seen = lambda: found.append(len(names("pre/whole/")))
    else:
        ran = pixcore(*export("whole"))
        assert (ran.code, ran.err.count("\n"), "--create-container" in ran.err) == (2, 1, True)
    assert pixcore(*export("whole"), "--create-container").code == 0
    requests, proxy.seen = len(proxy.requests), lambda: None
    assert read("pre/whole/") == local
    partial = len([size for size in found if 0 < size < len(local)])
    assert partial <= 3 * len(local)
    listed = []
    for moment in range(1, moments + 1):
        proxy.play()
        proxy.number, out = requests * moment // (moments + 1), f"out-{moment}"
        proxy.victim = start(*export(out))
        assert ended(proxy.victim).code == -signal.SIGKILL
        before = read(f"pre/{out}/")
        listed.append(len(before))
        assert before.items() <= local.items()
        assert CARD not in before or before == local
        proxy.number = -1
        assert pixcore(*export(out)).code == 0
        assert read(f"pre/{out}/") == local
        assert names(f"pre/.{out}.partial/") == []
    print(f"{requests} requests, {partial} with some of {len(local)} files listed; listed when killed: {listed}")  # noqa: T201
