"""Read DATASET.toml: all its keys, the defaults, and errors that name line and key."""

import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pixcore import Conversion, Encoding, InvalidRequest, NearRule, Quality, Resize
from pixcore_runners.planning.dataset_file import _line, read
from pixcore_runners.planning.spec import DatasetSpec, KeywordSpec
from pixcore_runners.settings import Settings

WHOLE = """\
# Two pandas
dataset = "pandas"
count = 2000
chunk_size = 250
source = ["openverse", "folder:./photos"]
license = ["cc0", "by"]

[quality]
min_width = 256
near_dhash = 6

[[keyword]]
name = " red panda "
label = "Ailurus"

[[keyword]]
name = "giant panda"
count = 500
source = ["commons"]
license = []
"""


@pytest.fixture
def written(tmp_path: Path) -> Path:
    """Return a file with every key."""
    path = tmp_path / "dataset.toml"
    path.write_text(WHOLE)
    return path


def test_every_key_of_a_file_is_read(written: Path) -> None:
    """Keywords inherit from the head of the file; paths are relative to the file's folder, not the current one."""
    assert read(written, Settings()) == DatasetSpec(
        (
            KeywordSpec(("openverse", f"folder:{written.parent}/photos"), "red panda", 2000, "Ailurus", ("cc0", "by")),
            KeywordSpec(("commons",), "giant panda", 500, "", ()),
        ),
        chunk_size=250,
        dataset="pandas",
        quality=Quality(256, 50, NearRule(10, 6)),
    )


def test_a_file_says_how_images_are_stored(written: Path) -> None:
    """People who never want the large ones must not write a flag each time."""
    stored = 'store_as = { size = 256, resize = "no-upscale", encode = "webp", quality = 80, background = "black" }\n'
    written.write_text(stored + WHOLE)
    wanted = Conversion(256, Resize.NO_UPSCALE, Encoding.WEBP, 80, "#000000")
    assert read(written, Settings()).store_as == wanted


def test_settings_are_the_defaults_of_a_file(tmp_path: Path) -> None:
    """A file with only a keyword takes everything else from the settings, and the dataset's name from the file."""
    path = tmp_path / "cats.toml"
    path.write_text('[[keyword]]\nname = "cat"')
    settings = Settings(source=("urls:/list.txt",), license=("by",), chunk_size=7, min_height=9, near_phash=3)
    assert read(path, settings) == DatasetSpec(
        (KeywordSpec(("urls:/list.txt",), "cat", None, "", ("by",)),), 7, "cats", Quality(50, 9, NearRule(3, 10))
    )


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        ("chunk_size = 250", "chunk_size = 0", ":4: chunk_size cannot be 0; give a whole number from 1 to 2147483647"),
        ("count = 2000", "count = 1.5", ":3: count cannot be 1.5; write a whole number, at least 1"),
        ("count = 500", "count = 0", ":18: count cannot be 0; write a whole number, at least 1"),
        ("count = 500", "cuont = 500", ":18: unknown key 'cuont'; did you mean count?"),
        ("count = 500", "min_width = 5", ":18: unknown key 'min_width'; use one of: name, label, count, source"),
        ("min_width = 256", 'min_width = "wide"', ":9: min_width cannot be 'wide'; give a whole number"),
        ("near_dhash = 6", "near_dhash = 65", ":10: near_dhash cannot be 65; give a whole number from 0 to 64"),
        ("near_dhash = 6", "nearest = 6", ":10: unknown key 'nearest'; did you mean near?"),
        ("near_dhash = 6", 'near = "hashes"', ":10: near cannot be 'hashes'; give one of: drop, report, off"),
        ('dataset = "pandas"', "dataset = 7", ":2: dataset cannot be 7; write a string"),
        ('label = "Ailurus"', "label = 7", ":14: label cannot be 7; write a string"),
        ('name = "giant panda"', 'name = " "', ":16: this keyword has no name; add one"),
        ('name = "giant panda"\n', "", ":16: this keyword has no name; add one"),
        ('name = "giant panda"', 'name = "red panda"', ":17: name 'red panda' is already in this file"),
        ('source = ["commons"]', "source = [1]", ":19: source cannot be [1]; give one or more sources"),
        (
            'license = ["cc0", "by"]',
            'license = [\n"cc0",\n"gpl"\n]',
            ":6: license cannot be ['cc0', 'gpl']; give one or",
        ),
        ("[quality]\nmin_width = 256\nnear_dhash = 6", "quality = 3", ":8: quality is a table; write [quality]"),
        ("count = 2000\n", 'count = 2000\ncolour = """\nred\n"""\n', ":4: unknown key 'colour'"),
        ("count = 2000", 'store_as = { size = "256" }', ":3: size cannot be '256'; write a whole number"),
        (
            "count = 2000",
            "store_as = { siz = 256 }",
            ":3: unknown key 'siz'; use some of: size, resize, encode, quality",
        ),
        ("count = 2000", "store_as = { quality = 3 }", ":3: store_as needs a size or encode"),
        ("count = 2000", 'store_as = { size = 9, encode = "gif" }', ":3: there is no encoding 'gif'; use one of: jpg"),
        ("count = 2000", "store_as = 256", ":3: store_as is a table"),
        ("[[keyword]]", "[[keywords]]", ":12: unknown key 'keywords'; did you mean keyword?"),
        ("[[keyword]]", "[keyword", "cannot be read as TOML: "),
        ("count = 2000", "count = 2000\ncount = 1", "cannot be read as TOML: Cannot overwrite a value (at line 4"),
    ],
)
def test_an_error_names_the_line_and_the_key(written: Path, old: str, new: str, complaint: str) -> None:
    """The user must find one mistake in a file of a hundred keywords."""
    assert old in WHOLE
    written.write_text(WHOLE.replace(old, new))
    with pytest.raises(InvalidRequest) as refused:
        read(written, Settings())
    assert complaint in str(refused.value).removeprefix(str(written))
    assert str(refused.value).startswith(str(written))


def test_a_mistake_in_a_large_file_is_found_with_few_steps(written: Path) -> None:
    """The time must grow with the file, not with its square: a list of sources may have thousands of lines."""

    def steps(lines: int) -> int:
        listed = "".join(f'"folder:/photos/{number}",\n' for number in range(lines))
        written.write_text(WHOLE.replace('source = ["commons"]', f"source = [\n{listed}]\nbogus = 1"))
        counted = 0

        def count(*_: object) -> None:
            nonlocal counted
            counted += 1

        sys.setprofile(count)
        try:
            with pytest.raises(InvalidRequest, match=f":{lines + 21}: unknown key 'bogus'"):
                read(written, Settings())
        finally:
            sys.setprofile(None)
        return counted

    assert steps(400) < 5 * steps(100)


def test_values_that_are_nested_deeply_are_refused(written: Path) -> None:
    """The parsers stop at a depth of their own, each with an error of its own."""
    for depth in (300, 100_000):
        written.write_text(f"{WHOLE}bogus = {'[' * depth}{']' * depth}")
        with pytest.raises(InvalidRequest, match=r"(unknown key 'bogus')|(nested too deeply)"):
            read(written, Settings())


@pytest.mark.parametrize("text", ["", 'dataset = "d"', "keyword = []", "keyword = 3"])
def test_a_file_without_keywords_is_refused(tmp_path: Path, text: str) -> None:
    """Without a keyword there is nothing to collect, and the error must say what to add."""
    path = tmp_path / "d.toml"
    path.write_text(text)
    with pytest.raises(InvalidRequest, match=r"d\.toml:1: write at least one table \[\[keyword\]\]"):
        read(path, Settings())


@pytest.mark.parametrize(
    ("content", "complaint"),
    [(None, "cannot be read (No such file or directory)"), (b"\xff\xfe", "cannot be read (it is not UTF-8)")],
    ids=["gone", "not UTF-8"],
)
def test_a_file_that_cannot_be_read_is_named(tmp_path: Path, content: bytes | None, complaint: str) -> None:
    """An unreadable file must be an error that names its path."""
    path = tmp_path / "d.toml"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InvalidRequest) as refused:
        read(path, Settings())
    assert f"{path} {complaint}" in str(refused.value)


VALUES = st.sampled_from(["1", '"""\na\n\nb"""', "[\n1,\n\n2]", "'[[x]]'", "{a = 1}", "1 # [x]"])


@given(st.lists(st.tuples(VALUES, st.integers(0, 2)), min_size=1), st.data())
def test_the_line_of_a_key_is_found(drawn: list[tuple[str, int]], data: st.DataObject) -> None:
    """Empty lines, comments and values over several lines must not shift the line number."""
    text, lines = "", []
    for number, (value, gap) in enumerate(drawn):
        text += "\n# gap" * gap + ("\n" if gap else "")
        lines.append(text.count("\n") + 1)
        text += f"key{number} = {value}\n"
    number = data.draw(st.integers(0, len(drawn) - 1))
    assert _line(text, (f"key{number}",)) == lines[number]
