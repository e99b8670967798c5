"""A worker whose machine or services do not work harms no chunk: it rests, says why, and goes on by itself."""

import os
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest
import servers.redis
from fault_proxy import Answer, FaultProxy
from fleet import await_true, everything_holds, fleet
from servers.addresses import S3, Redis
from servers.fixtures import Own
from servers.server import Server
from small_disk import small_disk
from stores import real_store

from pixcore import Fault, Status
from pixcore_runners.queueing.runner import RUNNERS

PAGE = 4096
REFUSED = Answer(403, body=b"<Error><Code>InvalidAccessKeyId</Code><Message>no such key</Message></Error>")


@pytest.fixture(params=[*RUNNERS])
def runner(request: pytest.FixtureRequest) -> str:
    """Return the name of each runner in turn."""
    name: str = request.param
    return name


@pytest.fixture
def broker(own: Own) -> Server[Redis]:
    """Return a Redis for this test alone."""
    return own(servers.redis.prepare)


@pytest.fixture
def broken(tmp_path: Path) -> Iterator[Path]:
    """Return a folder with a library of the decoder that cannot be imported."""
    folder = tmp_path / "broken"
    folder.mkdir()
    (folder / "simplejpeg.py").write_text("raise ImportError('libjpeg.so.8: cannot open shared object file')\n")
    return folder


def test_sick_workers_take_chunks_from_nobody(
    runner: str, broker: Server[Redis], moto: S3, broken: Path, tmp_path: Path
) -> None:
    """A full disk, refused credentials and a broken decoder cost no chunk an attempt; each worker heals by itself."""
    with FaultProxy(moto.port) as proxy, small_disk(tmp_path / "disk", 7 * PAGE) as resize:
        bucket = f"cats-{uuid4().hex[:12]}"
        store, refused = (real_store(moto, bucket, port) for port in (moto.port, proxy.port))
        proxy.play(*[REFUSED] * 1000)
        settings = {"store": store.url, "create_container": "true", "broker": broker.address.url(), **store.environ}
        with fleet(runner, tmp_path, **settings) as crew:
            crew.submit(4)
            full = crew.worker(PIXCORE_WORK=str(tmp_path / "disk"))
            denied = crew.worker(PIXCORE_STORE=refused.url, PIXCORE_CREATE_CONTAINER="false")
            blind = crew.worker(PYTHONPATH=f"{broken}:{os.environ.get('PYTHONPATH', '')}")
            await_true(lambda: len(crew.status.overview().resting) == 3, 60)
            resting = sorted((each.fault, each.reason) for each in crew.status.overview().resting)
            assert [fault for fault, _ in resting] == [Fault.MACHINE, Fault.MACHINE, Fault.SERVICE]
            reasons = " ".join(reason for _, reason in resting)
            assert all(word in reasons for word in ("No space left", "decoder", "InvalidAccessKeyId"))
            watch = crew.start("status", "--watch")
            await_true(lambda: watch.output.count("is at fault") >= 3)
            assert all(record.failures == 0 for record in crew.records())
            resize(1 << 20)
            chunks = crew.until_settled(90)
            assert [(each.status, each.failures) for each in chunks] == [(Status.COMPLETED, 0)] * 4
            proxy.play()
            (broken / "simplejpeg.py").unlink()
            await_true(lambda: not crew.status.overview().resting, 60)
            assert all("takes chunks again" in worker.output for worker in (full, denied, blind))
            everything_holds(crew)
