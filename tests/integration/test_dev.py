"""``python3 dev.py`` records the output of benchmarks, runs every check, and prints their outputs one by one."""

import os
import re
import sys
from collections.abc import Callable
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

import pytest

DEV = Path(__file__).parents[2] / "dev.py"

Bench = Callable[..., int]


@pytest.fixture
def dev(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """Return ``dev.py`` with another folder of benchmarks and this Python."""
    spec = spec_from_file_location("dev", DEV)
    assert spec
    assert spec.loader
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setattr(module, "BENCHMARKS", tmp_path)
    monkeypatch.setattr(module, "set_up", lambda: None)
    monkeypatch.setattr(module, "tool", lambda name: {"python": sys.executable}[name])
    return module


@pytest.fixture
def bench(dev: ModuleType, monkeypatch: pytest.MonkeyPatch) -> Bench:
    """Return a function that calls ``dev.py bench`` with arguments."""

    def call(*arguments: str) -> int:
        monkeypatch.setattr(sys, "argv", ["dev.py", "bench", *arguments])
        return int(dev.main())

    return call


def test_the_results_name_output_machine_day_and_versions(
    bench: Bench, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Measurements can only be compared with what they depend on: machine, day and locked versions."""
    (tmp_path / "bench_speed.py").write_text("print('12 images/s')")
    (tmp_path / "locks").mkdir()
    (tmp_path / "locks" / "img2dataset.lock").write_text("img2dataset==9.8.7 \\\n")
    assert bench() == 0
    results = (tmp_path / "results.md").read_text()
    assert "## bench_speed\n\n```\n12 images/s\n```\n" in results
    assert results.startswith("# Benchmarks of 20")
    for fact in (" cores, ", "- Python: 3.", "- pillow: ", "- img2dataset: 9.8.7\n"):
        assert fact in results
    assert capsys.readouterr().out == "12 images/s\n"


def test_a_failing_benchmark_is_recorded_and_the_others_run(bench: Bench, tmp_path: Path) -> None:
    """The results and the exit code must show the failure."""
    (tmp_path / "bench_a.py").write_text("print('half', flush=True); raise SystemExit(7)")
    (tmp_path / "bench_b.py").write_text("print('whole')")
    assert bench() == 7
    results = (tmp_path / "results.md").read_text()
    assert "half\n```\n\nIt failed with 7.\n" in results
    assert "whole\n" in results


def test_full_is_passed_to_every_benchmark(bench: Bench, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """An unknown option must be refused before any benchmark runs."""
    (tmp_path / "bench_a.py").write_text("import sys; print(sys.argv[1:])")
    assert bench("--full") == 0
    assert capsys.readouterr().out == "['--full']\n"
    assert bench("--fast") == 2
    assert capsys.readouterr().out == ""


def test_every_benchmark_has_the_option_full() -> None:
    """Without the option in one of them ``dev.py bench --full`` would end with a usage error."""
    scripts = sorted((DEV.parent / "benchmarks").glob("bench_*.py"))
    assert scripts
    assert [script.name for script in scripts if "arguments(__doc__" not in script.read_text()] == []


def python(program: str, *more: str) -> tuple[str, ...]:
    """Return the command that runs a Python program."""
    return ("python", "-c", program, *more)


@pytest.fixture
def called(dev: ModuleType, monkeypatch: pytest.MonkeyPatch) -> Callable[..., int]:
    """Return a function that calls ``dev.py`` with two checks; each waits for the other to start, and one fails."""
    meet = "import sys; a, b = sys.argv[1:]; (open(a, 'w'), open(b)) if a < b else (open(b), open(a, 'w'))"
    folder = dev.BENCHMARKS
    one, other = str(folder / "1"), str(folder / "2")
    os.mkfifo(one)
    os.mkfifo(other)
    first = python(
        f"{meet}; print('first out', flush=True); print('first err', file=sys.stderr); sys.exit(7)", one, other
    )
    monkeypatch.setattr(dev, "CHECKS", (first, python(f"{meet}; print('second out')", other, one)))
    monkeypatch.setattr(dev, "TESTS", python("print('all tests', flush=True)"))
    monkeypatch.setattr(dev, "FAST", python("print('fast tests', flush=True)"))

    def call(*arguments: str) -> int:
        monkeypatch.setattr(sys, "argv", ["dev.py", *arguments])
        return int(dev.main())

    return call


CHECKED = "first out\nfirst err\nsecond out\n"


@pytest.mark.parametrize(
    ("arguments", "output"),
    [
        (("check",), CHECKED),
        (("test",), f"{CHECKED}all tests\n"),
        (("test", "--fast"), f"fast tests\n{CHECKED}"),
    ],
    ids=lambda each: " ".join(each) if isinstance(each, tuple) else "",
)
def test_checks_run_at_the_same_time(
    called: Callable[..., int], capfd: pytest.CaptureFixture[str], arguments: tuple[str, ...], output: str
) -> None:
    """Their outputs must not be mixed, and a failing check must stop no other and set the exit code."""
    assert called(*arguments) == 7
    out, err = capfd.readouterr()
    assert out == output
    assert err.splitlines()[-1].startswith("dev.py: FAILED: python -c")
    assert err.count("failed with 7") == 1


def locked(name: str) -> set[str]:
    """Return the packages of a lock with their versions; each must have a hash, and none a place."""
    text = (DEV.parent / name).read_text()
    assert "://" not in text
    entries = re.split(r"^(?=[\w.-]+==)", text, flags=re.MULTILINE)[1:]
    assert all("--hash=sha256:" in entry for entry in entries)
    return {entry.split(maxsplit=1)[0] for entry in entries}


def test_both_locks_have_the_same_versions() -> None:
    """What is published must be built and pictured with the versions that the tests ran with."""
    tested, published = locked("requirements.lock"), locked("requirements-publish.lock")
    names = {entry.partition("==")[0] for entry in tested} & {entry.partition("==")[0] for entry in published}
    assert {"attrs", "hatchling", "pillow"} <= names
    assert {each for each in tested ^ published if each.partition("==")[0] in names} == set()


@pytest.mark.parametrize(("command", "program"), [("docs", "mkdocs"), ("pictures", "python")])
def test_what_is_published_has_an_environment_of_its_own(
    dev: ModuleType, monkeypatch: pytest.MonkeyPatch, command: str, program: str
) -> None:
    """Tests must not install what only publishing needs."""
    created: list[Path] = []
    monkeypatch.setattr(dev, "set_up", created.append)
    monkeypatch.setattr(dev, "tool", lambda name, venv: f"{venv.name}/bin/{name}")
    monkeypatch.setattr(os, "chdir", lambda _: None)
    monkeypatch.setattr(os, "execve", lambda path, *_: sys.exit(path))
    monkeypatch.setattr(sys, "argv", ["dev.py", command])
    with pytest.raises(SystemExit, match=f"^.venv-publish/bin/{program}$"):
        dev.main()
    assert created == [dev.PUBLISH]
