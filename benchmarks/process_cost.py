"""The cost of a command and of all processes that it starts: time, CPU, memory, and load of the machine.

Memory is the sum of Linux's PSS, which counts shared pages once, sampled every 0.1 s. Sampling costs the measured
processes about 1 % of a core for each 100 MB.

Temporary files of every measured program are in memory, as /tmp is on most Linux distributions; its output is on disk.
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

PAUSE = 0.1  # seconds between two samples
# the caller's settings, and the variable that disables Python's bytecode cache, which installed programs have
LEFT_OUT = ("PIXCORE_", "TEST_SERVERS", "PYTHONDONTWRITEBYTECODE")
MEMORY = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None  # noqa: S108 - each run creates its own folder there
TICK = 1 / os.sysconf("SC_CLK_TCK")


@frozen
class Sample:
    """The state of the processes and of the machine at one time."""

    at: float
    """Unix seconds."""
    memory: int
    """Bytes of PSS, of all processes."""
    cpu: float
    """CPU seconds that they have used so far."""
    busy: float
    """Seconds of all cores spent busy since the machine booted, by any process."""
    ready: float
    """Seconds of all cores since the machine booted, busy or idle."""


@frozen
class Cost:
    """One command from its start to its end."""

    began: float
    ended: float
    cpu: float
    """CPU seconds of all of its processes."""
    samples: Sequence[Sample] = field(repr=False)

    @property
    def seconds(self) -> float:
        """Wall time, start-up included."""
        return self.ended - self.began

    def peak(self, began: float = 0.0, ended: float = float("inf")) -> int:
        """Return the most memory within a period, in bytes."""
        return max(sample.memory for sample in self._within(began, ended))

    def cpu_between(self, began: float, ended: float) -> float:
        """Return the CPU seconds within a period."""
        within = self._within(began, ended)
        return within[-1].cpu - within[0].cpu

    def busy(self, began: float, ended: float) -> float:
        """Return the share of all cores' time that was busy within a period, by any process."""
        first, *_, last = self._within(began, ended)
        return (last.busy - first.busy) / (last.ready - first.ready)

    def _within(self, began: float, ended: float) -> list[Sample]:
        return [sample for sample in self.samples if began - PAUSE <= sample.at <= ended + PAUSE]


def run(
    command: Sequence[str | Path],
    folder: Path,
    environment: Mapping[str, str] | None = None,
    codes: Sequence[int] = (0,),
) -> Cost:
    """Run a command in a folder, without the caller's settings. Its output goes to the files ``out`` and ``err`` there.

    Raises:
        SystemExit: The exit code is not one of ``codes``; quotes the end of the error output.
    """
    with (
        (folder / "out").open("wb") as out,
        (folder / "err").open("wb") as err,
        tempfile.TemporaryDirectory(prefix="pixcore-bench-", dir=MEMORY) as temporary,
    ):
        before, began = cpu_of_children(), time.time()
        variables = {**clean_environment(), "TMPDIR": temporary, **(environment or {})}
        child = subprocess.Popen(command, cwd=folder, env=variables, stdout=out, stderr=err)
        ending = os.pidfd_open(child.pid)
        try:
            samples = [sample(child.pid)]
            while not select.select([ending], [], [], PAUSE)[0]:
                samples.append(sample(child.pid))
            ended = time.time()
        except BaseException:
            child.terminate()
            raise
        finally:
            child.wait()
            os.close(ending)
    if child.returncode not in codes:
        raise SystemExit(f"{command[0]} exited with {child.returncode}:\n{(folder / 'err').read_text()[-2000:]}")
    return Cost(began, ended, cpu_of_children() - before, samples)


def clean_environment() -> dict[str, str]:
    """Return the environment without the caller's settings."""
    return {name: value for name, value in os.environ.items() if not name.startswith(LEFT_OUT)}


def cpu_of_children() -> float:
    """Return the CPU seconds of all children that have ended, and of their descendants."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def sample(pid: int) -> Sample:
    """Sample a process and its descendants. Time that a hypervisor took away (steal) counts neither busy nor idle."""
    total = Path("/proc/stat").read_text().partition("\n")[0]
    user, nice, system, idle, waiting, irq, soft = (TICK * int(ticks) for ticks in total.split()[1:8])
    busy = user + nice + system + irq + soft
    members = list(family(pid))
    return Sample(
        at=time.time(),
        memory=sum(memory(member) for member, _ in members),
        cpu=sum(cpu for _, cpu in members),
        busy=busy,
        ready=busy + idle + waiting,
    )


def family(pid: int) -> Iterator[tuple[int, float]]:
    """Yield a process and its descendants, each with its CPU seconds and those of its reaped children."""
    children: dict[int, list[int]] = {}
    cpu = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            # pid (name) state ppid ...; the name may contain any characters
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
    """Return a process's PSS in bytes, or 0 if it has ended."""
    with suppress(OSError):
        rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
        return int(rollup.partition("\nPss:")[2].split(maxsplit=1)[0]) << 10
    return 0
