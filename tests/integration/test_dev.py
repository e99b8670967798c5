"""``python3 dev.py`` records what benchmarks print, runs every check, and keeps the checks' outputs apart."""

import os
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
    """Give ``dev.py`` with another folder of benchmarks, run by this Python."""
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
    """Call ``dev.py bench`` with arguments."""

    def call(*arguments: str) -> int:
        monkeypatch.setattr(sys, "argv", ["dev.py", "bench", *arguments])
        return int(dev.main())

    return call


def test_results(bench: Bench, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What is printed stays, with what it depends on: machine, day, and the versions that locks name."""
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


def test_one_fails(bench: Bench, tmp_path: Path) -> None:
    """A benchmark that fails says so in the results and by the exit code; the others are run all the same."""
    (tmp_path / "bench_a.py").write_text("print('half', flush=True); raise SystemExit(7)")
    (tmp_path / "bench_b.py").write_text("print('whole')")
    assert bench() == 7
    results = (tmp_path / "results.md").read_text()
    assert "half\n```\n\nIt failed with 7.\n" in results
    assert "whole\n" in results


def test_full(bench: Bench, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """``--full`` reaches every benchmark; what is no option of this command is refused before anything runs."""
    (tmp_path / "bench_a.py").write_text("import sys; print(sys.argv[1:])")
    assert bench("--full") == 0
    assert capsys.readouterr().out == "['--full']\n"
    assert bench("--fast") == 2
    assert capsys.readouterr().out == ""


def test_every_benchmark_is_quick_and_full() -> None:
    """``--full`` is an option of every benchmark, or ``dev.py bench --full`` would end with a usage error."""
    scripts = sorted((DEV.parent / "benchmarks").glob("bench_*.py"))
    assert scripts
    assert [script.name for script in scripts if "arguments(__doc__" not in script.read_text()] == []


def python(program: str, *more: str) -> tuple[str, ...]:
    """The command that runs a program of Python."""
    return ("python", "-c", program, *more)


@pytest.fixture
def called(dev: ModuleType, monkeypatch: pytest.MonkeyPatch) -> Callable[..., int]:
    """Call ``dev.py`` with two checks, one of which fails; each ends only after the other has started."""
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
    """Each output is printed in one piece. A check that fails stops nothing, and its code is the exit code."""
    assert called(*arguments) == 7
    out, err = capfd.readouterr()
    assert out == output
    assert err.splitlines()[-1].startswith("dev.py: FAILED: python -c")
    assert err.count("failed with 7") == 1
