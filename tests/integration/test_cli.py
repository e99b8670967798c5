"""The pixcore command: effects, output and exit codes of its subcommands."""

import json
import os
import re
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from click.shell_completion import BashComplete
from command import Ran, at_home, files, fill, jpeg, pixcore, start
from contract.disk import no_file_above
from pictures import encoded, photo
from small_disk import small_disk

from pixcore import InvalidRequest, NoValidImages, StatusUnavailable, StoreDenied, StoreUnavailable, WorkspaceFull
from pixcore_runners import cli
from pixcore_runners.assembly.assembly import assemble
from pixcore_runners.planning.dataset_plan import plan_missing
from pixcore_runners.planning.spec import DatasetSpec, KeywordSpec
from pixcore_runners.settings import load_here

RUN = ("run", "--source", "folder:photos", "--chunk-size", "4")

KEYS = [
    "id",
    "status",
    "keyword",
    "url",
    "sha256",
    "bytes",
    "target",
    "accepted",
    "shortfall",
    "rejected",
    "missed",
    "conversion",
    "taken",
    "attempt",
    "seconds",
    "error",
]


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Change to a folder with ten photos."""
    at_home(tmp_path, monkeypatch)
    fill(tmp_path / "photos", 10)
    return tmp_path


def run(*words: object) -> Ran:
    """Run the photos in chunks of four, with the document on standard output."""
    return pixcore(*RUN, "--json", *words)


def rows(chunk: dict[str, object]) -> list[dict[str, object]]:
    """Return the rows of a chunk's archive."""
    with zipfile.ZipFile(str(chunk["url"]).removeprefix("file://")) as archive:
        return [json.loads(line) for line in archive.read("rows.jsonl").decode().splitlines()]


# -- run -------------------------------------------------------------------------------------------------------------


def test_run_turns_a_folder_into_archives() -> None:
    """The archives must hold all photos, and the document must have the keys that docs/design.md lists."""
    ran = run()
    assert (ran.code, list(ran.document), ran.document["version"], ran.document["dataset"]) == (
        0,
        ["version", "dataset", "chunks"],
        1,
        "photos",
    )
    assert [list(chunk) for chunk in ran.chunks] == [KEYS] * 3
    assert [(c["status"], c["keyword"], c["target"], c["accepted"], c["shortfall"]) for c in ran.chunks] == [
        ("completed", "photos", 4, 4, 0),
        ("completed", "photos", 4, 4, 0),
        ("completed", "photos", 2, 2, 0),
    ]
    assert [row["url"] for chunk in ran.chunks for row in rows(chunk)] == [f"{n:04}.jpg" for n in range(10)]


def test_run_again_does_nothing_and_prints_the_same(home: Path) -> None:
    """The output must be equal byte for byte, so that a script may compare it, and no archive may be rewritten."""

    def written() -> dict[str, int]:
        return {str(path): path.stat().st_mtime_ns for path in home.rglob("*.zip")}

    first, before = run(), written()
    again = run()
    assert (again.code, again.out) == (first.code, first.out)
    assert (len(before), written()) == (3, before)
    assert again.err == "dataset photos: no chunk is left to process\n"


def test_a_chunk_below_its_target_exits_3_and_says_what_helps(home: Path) -> None:
    """A file that is not an image must lower the count of its chunk visibly; a retry would find it again."""
    (home / "photos/0001.jpg").write_text("<html>not found</html>")
    ran = run("--count", 10)
    assert ran.code == 3
    assert ran.chunks[0]["shortfall"] == 1
    assert ran.chunks[0]["rejected"] == {"not_an_image": 1}
    assert ran.err.endswith(
        "add to the lists and repeat the command, or name more sources and ask for a larger --count\n"
    )


def test_a_folder_is_complete_when_all_of_it_was_tried(home: Path) -> None:
    """Without a count, a file that is not an image is no reason to try again, but is counted."""
    (home / "photos/0001.jpg").write_text("<html>not found</html>")
    ran = run()
    assert (ran.code, ran.chunks[0]["shortfall"]) == (0, 1)
    assert ran.err.endswith("all candidates were tried; images: 9, left out: 1 not_an_image\n")


def test_a_run_without_a_valid_image_exits_4(home: Path) -> None:
    """Every chunk must fail permanently with its reason and store no archive."""
    for path in (home / "photos").iterdir():
        path.write_text("no image")
    ran = run()
    assert ran.code == 4
    assert {chunk["status"] for chunk in ran.chunks} == {"failed"}
    assert ran.chunks[0]["error"] == ("no valid image of 'photos' (not_an_image: 4); try other sources or limits")
    assert not list(home.rglob("*.zip"))
    assert not files(home / "work")
    assert run().out == ran.out


def test_a_larger_count_extends_the_dataset() -> None:
    """Existing chunks must keep their ids, slices and archives."""
    first = run("--count", 4)
    more = run("--count", 8)
    assert [chunk["target"] for chunk in more.chunks] == [4, 4]
    assert more.chunks[:1] == first.chunks
    assert not {row["url"] for row in rows(more.chunks[0])} & {row["url"] for row in rows(more.chunks[1])}


def test_a_file_added_later_shifts_no_slice(home: Path) -> None:
    """A new file is appended to the listing, even if its name comes first."""
    first = run()
    (home / "photos/0000-first.jpg").write_bytes(jpeg(77))
    more = run()
    assert more.code == 0
    assert more.chunks[:3] == first.chunks
    assert [row["url"] for row in rows(more.chunks[3])] == ["0000-first.jpg"]


def test_the_same_photos_give_the_same_archives_anywhere() -> None:
    """Two runs with different stores and status databases must give archives of equal checksums."""
    one = run()
    other = run("--store", "file:other", "--status", "sqlite:///other.db")
    assert [chunk["sha256"] for chunk in other.chunks] == [chunk["sha256"] for chunk in one.chunks]
    assert [chunk["url"] for chunk in other.chunks] != [chunk["url"] for chunk in one.chunks]


def test_several_workers_complete_everything() -> None:
    """Every file must be in exactly one archive, in any order."""
    ran = run("--chunk-size", 2, "--workers", 3)
    assert ran.code == 0
    assert sorted(str(row["url"]) for chunk in ran.chunks for row in rows(chunk)) == [f"{n:04}.jpg" for n in range(10)]


def test_several_folders_make_one_dataset(home: Path) -> None:
    """The option for sources may be repeated, and the keyword names the dataset."""
    fill(home / "more", 3, first=50)
    ran = run("red panda", "--source", "folder:more")
    assert (ran.code, ran.document["dataset"]) == (0, "red-panda")
    assert sum(chunk["accepted"] for chunk in ran.chunks) == 13


def test_everything_in_memory_leaves_no_file(home: Path) -> None:
    """A run for a trial needs no file besides the photos."""
    ran = run("--store", "memory://", "--status", "memory://")
    assert (ran.code, sum(chunk["accepted"] for chunk in ran.chunks)) == (0, 10)
    assert files(home) == files(Path()) == [f"photos/{n:04}.jpg" for n in range(10)]


# -- plan, status, retry ---------------------------------------------------------------------------------------------


def test_plan_prints_what_run_then_does_and_writes_nothing(home: Path) -> None:
    """The plan must print the slices and targets that the run later uses."""
    before = files(home)
    planned = pixcore("plan", *RUN[1:], "--json")
    assert (planned.code, planned.err, files(home)) == (0, "", before)
    assert [chunk["target"] for chunk in planned.chunks] == [4, 4, 2]
    assert [[(s["start"], s["stop"]) for s in chunk["slices"]] for chunk in planned.chunks] == [
        [(0, 4)],
        [(4, 8)],
        [(8, 10)],
    ]
    assert [chunk["target"] for chunk in run().chunks] == [4, 4, 2]
    assert pixcore("plan", *RUN[1:], "--json").out == planned.out


def test_plan_prints_a_table_with_a_line_for_each_chunk(home: Path) -> None:
    """Each line must contain the source, the folder and the slice."""
    lines = pixcore("plan", *RUN[1:]).out.splitlines()
    assert [line.split() for line in lines[:2]] == [
        ["index", "keyword", "target", "slices"],
        ["0", "photos", "4", "folder", f"{home}/photos", "[0,", "4)"],
    ]
    assert len(lines) == 4


@pytest.mark.parametrize("words", [("status",), ("config", "show"), ("plan", "--source", "folder:photos")])
def test_a_command_that_only_reads_creates_nothing(home: Path, words: tuple[str, ...]) -> None:
    """It must not even create the default database and folder."""
    before = files(home)
    ran = pixcore(*words, "--json")
    assert (ran.code, ran.document["version"]) == (0, 1)
    assert files(home) == before
    assert not (home / "pixcore-data").exists()


def test_status_counts_datasets_and_shows_one() -> None:
    """Without a name every dataset has a line; with a name the document is that of run."""
    ran = run()
    assert pixcore("status", "--json").document == {
        "version": 1,
        "datasets": [{"dataset": "photos", "pending": 0, "processing": 0, "completed": 3, "failed": 0}],
    }
    assert pixcore("status", "photos", "--json").out == ran.out
    table = pixcore("status", "photos").out.splitlines()
    assert [line.split()[:4] for line in table[1:]] == [
        [str(chunk["id"]), "completed", "complete", f"{chunk['accepted']}/{chunk['target']}"] for chunk in ran.chunks
    ]


def test_a_chunk_that_another_run_holds_is_waited_for(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The run must report that it waits for another run's lease, and go on once that has expired.

    The lease is longer than the test; the patched sleep of the run lets it expire.
    """
    assembly = assemble(load_here(flags={"source": ["folder:photos"]}).settings, create=True)
    spec = DatasetSpec((KeywordSpec(("folder:photos",)),), chunk_size=500).with_names()
    with plan_missing(spec, assembly.status, assembly) as proposal:
        (chunk,) = proposal.save(assembly.status, assembly.store)
    assembly.status.claim(chunk.key, "another", ttl=600)
    assert " processing " in pixcore("status", "photos").out

    def sleep(seconds: float, sleep: Callable[[float], None] = time.sleep) -> None:
        with closing(sqlite3.connect(home / "pixcore-data/status.db")) as database, database:
            database.execute("UPDATE pixcore_chunks SET lease_expires_at = 0 WHERE owner = 'another'")
        sleep(seconds)

    monkeypatch.setattr("pixcore_runners.direct.threads._BUSY", 0.05)
    monkeypatch.setattr("pixcore_runners.direct.threads.time.sleep", sleep)
    ran = run()
    assert "chunks that another run holds: 1; if it died, their leases expire in" in ran.err
    assert (ran.code, ran.chunks[0]["attempt"]) == (0, 2)


@pytest.mark.parametrize("command", ["status", "retry"])
def test_an_unknown_dataset_names_the_known_ones(command: str) -> None:
    """The user must be able to correct a misspelt name."""
    assert pixcore(command, "fotos").err == (
        "pixcore: no dataset 'fotos' in the status database; it holds: none;"
        " go to the folder in which it was collected, or name its status database with --status\n"
    )
    run()
    ran = pixcore(command, "fotos")
    assert (ran.code, ran.err) == (2, "pixcore: no dataset 'fotos' in the status database; it holds: photos\n")


def test_retry_runs_only_failed_chunks_and_those_below_their_target(home: Path) -> None:
    """A full chunk must not run again, and an archive must stay until a retry gives more images."""
    for name in ("0001.jpg", *(f"{number:04}.jpg" for number in range(4, 8))):
        (home / "photos" / name).write_text("no image")
    first = run()
    assert [(c["status"], c["accepted"]) for c in first.chunks] == [("completed", 3), ("failed", 0), ("completed", 2)]
    unchanged = pixcore("retry", "photos", "--json")
    assert (unchanged.code, [c["attempt"] for c in unchanged.chunks]) == (0, [2, 2, 1])
    assert [c["sha256"] for c in unchanged.chunks] == [c["sha256"] for c in first.chunks]
    fill(home / "photos", 10)
    again = pixcore("retry", "photos", "--json")
    assert (again.code, [(c["accepted"], c["attempt"]) for c in again.chunks]) == (0, [(4, 3), (4, 3), (2, 1)])
    assert again.chunks[2] == first.chunks[2]
    assert len(rows(again.chunks[0])) == 4
    assert "chunks reopened: 2" in again.err


def test_config_show_names_the_origin_of_each_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    """Users get a table, and programs get JSON."""
    monkeypatch.setenv("PIXCORE_WORKERS", "3")
    ran = pixcore("config", "show", "--store", "file:here", "--json")
    settings = {setting["name"]: (setting["value"], setting["from"]) for setting in ran.document["settings"]}
    assert settings["store"] == ("file:here", "flag")
    assert settings["workers"] == (3, "environment PIXCORE_WORKERS")
    assert settings["source"] == (["openverse", "commons"], "default")
    table = pixcore("config", "show").out
    assert ["source", "openverse,", "commons", "default"] in [line.split() for line in table.splitlines()]


def test_the_shell_completes_the_names_of_datasets(home: Path) -> None:
    """Names are long and easy to misspell. Tab must change nothing, and print no error into the command line."""
    shell = BashComplete(cli.pixcore, {}, "pixcore", "_PIXCORE_COMPLETE")

    def completed(*words: str) -> list[str]:
        *before, begun = words
        return [item.value for item in shell.get_completions(before, begun)]

    assert completed("report", "ph") == []
    assert not (home / "pixcore-data").exists()
    run()
    assert completed("report", "ph") == completed("export", "ph") == completed("status", "") == ["photos"]
    assert completed("report", "--status", "sqlite:///other.db", "ph") == []
    assert completed("rep") == ["report"]
    (home / "pixcore.toml").write_text("[[")
    assert completed("report", "ph") == []


def test_the_example_of_a_dataset_file_plans(home: Path) -> None:
    """A newcomer begins with it, so it must be right as it is, and the remedy of its warning must work."""
    (home / "pandas.toml").write_text(pixcore("plan", "--example").out)
    planned = pixcore("plan", "pandas.toml", "--json")
    assert planned.code == 0
    assert [(chunk["keyword"], chunk["target"]) for chunk in planned.chunks] == [
        ("red panda", 100),
        ("giant panda", 50),
    ]
    assert "commons is left out, because it answers only clients that name a contact address" in planned.err
    (home / "pixcore.toml").write_text('user_agent = "NAME (YOU@EXAMPLE.ORG)"\n')
    assert pixcore("plan", "pandas.toml").err == ""


def test_a_file_of_folders_only_does_not_mention_searches(home: Path) -> None:
    """A warning about a source that the dataset does not use is confusing."""
    (home / "mine.toml").write_text('[[keyword]]\nname = "mine"\nsource = ["folder:./photos"]\n')
    assert pixcore("plan", "mine.toml").err == ""


# -- bad input: one line with the problem and the remedy, the right exit code, nothing left behind -------------------


@pytest.mark.parametrize(
    ("words", "code", "complaint"),
    [
        (("run",), 2, "openverse needs a keyword to search for, such as: pixcore run 'red panda' --count 100; a"),
        (
            ("run", "photos/"),
            2,
            "'photos/' is a folder, not a keyword; to collect it: pixcore run --source folder:photos/",
        ),
        (("run", "./fotos"), 2, "'./fotos' looks like a path, but there is no such folder or file; correct it, or"),
        (("run", "photos/0001.jpg"), 2, "is a file, not a keyword; to collect it: pixcore run --source urls:photos"),
        (("run", "https://a.org/l.csv"), 2, "is a URL, not a keyword; to collect the list at it: --source urls:URL"),
        (("run", "--source", "flickr:cats"), 2, "unknown source 'flickr:cats'; use one of: openverse,"),
        (("run", "--source", "folder:"), 2, "source 'folder:' is incomplete; write folder:DIR"),
        (("run", "--source", "folder:fotos"), 2, "the folder {home}/fotos cannot be listed: No such file or directory"),
        (("run", "--source", "folder:photos/0001.jpg"), 2, "photos/0001.jpg cannot be listed: Not a directory"),
        (("run", "--source", "folder:empty"), 4, "nothing to collect: folder '{home}/empty' has no candidates"),
        ((*RUN, "--store", "ftp://host/x"), 2, "unknown store 'ftp://host/x'; use one of: file:FOLDER, azure://"),
        ((*RUN, "--store", "out"), 2, "flag: store cannot be 'out'; give a URL such as file:./out"),
        (
            (*RUN, "--store", "file://host/x"),
            2,
            "names no folder of this machine; write file:./out or file:///data/out",
        ),
        ((*RUN, "--status", "mysql://host/x"), 2, "unknown status database 'mysql://host/x'; use sqlite:///FILE"),
        ((*RUN, "--count", "0"), 2, "count cannot be 0; ask for at least 1 image"),
        ((*RUN, "--count", "-3"), 2, "count cannot be -3; ask for at least 1 image"),
        (
            (*RUN, "--count", "11"),
            2,
            "11 images of 'photos' are wanted, but folder '{home}/photos' can give at most 10;",
        ),
        ((*RUN, "--count", "many"), 2, "'many' is not a valid integer. (see `pixcore run --help`)"),
        ((*RUN, "--chunk-size", "0"), 2, "flag: chunk_size cannot be 0; give a whole number from 1 to 2147483647"),
        ((*RUN, "--chunk-size", "-1"), 2, "flag: chunk_size cannot be -1; give a whole number from 1 to 2147483647"),
        ((*RUN, "--workers", "0"), 2, "flag: workers cannot be 0; give a whole number from 1 to 2147483647"),
        ((*RUN, "--workers", "-2"), 2, "flag: workers cannot be -2; give a whole number from 1 to 2147483647"),
        ((*RUN, "--dataset", "a/b"), 2, "dataset name 'a/b' cannot be used; take 1 to 100 letters, digits"),
        (
            (*RUN, "--wrokers", "2"),
            2,
            "No such option '--wrokers'. Did you mean '--workers'? (see `pixcore run --help`)",
        ),
        (
            (*RUN, "--config", "mine.toml"),
            2,
            "mine.toml cannot be read (No such file or directory); name an existing TOML file",
        ),
        (("walk",), 2, "No such command 'walk'. (see `pixcore --help`)"),
        (
            ("retry",),
            2,
            "Missing argument 'DATASET'. (example: `pixcore retry red-panda`; see `pixcore retry --help`)",
        ),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_wrong_usage_is_refused_in_one_line(home: Path, words: tuple[str, ...], code: int, complaint: str) -> None:
    """The error must come before any file is created."""
    (home / "empty").mkdir()
    before = files(home)
    ran = pixcore(*words)
    assert (ran.code, ran.out) == (code, "")
    assert ran.err.startswith("pixcore: ")
    assert complaint.format(home=home) in ran.err
    assert ran.err.count("\n") == 1
    assert (files(home), (home / "pixcore-data").exists()) == (before, False)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("store = [", "pixcore.toml cannot be read as TOML"),
        ("stoer = 'file:x'", "pixcore.toml: unknown setting 'stoer'; did you mean store?"),
        ("workers = 'many'", "pixcore.toml: workers cannot be 'many'; give a whole number from 1 to 2147483647"),
    ],
)
def test_an_invalid_configuration_file_is_refused_in_one_line(home: Path, text: str, complaint: str) -> None:
    """Every command that reads the file must name it in the error."""
    (home / "pixcore.toml").write_text(text)
    for words in (RUN, ("status",), ("config", "show")):
        ran = pixcore(*words)
        assert (ran.code, ran.out, ran.err.count("\n")) == (2, "", 1)
        assert complaint in ran.err


def test_a_file_as_the_store_is_refused(home: Path) -> None:
    """The error is the store's own, and no chunk may be planned."""
    ran = run("--store", "file:photos/0001.jpg")
    assert (ran.code, ran.err.count("\n")) == (2, 1)
    assert "a file is where a folder is needed" in ran.err
    assert pixcore("status", "--json").document["datasets"] == []
    assert not (home / "work").exists()


def test_a_store_other_than_the_planned_one_is_refused() -> None:
    """The listing is not in that store, and the message must name both remedies."""
    run("--count", 4)
    ran = run("--store", "file:other")
    assert (ran.code, ran.err.count("\n")) == (2, 1)
    assert "dataset 'photos' belongs to another store than file:other; name the store that it" in ran.err
    assert ran.err.endswith("or another dataset\n")


def test_a_file_that_is_no_database_is_refused(home: Path) -> None:
    """The file of another program must stay unchanged."""
    before = (home / "photos/0001.jpg").read_bytes()
    ran = run("--status", "sqlite:///photos/0001.jpg")
    assert (ran.code, ran.err.count("\n")) == (2, 1)
    assert "photos/0001.jpg is not an SQLite file; use another path" in ran.err
    assert (home / "photos/0001.jpg").read_bytes() == before


def test_a_status_database_of_a_newer_pixcore_is_refused(home: Path) -> None:
    """An older pixcore cannot read the database and must not change it."""
    run()
    with sqlite3.connect(home / "pixcore-data/status.db") as database:
        database.execute("UPDATE pixcore_version SET version_num = '9999'")
    database.close()
    for words in (RUN, ("status",), ("retry", "photos")):
        ran = pixcore(*words)
        assert (ran.code, ran.err.count("\n")) == (2, 1)
        assert ran.err.endswith("was created by a newer pixcore; upgrade pixcore\n")


@pytest.fixture
def closed(home: Path) -> Iterator[Path]:
    """Yield a folder with a subfolder without permissions; run the test as an unprivileged user."""
    run("--dataset", "before")  # these two import every module, which the unprivileged user may be unable to read
    pixcore("demo", "--out", "photos")
    folder = Path(tempfile.mkdtemp())  # the unprivileged user cannot use the folders of pytest
    folder.chmod(0o755)
    (folder / "closed").mkdir(mode=0o000)
    fill(folder / "photos", 2)
    os.chdir(folder)
    identity = os.geteuid()
    if identity == 0:
        os.chown(folder, 65534, 65534)
        os.seteuid(65534)
    yield folder
    os.seteuid(identity)
    os.chdir(home)
    shutil.rmtree(folder)


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        ((*RUN, "--store", "file:closed/out"), "Permission denied ('{home}/closed/out/.pixcore'); give this user"),
        ((*RUN, "--status", "sqlite:///closed/s.db"), "create its folder, or get permission to use it"),
        ((*RUN, "--status", "sqlite:///closed/below/s.db"), "create its folder, or get permission to use it"),
        (("status", "--status", "sqlite:///closed/s.db"), "create its folder, or get permission to use it"),
        (("run", "--source", "folder:closed"), "the folder {home}/closed cannot be listed: Permission denied"),
        (("demo", "--out", "closed/demo"), "cannot be used (Permission denied); name another folder with --out DIR"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_a_path_without_permission_is_named(closed: Path, words: tuple[str, ...], complaint: str) -> None:
    """The error must name the path and the remedy."""
    ran = pixcore(*words)
    assert (ran.code, ran.out, ran.err.count("\n")) == (2, "", 1)
    assert complaint.format(home=closed) in ran.err
    assert not list(closed.rglob("*.jsonl"))


def test_a_work_directory_without_permission_leaves_the_chunk_pending(
    closed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next run can complete the chunk with another work directory."""
    monkeypatch.setenv("PIXCORE_WORK", str(closed / "closed/work"))
    ran = run()
    assert (ran.code, ran.out) == (2, "")
    assert "closed/work cannot be used (Permission denied); set `work` to a folder of your own" in ran.err
    assert [chunk["status"] for chunk in pixcore("status", "photos", "--json").chunks] == ["pending"]


@pytest.mark.parametrize("disk", ["work", "store"])
def test_a_full_disk_costs_no_chunk(home: Path, disk: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run must end without a failed chunk, and the next one must go on, instead of having nothing left to do."""
    monkeypatch.setenv("PIXCORE_PATIENCE", "0")
    for number in range(10):
        (home / f"photos/{number:04}.jpg").write_bytes(encoded(photo(number, 100, 100), "PNG", compress_level=0))
    folder = home / "small"
    words = ("--store", f"file:{folder}") if disk == "store" else ()
    if disk == "work":
        monkeypatch.setenv("PIXCORE_WORK", str(folder))
    with small_disk(folder, 100_000) as resize:
        ran = run(*words)
        assert (ran.code, ran.out) == (1, "")
        assert re.search(r"no chunk could be run for 0 s: .*small.*No space left on device.*; free some", ran.err)
        chunks = pixcore("status", "photos", "--json").chunks
        assert [chunk["status"] for chunk in chunks] == ["pending"] * 3
        assert "No space left on device" in chunks[0]["error"]
        resize(10_000_000)
        assert run(*words).code == 0
        assert len(list(home.rglob("*.zip"))) == 3
        if disk == "work":
            assert not files(folder)


def test_a_limit_on_the_size_of_files_fails_the_chunk_that_exceeds_it(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No probe finds it, so the chunk must not run for ever; the others complete, and so does a retry."""
    monkeypatch.setenv("PIXCORE_MAX_FAILURES", "1")
    (home / "photos/0005.jpg").write_bytes(encoded(photo(5, 1000, 1000), "PNG", compress_level=0))
    with no_file_above(2_000_000):
        ran = run()
    assert ran.code == 3
    assert [chunk["status"] for chunk in ran.chunks] == ["completed", "failed", "completed"]
    assert ran.chunks[1]["error"].endswith("File too large; free some room or point `work` at a larger disk")
    assert not files(home / "work")
    assert len(list(home.rglob("*.zip"))) == 2
    assert pixcore("retry", "photos").code == 0


def test_unusual_file_names_are_escaped(home: Path) -> None:
    """Names may be in another encoding, contain line breaks, or control a terminal."""
    folder = home / os.fsdecode(b"odd \xff\x1b[2J")
    folder.mkdir()
    names = [os.fsdecode(b"caf\xe9.jpg"), "two\nlines.jpg", "red\x1b[31m.jpg", "\x9b2J.jpg", "\u202eback.jpg"]
    for seed, name in enumerate(names):
        (folder / name).write_bytes(jpeg(seed))
    (folder / "copy\x1b]0;title\x07.jpg").write_bytes(jpeg(0))

    source = ("--source", f"folder:{folder}", "--dataset", "odd")
    outputs = [
        pixcore("plan", *source),
        pixcore("run", *source, "--verbose"),
        pixcore("status", "odd"),
        pixcore("run", *source, "--json"),
        pixcore("run", "--source", f"folder:{folder}/none"),
    ]
    for ran in outputs:
        assert all(line.isprintable() for line in (ran.out + ran.err).splitlines())
        (ran.out + ran.err).encode()
    assert "accepted two\\nlines.jpg: JPEG" in outputs[1].err
    (chunk,) = outputs[3].chunks
    assert (chunk["keyword"], chunk["accepted"]) == (folder.name, 5)
    assert {row["url"] for row in rows(chunk)} == {"caf\\udce9.jpg", *names[1:]}


# -- streams ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", [(), ("--quiet",), ("--verbose",)], ids=str)
def test_standard_output_is_only_the_document(mode: tuple[str, ...]) -> None:
    """Progress must go to standard error, and not appear with ``--quiet``."""
    ran = run(*mode)
    assert [chunk["status"] for chunk in ran.chunks] == ["completed"] * 3
    assert (ran.err == "") == (mode == ("--quiet",))


def test_without_a_command_the_first_commands_are_shown() -> None:
    """The help of all commands is longer than a screen; a newcomer needs the five that matter."""
    ran = pixcore()
    assert ran.code == 2
    named = re.findall(r"^  pixcore (\w+)", ran.out + ran.err, re.MULTILINE)
    assert named == ["demo", "run", "status", "report", "export"]
    for command in named:
        assert "Usage: pixcore" in pixcore(command, "--help").out
    assert "Try `pixcore demo` first." in pixcore("--help").out


def test_an_internal_error_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    """The exit code must be 1, and only ``--verbose`` must print the traceback."""

    def broken(*_: object, **__: object) -> None:
        raise ZeroDivisionError("by zero")

    monkeypatch.setattr("pixcore_runners.cli.status.assemble", broken)
    ran = pixcore("status")
    assert (ran.code, ran.out) == (1, "")
    assert (
        ran.err == "pixcore: internal error: ZeroDivisionError: by zero; run again with --verbose for the traceback\n"
    )
    assert "Traceback" in pixcore("status", "--verbose").err


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (StatusUnavailable("locked"), 1),
        (StoreUnavailable("away"), 1),
        (WorkspaceFull("full"), 1),
        (StoreDenied("forbidden"), 2),
        (InvalidRequest("nonsense"), 2),
        (NoValidImages("nothing"), 4),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else "",
)
def test_the_exit_code_of_an_error(monkeypatch: pytest.MonkeyPatch, error: Exception, code: int) -> None:
    """Scripts decide by the exit code whether to retry, to correct the call, or to use other sources."""

    def failing(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr("pixcore_runners.cli.status.assemble", failing)
    assert pixcore("status") == Ran(code, "", f"pixcore: {error}\n")


@pytest.mark.parametrize("how", [("--json",), ()], ids=str)
def test_a_closed_output_pipe_prints_no_error(how: tuple[str, ...]) -> None:
    """In ``pixcore plan | head -1`` the closed pipe must not cause a message."""
    process = start("plan", *RUN[1:], *how)
    assert process.stdout is not None
    process.stdout.close()
    assert process.stderr is not None
    with process.stderr:
        assert process.stderr.read() == ""
    assert process.wait(60) == 1


# -- start-up --------------------------------------------------------------------------------------------------------

HEAVY = {
    *("PIL", "alembic", "azure", "boto3", "botocore", "bs4", "celery", "icrawler", "imagehash", "jinja2"),
    *("numpy", "prometheus_client", "psycopg", "pyarrow", "pycurl", "redis", "rq", "scipy", "sqlalchemy"),
}


@pytest.mark.parametrize(
    ("words", "needed"),
    [
        ("--help", set()),
        ("run --help", set()),
        ("config show", set()),
        ("status", {"sqlalchemy"}),
        (
            "run --source folder:photos",
            {"sqlalchemy", "jinja2", "numpy"},
        ),  # children decode and a folder needs no web client; copies are proposed here
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_command_imports_only_what_it_needs(words: str, needed: set[str]) -> None:
    """The help must not wait for the import of decoders or databases, nor for adapters that no setting names."""
    program = (
        "import atexit, sys; from pixcore_runners.cli import main; atexit.register(lambda: print(*sys.modules)); main()"
    )
    ran = subprocess.run([sys.executable, "-c", program, *words.split()], capture_output=True, text=True, check=True)
    assert set(ran.stdout.split()) & HEAVY == needed


def test_forked_workers_import_no_library_again() -> None:
    """Imports that happen after the fork cost each worker as much as a hundred images."""
    command = [sys.executable, "-X", "importtime", "-c", "from pixcore_runners.cli import main; main()"]
    ran = subprocess.run([*command, *RUN, "--workers", "2"], capture_output=True, text=True, check=True)
    imported = [line.rpartition("|")[2].strip() for line in ran.stderr.splitlines()]
    once = ("numpy", "sqlalchemy", "pixcore_adapters.twins.proposing")
    assert [imported.count(name) for name in once] == [1, 1, 1]


def test_the_core_imports_only_the_standard_library_attrs_and_tenacity_at_run_time() -> None:
    """A program that uses the core must not load any other package."""
    program = "import sys; before = set(sys.modules); from pixcore import *; print(*set(sys.modules) - before)"
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    packages = {module.partition(".")[0] for module in ran.stdout.split()}
    # tenacity imports tornado where it is installed, as Jupyter does
    assert packages - sys.stdlib_module_names - {"tornado"} == {"attr", "attrs", "pixcore", "tenacity"}
