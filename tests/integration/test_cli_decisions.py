"""``pixcore exclude``, ``include``, ``relabel`` and ``decisions``: what a person decides holds for later runs."""

import csv
import hashlib
import json
import shutil
from pathlib import Path

import pytest
from command import at_home, fill, jpeg, pixcore
from pictures import encoded, photo

NONE = f"{0:064x}"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a folder with two datasets of good pictures and faulty ones; only `kept` keeps what it rejects."""
    home = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patched:
        at_home(home, patched)
        photos = fill(home / "photos", 3)
        (photos / "broken.jpg").write_text("<html>not found</html>")
        (photos / "tiny.jpg").write_bytes(encoded(photo(9, 32, 32)))
        for more in (("cats",), ("kept", "--keep-rejected")):
            assert pixcore("run", "--source", "folder:photos", "--quiet", "--dataset", *more).code == 0
    return home


@pytest.fixture
def home(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a copy of the folder, in which the test may change everything; it is the current folder."""
    home = shutil.copytree(made, tmp_path / "home")
    at_home(home, monkeypatch)
    return home


def decisions(dataset: str = "cats") -> list[dict[str, str]]:
    """Return the decisions that are stored."""
    found: list[dict[str, str]] = pixcore("decisions", dataset, "--json").document["decisions"]
    return found


def sha256(name: str, dataset: str = "cats") -> str:
    """Return the sha256 of a picture."""
    found: str = pixcore("why", dataset, name, "--json").document["found"][0]["sha256"]
    return found


def test_an_image_is_named_as_a_person_has_it(home: Path) -> None:
    """Its path, its sha256 or the beginning, a copy under another name, or a line of a file; each decides the same."""
    (home / "copy.jpg").write_bytes(jpeg(0))
    whole = sha256("0000.jpg")
    outcomes = home / "outcomes.csv"
    outcomes.write_text(pixcore("outcomes", "cats", "--format", "csv", "--reason", "too_small").out)
    (home / "names.txt").write_text(f"\n{whole[:8]}\n photos/0000.jpg \n")
    for names in (["0000.jpg"], [home / "photos/0000.jpg"], [whole], ["copy.jpg"], ["--from", home / "names.txt"]):
        ran = pixcore("exclude", "cats", *names, "--reason", "a fox", "--by", f"{names[-1]}", "--json")
        assert (ran.code, ran.document["recorded"]) == (0, 1)
        assert "`pixcore apply cats` rebuilds the archives that exist" in ran.err
        assert pixcore("decisions", "cats").out.splitlines()[1].split()[:2] == [whole[:16], "exclude"]
    assert pixcore("relabel", "cats", "猫", "--from", outcomes, "--by", "bob").code == 0
    (first, second) = sorted(decisions(), key=lambda each: each["kind"])
    assert [first[key] for key in ("kind", "sha256", "reason", "near")] == ["exclude", whole, "a fox", ""]
    assert [second[key] for key in ("kind", "sha256", "label")] == ["relabel", sha256("tiny.jpg"), "猫"]
    assert [
        json.loads(line) for line in pixcore("decisions", "cats", "--format", "jsonl").out.splitlines()
    ] == decisions()
    assert f"It was excluded by hand since: by {home / 'names.txt'} on " in pixcore("why", "cats", "0000.jpg").out


def test_a_decision_holds_for_every_later_run(home: Path) -> None:
    """The same bytes, a near copy and an included picture meet the decisions in a new chunk, under other names."""
    pixcore("exclude", "cats", "0000.jpg", "--reason", "a fox", "--by", "ann")
    pixcore("exclude", "cats", "0001.jpg", "--and-near")
    pictures = {
        "again": jpeg(0),
        "near": encoded(photo(1, 64, 64), quality=60),
        "new": jpeg(5),
        "tiny": encoded(photo(7, 32, 32)),
    }
    (home / "more").mkdir()
    for name, data in pictures.items():
        (home / f"more/{name}.jpg").write_bytes(data)
    header, *rows = csv.reader(pixcore("decisions", "cats", "--format", "csv").out.splitlines())
    tiny = {"kind": "include", "sha256": hashlib.sha256(pictures["tiny"]).hexdigest()}
    label = {"kind": "relabel", "sha256": hashlib.sha256(pictures["new"]).hexdigest(), "label": "dog"}
    edited = [dict(zip(header, row, strict=True)) for row in rows]
    edited += [{**each, "by": "bob", "at": "2026-05-04T12:00:00Z"} for each in (tiny, label)]
    with (home / "decisions.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, header, restval="")
        writer.writeheader()
        writer.writerows(edited)
    for recorded in (2, 0):  # those that are stored already change nothing, and a repetition neither
        ran = pixcore("decisions", "cats", "--import", "decisions.csv", "--json")
        assert (ran.code, ran.document["recorded"], ran.document["unchanged"]) == (0, recorded, 4 - recorded)
        assert "no chunk has tried 2 of the images yet" in ran.err
    ran = pixcore("run", "--source", "folder:more", "--dataset", "cats", "--quiet", "--json")
    chunk = ran.chunks[-1]
    assert (ran.code, chunk["accepted"], chunk["rejected"]) == (0, 2, {"excluded": 2})
    assert "it was excluded by hand: by ann on " in pixcore("why", "cats", "again.jpg").out
    assert f"near copy of {sha256('0001.jpg')[:12]}, which was excluded by " in pixcore("why", "cats", "near.jpg").out
    assert "1 excluded" not in pixcore("outcomes", "cats").err
    assert pixcore("export", "cats", "--format", "jsonl", "--out", "out").code == 0
    exported = [json.loads(line) for line in (home / "out/train.jsonl").read_text().splitlines()]
    assert {row["url"]: row["label"] for row in exported}["new.jpg"] == "dog"
    assert "tiny.jpg" in {row["url"] for row in exported}


@pytest.mark.usefixtures("home")
def test_include_takes_an_exclusion_back_or_overrules_a_rule() -> None:
    """The bytes of a reject must be kept, unless it was excluded by hand; exclusions of others stay."""
    pixcore("exclude", "cats", "0000.jpg", "0001.jpg", "tiny.jpg")
    ran = pixcore("include", "cats", "0000.jpg", "tiny.jpg")
    assert (ran.code, "the bytes of 1 of these images are not stored" in ran.err) == (0, True)
    assert sorted(each["kind"] for each in decisions()) == ["exclude", "include", "include"]
    ran = pixcore("include", "kept", "tiny.jpg")
    assert (ran.code, "not stored" in ran.err) == (0, False)
    assert [each["kind"] for each in decisions("kept")] == ["include"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            ["exclude", "cats", "0000.jpg", NONE, "nonsuch"],
            f"no chunk of dataset 'cats' tried {NONE}, nonsuch; nothing",
        ),
        (["exclude", "nodata", "0000.jpg"], "no dataset 'nodata'"),
        (["exclude", "cats"], "no image is named"),
        (["exclude", "cats", "broken.jpg"], "the outcome of broken.jpg is not_an_image, so there is no image"),
        (["exclude", "cats", "0000.jpg", "--reason", "a\nb"], "the reason has a control character"),
        (["include", "cats", "tiny.jpg"], "tiny.jpg was rejected as too_small and its bytes were not kept"),
        (["relabel", "cats", "", "0000.jpg"], "the new label is empty"),
        (["exclude", "cats", "--from", "nonsuch.txt"], "nonsuch.txt cannot be read (No such file or directory)"),
        (["exclude", "cats", "--from", "photos/0000.jpg"], "photos/0000.jpg cannot be read ('utf-8' codec"),
        (["exclude", "cats", "--from", "other.csv"], "other.csv has the columns a, b; one of sha256 and url"),
        (
            ["decisions", "cats", "--import", "other.csv"],
            "other.csv has the columns a, b; a file of decisions has kind",
        ),
        (["decisions", "cats", "--import", "photos"], "photos cannot be read (Is a directory)"),
        (["decisions", "nodata"], "no dataset 'nodata'"),
    ],
)
def test_bad_input_is_one_line_and_records_nothing(home: Path, words: list[str], message: str) -> None:
    """A person mistypes a name or takes the wrong file."""
    (home / "other.csv").write_text("a,b\n1,2\n")
    ran = pixcore(*words)
    assert (ran.code, ran.out, ran.err.count("\n")) == (2, "", 1)
    assert message in ran.err
    assert decisions() == []
