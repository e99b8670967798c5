"""Which work directories a worker removes while other workers run."""

import signal
import subprocess
import sys
from pathlib import Path

from pixcore.chunk.workspace import sweep

# Another worker: creates a work directory, prints its path, and works until its standard input is closed.
WORKER = """
import sys
from pathlib import Path
from pixcore.chunk.workspace import workspace

with workspace(Path(sys.argv[1]), lambda path, error: None) as folder:
    (folder / "images").mkdir()
    (folder / "images" / "0").write_bytes(b"half a picture")
    print(folder, flush=True)
    sys.stdin.read()
"""


def worker(root: Path) -> "subprocess.Popen[str]":
    """Start another worker in a process of its own."""
    return subprocess.Popen(
        [sys.executable, "-c", WORKER, str(root)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )


def its_folder(process: "subprocess.Popen[str]") -> Path:
    """Wait until the worker has its directory; return it."""
    assert process.stdout is not None
    return Path(process.stdout.readline().rstrip("\n"))


def test_a_killed_workers_directory_is_swept_and_a_live_ones_is_not(tmp_path: Path) -> None:
    """Only the sweep removes directories of killed processes, and it must not remove those of running workers."""
    with worker(tmp_path) as dead, worker(tmp_path) as alive:
        dead_folder, live_folder = its_folder(dead), its_folder(alive)
        dead.send_signal(signal.SIGKILL)
        dead.wait()
        assert dead_folder.is_dir()
        assert sweep(tmp_path) == [dead_folder]
        assert not dead_folder.exists()
        assert (live_folder / "images" / "0").read_bytes() == b"half a picture"
        assert sweep(tmp_path) == []
        alive.communicate()
    assert alive.returncode == 0
    assert list(tmp_path.iterdir()) == []
