"""What a command costs, everything that it starts included: time, CPU, memory, and how busy the machine was.

Memory is the sum of what Linux calls PSS, in which a page that processes share counts once, every 0.1 s; reading it
costs whoever is measured about 1 % of a core for each 100 MB.

Everybody's temporary files are in memory, as /tmp is on most Linux distributions; what is made goes to the disk.
"""

import os
import resource
import select
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from attrs import field, frozen

PAUSE = 0.1  # seconds between two looks
# a caller's settings; and what would keep Python from having bytecode in its cache, as installed programs do
LEFT_OUT = ("PIXCORE_", "TEST_SERVERS", "PYTHONDONTWRITEBYTECODE")
MEMORY = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None  # noqa: S108 - each run makes a folder of its own there
TICK = 1 / os.sysconf("SC_CLK_TCK")


@frozen
class Look:
    """One moment."""

    at: float
    """As ``time.time`` says."""
    memory: int
    """Bytes, of all processes together."""
    cpu: float
    """Seconds that they have used so far."""
    busy: float
    """Seconds that all cores have been busy since the machine was started, whoever had them do what."""
    ready: float
    """Seconds that they have been there for it."""


@frozen
class Cost:
    """One command from its start to its end."""

    began: float
    ended: float
    cpu: float
    """Seconds, of all of its processes."""
    looks: Sequence[Look] = field(repr=False)

    @property
    def seconds(self) -> float:
        """Start-up and all."""
        return self.ended - self.began

    def peak(self, began: float = 0.0, ended: float = float("inf")) -> int:
        """The most memory in a part of the time, in bytes."""
        return max(look.memory for look in self._within(began, ended))

    def cpu_between(self, began: float, ended: float) -> float:
        """Seconds of CPU in a part of the time."""
        within = self._within(began, ended)
        return within[-1].cpu - within[0].cpu

    def busy(self, began: float, ended: float) -> float:
        """The share of all cores' time in which something ran, a server included, in a part of the time."""
        first, *_, last = self._within(began, ended)
        return (last.busy - first.busy) / (last.ready - first.ready)

    def _within(self, began: float, ended: float) -> list[Look]:
        return [look for look in self.looks if began - PAUSE <= look.at <= ended + PAUSE]


def run(
    command: Sequence[str | Path],
    folder: Path,
    environment: Mapping[str, str] | None = None,
    codes: Sequence[int] = (0,),
) -> Cost:
    """Run a command in a folder, its output in the files ``out`` and ``err`` there, and nobody's settings around it.

    Raises:
        SystemExit: It ended with another code than those; with the end of what it said.
    """
    with (
        (folder / "out").open("wb") as out,
        (folder / "err").open("wb") as err,
        tempfile.TemporaryDirectory(prefix="pixcore-bench-", dir=MEMORY) as temporary,
    ):
        before, began = spent(), time.time()
        surroundings = {**bare(), "TMPDIR": temporary, **(environment or {})}
        child = subprocess.Popen(command, cwd=folder, env=surroundings, stdout=out, stderr=err)
        ending = os.pidfd_open(child.pid)
        try:
            looks = [look(child.pid)]
            while not select.select([ending], [], [], PAUSE)[0]:
                looks.append(look(child.pid))
            ended = time.time()
        except BaseException:
            child.terminate()
            raise
        finally:
            child.wait()
            os.close(ending)
    if child.returncode not in codes:
        raise SystemExit(f"{command[0]} ended with {child.returncode}:\n{(folder / 'err').read_text()[-2000:]}")
    return Cost(began, ended, spent() - before, looks)


def bare() -> dict[str, str]:
    """The environment without anybody's settings."""
    return {name: value for name, value in os.environ.items() if not name.startswith(LEFT_OUT)}


def spent() -> float:
    """CPU seconds of all children that have ended, and of theirs."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def look(pid: int) -> Look:
    """How it stands with a process and all that descend from it; what a hypervisor took away is nobody's."""
    total = Path("/proc/stat").read_text().partition("\n")[0]
    user, nice, system, idle, waiting, irq, soft = (TICK * int(ticks) for ticks in total.split()[1:8])
    busy = user + nice + system + irq + soft
    members = list(family(pid))
    return Look(
        at=time.time(),
        memory=sum(memory(member) for member, _ in members),
        cpu=sum(cpu for _, cpu in members),
        busy=busy,
        ready=busy + idle + waiting,
    )


def family(pid: int) -> Iterator[tuple[int, float]]:
    """A process and all that descend from it, with the CPU seconds of each and of those that it has seen end."""
    children: dict[int, list[int]] = {}
    cpu = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            # pid (name) state ppid ...; the name may hold anything
            fields = path.read_text().rpartition(")")[2].split()
            one = int(path.parent.name)
            children.setdefault(int(fields[1]), []).append(one)
            cpu[one] = TICK * sum(map(int, fields[11:15]))
    waiting = [pid] if pid in cpu else []
    while waiting:
        one = waiting.pop()
        yield one, cpu[one]
        waiting += children.get(one, [])


def memory(pid: int) -> int:
    """A process's part of the memory, in bytes; 0 when it has gone."""
    with suppress(OSError):
        rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
        return int(rollup.partition("\nPss:")[2].split(maxsplit=1)[0]) << 10
    return 0
