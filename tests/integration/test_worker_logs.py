"""The log lines of workers: their format and their level, for both queues."""

import json
from pathlib import Path

import pytest
from databases import new_name
from fleet import everything_holds, fleet
from servers.addresses import Redis

from pixcore_runners.queueing.runner import RUNNERS


@pytest.mark.parametrize("runner", [*RUNNERS])
def test_a_worker_writes_json_lines_or_only_warnings(runner: str, redis: Redis, tmp_path: Path) -> None:
    """A collector must be able to parse every line about a chunk, and ``--quiet`` must silence what is no trouble."""
    with fleet(runner, tmp_path, broker=redis.url(7), queue=new_name()) as crew:
        crew.submit(1)
        loud = crew.start("worker", runner, "--log-format", "json", "--verbose")
        crew.until_settled()
        loud.terminate()
        assert loud.code() == 0
        crew.submit(1, "dogs")
        quiet = crew.start("worker", runner, "--quiet")
        crew.until_settled(dataset="dogs")
        everything_holds(crew)
    lines = [json.loads(line) for line in loud.output.splitlines() if line.startswith("{")]
    chunk = [line for line in lines if "chunk" in line]
    assert all(
        {"time", "level", "logger", "message", "task", "phase", "dataset", "worker"} <= line.keys() for line in chunk
    )
    assert {line["dataset"] for line in chunk} == {"cats"}
    assert {line["level"] for line in chunk} == {"DEBUG", "INFO"}
    assert len({line["worker"] for line in lines}) == 1
    assert "[chunk=" not in loud.output
    assert " INFO " not in quiet.output
    assert "completed with" not in quiet.output
