"""Tests, files and commands that the documents name must exist."""

import ast
import re
import shlex
import tomllib
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
import rich_click as click
from command import pixcore as called
from shown_commands import parse, shown

from pixcore.model.images import MissReason, RejectReason
from pixcore.model.rows import COLUMNS, NUMBERS, ROW_VERSION
from pixcore_runners.cli import commands as exits
from pixcore_runners.cli import pixcore
from pixcore_runners.cli.commands import SUMMARIES

ROOT = Path(__file__).parents[2]
DOCS = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md")),
    *sorted((ROOT / "docs").rglob("*.md")),
]

each_document = pytest.mark.parametrize("document", DOCS, ids=lambda path: path.name)


def block(document: str, language: str) -> str:
    """Return the only block of code in that language of a document."""
    (found,) = re.findall(
        rf"^```{language}\n(.*?)^```", (ROOT / "docs" / document).read_text(), re.DOTALL | re.MULTILINE
    )
    return str(found)


def named(text: str) -> Iterator[str]:
    """Yield the calls in backquotes, which may lack required arguments."""
    yield from re.findall(r"`(?:[A-Z_]+=\S+ )*pixcore ([^`|…]+)`", text)


def headings(page: str) -> set[str]:
    """Return the anchors of the headings of a page, as the site and repository hosts make them."""
    text = re.sub(r"^```.*?^```", "", page, flags=re.DOTALL | re.MULTILINE)
    found = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[-\s]+", "-", re.sub(r"[^\w\s-]", "", heading).strip().lower()) for heading in found}


# -- documents -------------------------------------------------------------------------------------------------------


@each_document
def test_every_named_test_exists(document: Path) -> None:
    """The documents name the test of each guarantee, so that a reader knows that it is tested."""
    paths = set(re.findall(r"tests/[a-z0-9_/]+(?<!test_x)\.py", document.read_text()))
    assert [path for path in paths if not (ROOT / path).exists()] == []
    for path, test in re.findall(r"(tests/[\w/]+\.py)::(\w+)", document.read_text()):
        tree = ast.walk(ast.parse((ROOT / path).read_text()))
        assert test in {node.name for node in tree if isinstance(node, ast.FunctionDef)}, f"{path} has no such test"


@each_document
def test_every_link_has_a_target(document: Path) -> None:
    """All files and pictures of the project that the documents link must exist."""
    targets = re.findall(r"(?:\]\(|src=\")(?!https?:)([^)#\"]+)", document.read_text())
    assert [target for target in targets if not (document.parent / target).exists()] == []


@each_document
def test_every_anchor_has_a_heading(document: Path) -> None:
    """A link to a section that was renamed leads to the top of a page, where the reader searches in vain."""
    for target, anchor in re.findall(r"\]\((?!https?:)([^)#\s]*)#([^)\s]+)\)", document.read_text()):
        page = document.parent / target if target else document
        assert anchor in headings(page.read_text()), f"{page.name} has no heading {anchor}"


@each_document
def test_lines_are_short_enough_to_read(document: Path) -> None:
    """Lines other than tables have at most 120 characters, so that a diff or an editor shows them whole."""
    lines = document.read_text().splitlines()
    assert [line for line in lines if len(line) > 120 and not line.startswith("|")] == []


# design.md puts optional words into brackets
@pytest.mark.parametrize("document", [each for each in DOCS if each.name != "design.md"], ids=lambda path: path.name)
def test_every_shown_command_is_valid(document: Path) -> None:
    """Its arguments and options must be valid as well."""
    text = document.read_text()
    for command in shown(text):
        parse(shlex.split(command, comments=True))
    for command in named(text):
        with suppress(click.MissingParameter):
            parse(shlex.split(command))


def test_the_tree_of_the_design_matches_the_folders() -> None:
    """Every named file must exist, and every folder and top-level module of the packages must be named."""
    section = (ROOT / "docs/design.md").read_text().partition("## 2. The rooms\n")[2]
    tree = section.partition("```\n")[2].partition("```")[0]
    drawn = {Path(name).name for name in re.findall(r"[\w/]+(?:\.py\b|/(?=\W))", tree)}
    tops = {"src", "tests", "docs", "benchmarks", "deploy", "examples"}
    existing = [path for top in tops for path in (ROOT / top).rglob("*")]
    assert drawn - {path.name for path in existing} - tops - {"dev.py"} == set()
    packages = ("pixcore", "pixcore_adapters", "pixcore_runners")
    rooms = {path.name for path in existing if path.parent.name in packages and not path.name.startswith("__")}
    assert rooms - {"py.typed"} - drawn == set()


def test_the_pages_of_the_site_are_in_its_navigation() -> None:
    """A page that the navigation lacks is not found by readers, and the site would not be built."""
    navigation = (ROOT / "mkdocs.yml").read_text().partition("\nnav:\n")[2]
    pages = {path.relative_to(ROOT / "docs").as_posix() for path in (ROOT / "docs").rglob("*.md")}
    elsewhere = {"benchmarks.md", "changelog.md", "contributing.md", "security.md"}
    assert set(re.findall(r": (\S+\.md)$", navigation, re.MULTILINE)) == pages | elsewhere


def test_the_version_is_the_same_everywhere() -> None:
    """A release is cited and looked up by its version."""
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert f"\nversion: {version}\n" in (ROOT / "CITATION.cff").read_text()
    assert re.findall(r"^## (\S+), ", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)[0] == version


def test_the_table_of_rows_is_that_of_the_code() -> None:
    """Users read the columns and their types from the page."""
    table = (ROOT / "docs/reference/rows.md").read_text()
    shown = re.findall(r"^\| `(\w+)` \| (text|number) \|", table, re.MULTILINE)
    assert shown == [(column, "number" if column in NUMBERS else "text") for column in COLUMNS]
    assert f"which columns the row has: {ROW_VERSION} |" in table


def test_every_reason_and_exit_code_is_explained() -> None:
    """A user must find each reason that `outcomes` prints, and each exit code."""
    text = (ROOT / "docs/reference/errors.md").read_text() + (ROOT / "docs/fetching.md").read_text()
    assert [reason for reason in (*RejectReason, *MissReason) if f"`{reason}`" not in text] == []
    codes = {exits.DONE, exits.FAILED, exits.USAGE, exits.PARTIAL, exits.NOTHING, exits.INTERRUPTED}
    assert {int(code) for code in re.findall(r"^\| (\d+) \| ", text, re.MULTILINE)} == codes


def levels(command: click.Command, *words: str) -> Iterator[tuple[str, click.Command]]:
    """Yield a command and all its subcommands, each with the words that call it."""
    yield " ".join(words), command
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            below = command.get_command(context, name)
            assert below
            yield from levels(below, *words, name)


HELP = {words: command.help or "" for words, command in levels(pixcore, "pixcore")}


@pytest.mark.parametrize("words", HELP)
def test_every_help_ends_with_an_example_of_its_command(words: str) -> None:
    """The user must be able to copy the example."""
    last = HELP[words].strip().splitlines()[-1].strip()
    (example,) = re.findall(r"^Example: `(?:[A-Z_]+=\S+ )*(pixcore .+)`$", last)
    assert example.startswith(words)
    parse(shlex.split(example)[1:])


def test_the_help_shows_the_first_paragraph_of_each_command() -> None:
    """The help takes it from a table, because it would take long to import all commands."""
    paragraphs = {words: " ".join(text.partition("\n\n")[0].split()) for words, text in HELP.items()}
    assert {f"pixcore {name}": summary for name, summary in SUMMARIES.items()} == {
        words: paragraph for words, paragraph in paragraphs.items() if words.count(" ") == 1
    }


def test_the_help_groups_commands_by_purpose() -> None:
    """A user cannot easily find one of fifteen commands in a single list."""
    shown_in = called("--help").out
    assert shown_in.index("─ Make a dataset ─") < shown_in.index("│ run ") < shown_in.index("─ Check the configuration")
    assert "─ Commands ─" not in shown_in
