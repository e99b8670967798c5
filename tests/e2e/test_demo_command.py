"""``pixcore demo`` with fewer pictures: its output, its errors, its exit codes, and the files that it keeps."""

import shlex
from pathlib import Path

import numpy as np
import pytest
from command import at_home, files, fill, pixcore

from pixcore.filters import apply
from pixcore.filters.size import too_small
from pixcore_adapters.archiver.zip import ZipArchiver
from pixcore_runners.assembly import assembly
from pixcore_runners.demo import Kind, planting
from pixcore_runners.demo.scenes import Painter

# What the demo plants, by keyword. It is the same each time, so all demos but the first one take it from here.
PLANTED: dict[str, list[tuple[str, bytes, Kind]]] = {}


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Enter a new folder; the demo has one keyword with ten good pictures, which are painted once."""
    plant = planting._keyword

    def planted(keyword: str, painter: Painter, rng: np.random.Generator) -> list[tuple[str, bytes, Kind]]:
        if keyword not in PLANTED:
            PLANTED[keyword] = list(plant(keyword, painter, rng))
        return PLANTED[keyword]

    at_home(tmp_path, monkeypatch)
    monkeypatch.setattr(planting, "_keyword", planted)
    keyword = "mountain lake"
    monkeypatch.setattr(planting, "SCENES", {keyword: planting.SCENES[keyword]})
    monkeypatch.setattr(planting, "_PICTURES", 10)
    return tmp_path


def test_the_demo_finds_what_was_planted(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It prints expected and found verdicts and the paths of its files, all of which are in its own folder.

    The settings do not matter. A second demo removes everything there and starts again; its document is labelled as
    synthetic.
    """
    monkeypatch.setenv("PIXCORE_STORE", f"file:{home}/real")
    monkeypatch.setenv("PIXCORE_STATUS", f"sqlite:///{home}/real.db")
    (home / "pixcore.toml").write_text("min_width = 9999\n")
    ran = pixcore("demo")
    assert ran.code == 0
    for kind in Kind:
        (line,) = (line for line in ran.out.splitlines() if line.startswith(kind.description))
        assert f"{kind.verdict} " in line
        assert line.split()[-1] == "ok"
    assert "MISMATCH" not in ran.out
    assert "All pictures are synthetic" in ran.out
    made = home / "pixcore-demo"
    for path in (made / "pictures", made / "blobs/demo/data/chunk_1.zip", made / "status.db"):
        assert path.exists()
        assert str(path) in ran.out
    assert {name.split("/")[0] for name in files(home)} == {"pixcore-demo", "pixcore.toml"}

    (made / "pictures/added.jpg").write_text("since then")
    again = pixcore("demo", "--json", "--quiet")
    assert (again.code, again.err) == (0, "")
    assert list(again.document) == ["version", "synthetic", "categories", "archive_faults", "chunks"]
    assert (again.document["synthetic"], again.document["archive_faults"]) == (True, [])
    for category in again.document["categories"]:
        assert category["found"] == {category["expected"]: category["files"]}
    assert not (made / "pictures/added.jpg").exists()


def test_the_commands_to_try_next_work(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """They must work as printed, even with a path that must be quoted and escaped."""
    out = home / "my 50% #1? demo"
    ran = pixcore("demo", "--out", out, "--quiet")
    _, _, after = ran.out.partition("Try next:\n")
    status, plan, run = (shlex.split(line)[1:] for line in after.splitlines())
    assert pixcore(*status).code == 0
    assert " completed " in pixcore(*status).out
    plan[plan.index("--count") + 1] = "10"  # this demo has fewer pictures
    assert pixcore(*plan).code == 0
    fill(home / "photos", 2)
    monkeypatch.chdir(home)
    assert pixcore(*[word.replace("PATH/TO/YOUR/PHOTOS", "photos") for word in run]).code == 0
    assert list(home.glob("my *")) == [out]  # the path is kept although it contains "#" and "%"


def test_a_mismatch_exits_3(monkeypatch: pytest.MonkeyPatch) -> None:
    """The demo must detect a pipeline that accepts tiny pictures."""
    monkeypatch.setattr(apply, "_RULES", tuple(rule for rule in apply._RULES if rule is not too_small))
    ran = pixcore("demo")
    assert ran.code == 3
    (line,) = (line for line in ran.out.splitlines() if "MISMATCH" in line and "too_small" in line)
    assert line.split() == ["32", "x", "32", "pixels", "1", "too_small", "1", "accepted", "MISMATCH"]
    assert "Something was NOT found as planted" in ran.out


def test_a_faulty_archive_exits_3(monkeypatch: pytest.MonkeyPatch) -> None:
    """The demo must read the stored archives, not only the verdicts."""

    class DropsFirstImage(ZipArchiver):
        def pack(self, images: object, target: Path) -> object:
            return super().pack(list(images)[1:], target)

    monkeypatch.setattr(assembly, "_archiver", lambda _: DropsFirstImage())
    ran = pixcore("demo")
    assert ran.code == 3
    assert "ARCHIVE FAULT demo/data/chunk_1.zip" in ran.out


@pytest.mark.parametrize("out", ["photos", "photos/0001.jpg", "photos/0001.jpg/below"])
def test_a_folder_of_the_user_is_refused_and_unchanged(home: Path, out: str) -> None:
    """It must remove only what it created itself."""
    fill(home / "photos", 2)
    ran = pixcore("demo", "--out", out)
    assert (ran.code, ran.out, ran.err.count("\n")) == (2, "", 1)
    assert ran.err.endswith("with --out DIR\n")
    assert files(home) == ["photos/0000.jpg", "photos/0001.jpg"]
