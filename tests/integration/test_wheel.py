"""Build the wheel and install it outside the checkout, to find errors that an editable installation hides."""

import json
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest

pytestmark = pytest.mark.pip

ROOT = Path(__file__).parents[2]
PACKAGES = {
    "pixcore": ROOT / "src/pixcore",
    "pixcore_adapters": ROOT / "src/adapters/pixcore_adapters",
    "pixcore_runners": ROOT / "src/runners/pixcore_runners",
    "pixcore_contract": ROOT / "tests/contract",
}
NOT_SHIPPED = {*PACKAGES["pixcore_contract"].glob("test_*.py"), PACKAGES["pixcore_contract"] / "runner.py"}
SUITES = (
    *("archiver", "blob_store", "datasets", "decisions", "downloader", "previewer", "seen_images", "status_repo"),
    *("twin_finder", "validator"),
)
WHERE_FROM = f"""
import importlib, json
print(json.dumps({{name: list(importlib.import_module(name).__path__) for name in {list(PACKAGES)}}}))
"""


def run(*command: str | Path, cwd: Path) -> str:
    """Run a program that must succeed; return its output."""
    done = subprocess.run(command, cwd=cwd, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the wheel of this checkout."""
    out = tmp_path_factory.mktemp("wheel")
    run(sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", out, cwd=ROOT)
    (wheel,) = out.glob("*.whl")
    return wheel


def test_the_wheel_contains_exactly_the_files_of_the_packages(wheel: Path) -> None:
    """A top-level `adapters` or `tests` would overwrite files of other packages, and a data file is easily missed."""
    expected = {
        f"{name}/{file.relative_to(folder)}"
        for name, folder in PACKAGES.items()
        for file in folder.rglob("*")
        if file.is_file() and "__pycache__" not in file.parts and file not in NOT_SHIPPED
    }
    assert {f"{name}/py.typed" for name in PACKAGES} <= expected
    with zipfile.ZipFile(wheel) as archive:
        assert {name for name in archive.namelist() if ".dist-info/" not in name} == expected


def test_the_installed_wheel_works_without_the_checkout(wheel: Path, tmp_path: Path) -> None:
    """Code that depends on the source tree would fail for users."""
    run(sys.executable, "-m", "venv", tmp_path / "venv", cwd=tmp_path)
    python = tmp_path / "venv/bin/python"
    (site,) = (tmp_path / "venv/lib").glob("python*/site-packages")
    # adds only the dependencies: a .pth file found through another is not read, so the editable pixcore is not added
    (site / "dependencies.pth").write_text(sysconfig.get_path("purelib"))
    run(python, "-m", "pip", "install", "--no-index", "--no-deps", wheel, cwd=tmp_path)

    where = json.loads(run(python, "-I", "-c", WHERE_FROM, cwd=tmp_path))

    assert where == {name: [str(site / name)] for name in PACKAGES}
    run(python, "-I", "-c", "".join(f"import pixcore_contract.{suite}\n" for suite in SUITES), cwd=tmp_path)
    # the library's names come from the entry points of the installed distribution
    run(python, "-I", "-c", "import pixcore as px; assert callable(px.collect) and 'open' in dir(px)", cwd=tmp_path)
    assert "demo" in run(tmp_path / "venv/bin/pixcore", "--help", cwd=tmp_path)
