"""The page of `pixcore review` in a real browser: choosing by click, box and keyboard, two people, hostile text."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from attrs import define, evolve, field
from browser.chromium import Browser, PageError, browser
from near_pairs import grouped
from pictures import encoded, photo
from reports import PROBES, StoredDataset, a_copy, a_row, measures, stored_dataset, with_outcomes
from servers.fixtures import had

from pixcore import ChunkKey, NearGroup, NearPair, SeenImage, StatusUnavailable
from pixcore.model.archives import StoredBlob
from pixcore.model.chunks import TwinPair
from pixcore.model.decisions import Decision, DecisionKind
from pixcore.model.quality import Fingerprint
from pixcore.model.rows import COLUMNS, NUMBERS
from pixcore_adapters.decisions.memory import MemoryDecisions
from pixcore_adapters.outputs.review.choices import Choices
from pixcore_adapters.outputs.review.served import served

IMAGES = 300  # many times what a screen shows
DATASET = "d"
ROOM = {"viewport": {"width": 1280, "height": 800}, "reducedMotion": "reduce"}


@define
class Fallible(MemoryDecisions):
    """Decisions in memory that fail ``faults`` times."""

    faults: int = 0
    refused: list[int] = field(init=False, factory=list)

    def record(self, decisions: Any) -> int:  # noqa: ANN401 - of the port
        """Store decisions, or fail."""
        if self.faults:
            self.faults -= 1
            self.refused.append(1)
            raise StatusUnavailable("the database is being restarted")
        return super().record(decisions)


@define
class Page:
    """A review in the browser, and the decisions behind it."""

    browser: Browser
    link: Any
    decisions: Fallible

    def visit(self, **options: object) -> None:
        """Open a new link in a new context, and wait until everything is read."""
        self.browser.visit(self.link(), **(ROOM | options))
        self.wait("document.querySelector('#found')?.textContent.match(/^[0-9,]+ images$/)")
        self.wait("document.querySelector('#pair-count').textContent || document.querySelector('#undo').disabled")
        self("focus", "#grid")

    def __call__(self, method: str, *args: object) -> Any:  # noqa: ANN401 - whatever JSON holds
        """Call a method of the page."""
        return self.browser(method, *args)

    def wait(self, condition: str) -> None:
        """Wait for a condition, also while the page is loaded. Playwright's own waiting needs ``eval``."""
        check = f"const check = () => ({condition}) ? done() : requestAnimationFrame(check); check();"
        try:
            self("evaluate", f"new Promise((done) => {{ {check} }})")
        except PageError as error:
            if "context was destroyed" not in str(error):
                raise
            self.wait(condition)

    def press(self, *keys: str) -> None:
        """Press keys, one after the other."""
        for key in keys:
            self("keyboard.press", key)

    def text(self, selector: str) -> str:
        """Return the text of an element, on one line."""
        return " ".join(str(self("innerText", selector)).split())

    def shows(self, text: str) -> None:
        """Wait until the running count is this."""
        self.wait(f"document.querySelector('#chosen').textContent === '{text}'")

    def titles(self) -> list[str]:
        """Return the names of the tiles in sight, in order."""
        place = "Number(one.closest('.tile').dataset.position)"
        listed = f"[...document.querySelectorAll('.tile img')].map((one) => [{place}, one.alt])"
        return [name for _, name in sorted(self("evaluate", listed))]

    def selected(self) -> list[str]:
        """Return the names of the selected tiles in sight."""
        tiles = "[...document.querySelectorAll('.is-selected img')].map((one) => one.alt)"
        return sorted(self("evaluate", tiles), key=lambda name: int(name.split()[1]))

    def stored(self) -> set[tuple[str, int, str, str]]:
        """Return the decisions: the kind, the number of the image, the label and who decided, once all are stored."""
        self.wait("!document.querySelector('#chosen').ariaBusy")
        return {(each.kind.value, int(each.sha256, 16), each.label, each.by) for each in self.decisions.read(DATASET)}


def dataset(work: Path) -> StoredDataset:
    """Make two chunks with dropped copies, a small image that is kept aside, one that is not, and twins."""
    data = [encoded(photo(number, 96, 72)) for number in range(6)]
    images = [
        (
            a_row(
                number,
                label="dog" if number % 3 == 0 else "cat",
                source=("openverse", "commons")[number % 2],
                width=96,
                height=72,
                **measures(number),
            ),
            data[number % 6],
        )
        for number in range(IMAGES)
    ]
    whole = stored_dataset(work, [images[:200], images[200:]])
    copies = [a_copy(number, a_row(number)) for number in range(3)]
    small = a_copy(3, a_row(0), outcome="too_small", detail="32 x 24 of at least 50 x 50 pixels")
    pictures = {str(line["sha256"]): encoded(photo(0, 64, 48), "WEBP") for line in (*copies, small)}
    kept = with_outcomes(whole.records[0], whole.archives.store, [*copies, small], pictures, work)
    gone = with_outcomes(whole.records[1], whole.archives.store, [a_copy(9, a_row(250))], {}, work)
    assert kept.result
    twins = (TwinPair(a_row(4).url, a_row(5).url, "same picture, cropped by 6 %"),)
    kept = evolve(kept, result=evolve(kept.result, rejected=StoredBlob(1, "0" * 64), twins=twins))
    return evolve(whole, records=[kept, gone])


def near() -> Sequence[NearGroup]:
    """Return one pair of images with near hashes."""
    one, other = (
        SeenImage(ChunkKey(DATASET, 1), a_row(number).sha256, "", Fingerprint(number, number, "x", flat=False))
        for number in (10, 11)
    )
    return grouped([NearPair(one, other)])


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """Start a browser for the tests of this module."""
    with ExitStack() as stack:
        yield had(lambda: stack.enter_context(browser()))


@pytest.fixture(scope="module")
def serving(chromium: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    """Serve one dataset to all tests."""
    whole, decisions = dataset(tmp_path_factory.mktemp("review")), Fallible()
    with served(lambda: whole.records, whole.archives, Choices(DATASET, decisions, "Ada"), near) as link:
        yield Page(chromium, link, decisions)


@pytest.fixture
def page(serving: Page) -> Iterator[Page]:
    """Open the page without decisions; afterwards, check that it reported no error and left its own server alone."""
    serving.decisions.take_back(list(serving.decisions.read(DATASET)))
    serving.visit()
    yield serving
    seen = serving("seen")
    assert (seen["console"], seen["violations"]) == ([], [])
    assert all(request.startswith("http://127.0.0.1:") for request in seen["requests"])


def test_fifty_images_are_reviewed_by_keyboard_alone(page: Page) -> None:
    """Curators go through thousands of images; the mouse is slower than the keyboard."""
    assert page.titles()[:2] == ["picture 0", "picture 1"]
    page.press("Home")
    for number in range(50):
        page.press(*("x",) * (number % 10 == 0), *("1",) * (number % 10 == 3), "ArrowRight")
    page.shows("5 out, 2 relabelled")
    assert page.stored() == {("exclude", number, "", "Ada") for number in range(0, 50, 10)} | {
        ("relabel", number, "cat", "Ada") for number in (3, 33)
    }  # the label 1 is the most frequent one; 13, 23 and 43 have it
    page.press("u", "u", "x")
    page.shows("5 out, 1 relabelled")
    page.press("Home", "x")  # back in
    page.shows("4 out, 1 relabelled")
    page.press("Enter", "ArrowRight", "x")
    assert page.text("#details-title") == "picture 1"
    page.wait("document.querySelector('#details').textContent.includes('Left out')")
    page.press("Escape")
    page.shows("5 out, 1 relabelled")
    assert page("evaluate", "document.activeElement.id") == "grid"
    page.press("End")
    page.wait(
        "[...document.querySelectorAll('.tile img')].some((one) => one.alt === 'picture 299' && one.naturalWidth)"
    )
    assert page("evaluate", "document.querySelectorAll('.tile').length") < 80  # only those in sight


def test_images_are_selected_by_click_and_by_box_and_changed_together(page: Page) -> None:
    """A run of bad images goes in one step, and comes back in one step."""
    page("click", ".tile >> nth=2")
    page("click", ".tile >> nth=4", {"modifiers": ["Shift"]})
    page("click", ".tile >> nth=9", {"modifiers": ["Control"]})
    assert page.selected() == [f"picture {number}" for number in (2, 3, 4, 9)]
    page("click", "#out")
    page.shows("4 out")
    box = page("evaluate", "(({ x, y }) => ({ x, y }))(document.querySelector('#grid').getBoundingClientRect())")
    page("mouse.move", box["x"] + 20, box["y"] + 20)
    page("mouse.down")
    page("mouse.move", box["x"] + 420, box["y"] + 60)
    page("mouse.up")
    assert page.selected() == [f"picture {number}" for number in (0, 1, 2)]
    page("fill", "#relabel input", "red panda")
    page.press("Enter")
    page.shows("4 out, 3 relabelled")
    assert "3red panda" in page.text("#labels").replace(" ", "").replace("redpanda", "red panda")
    page("click", "#undo")
    page("click", "#undo")
    page.shows("nothing chosen yet")
    assert page.stored() == set()


def test_filters_find_the_images_by_reason_flag_source_label_and_measure(page: Page) -> None:
    """Curators look for the doubtful images first."""
    page("selectOption", "[name=source]", {"label": "commons (150)"})
    page("selectOption", "#filters [name=label]", {"label": "dog (100)"})
    assert page.text("#found") == "50 of 300 images"
    page("click", "#filters button[type=reset]")
    page.wait("document.querySelector('#found').textContent === '300 images'")
    page("selectOption", "[name=sort]", {"label": "sharpness, rising"})
    assert page.titles()[:2] == ["picture 10", "picture 0"]
    page("click", ".chip:has-text('blurry')")
    assert page.text("#found") == "10 of 300 images"
    page("click", "#filters button[type=reset]")
    page.wait("document.querySelector('#found').textContent === '300 images'")
    page("selectOption", "[name=shown]", {"label": "rejected: too small (1)"})
    assert (page.text("#found"), page.titles()) == ("1 image", ["https://example.org/copy-3.jpg"])
    page.wait("document.querySelector('.tile img').naturalWidth === 64")


def test_rejected_images_come_back_if_their_bytes_were_kept(page: Page) -> None:
    """A rescue that no rebuilding can carry out would be an empty promise."""
    page("selectOption", "[name=shown]", "=near_duplicate")
    assert page.text("#found") == "4 images"
    page.press("Control+a", "x")
    page.shows("3 rescued")
    page.wait("document.querySelector('#news').textContent.startsWith('1 cannot come in')")
    assert {kind for kind, *_ in page.stored()} == {"include"}
    page.press("u")
    page.shows("nothing chosen yet")


def test_pairs_are_decided_left_right_both_or_none(page: Page) -> None:
    """Which copy stays is the curator's choice, whatever the rules chose."""
    page("click", "[data-view=pairs]")
    page.wait("document.querySelector('#pair-count').textContent === '(6)'")
    assert "same picture, cropped by 0 %" in page.text("#pairs")
    page.press("r", "b", "l")
    page.wait("document.querySelector('#pairs .pager').textContent.includes('pair 4 of 6, 3 decided')")
    assert page(
        "evaluate", "[...document.querySelectorAll('.verdicts :disabled')].map((one) => one.dataset.verdict)"
    ) == [
        *("right", "both"),
    ]  # the bytes of this copy were not kept
    page.press("r", "n", "ArrowRight")
    page.press("ArrowLeft")
    page("click", "[data-verdict=right]")
    copies = [10**6 + number for number in range(2)]
    page.shows("3 out, 2 rescued")
    assert page.stored() == {
        *(("exclude", number, "", "Ada") for number in (0, 4, 250)),
        *(("include", number, "", "Ada") for number in copies),
    }
    page.press("u", "u", "u", "u")
    page.shows("nothing chosen yet")


def test_two_people_see_and_keep_each_others_decisions(page: Page) -> None:
    """Neither a second tab nor a colleague may undo the decisions of another person."""
    page("tab", page("url"))
    page.wait("document.querySelector('#found')?.textContent === '300 images'")
    page("turn", 0)
    page.press("Home", "x")
    page.shows("1 out")
    others = [
        Decision(DATASET, DecisionKind.EXCLUDE, a_row(number).sha256, by="Bob", reason="a fox", at=page.decisions.now())
        for number in (0, 7)
    ]
    page.decisions.record(others[1:])
    page.shows("2 out")
    assert page.text("#news") == "Bob decided about 1"
    page.press("u")  # takes back only what was decided here
    page.shows("1 out")
    page.press("ArrowRight")
    fox = Decision(DATASET, DecisionKind.RELABEL, a_row(1).sha256, label="fox", by="Bob", at=page.decisions.now())
    page.decisions.record([fox])
    page.press("2", "u")  # the page may not know yet what it replaced
    page.wait("!document.querySelector('#chosen').ariaBusy")
    assert page.decisions.take_back([fox])
    page("turn", 1)
    page.shows("1 out")
    page.decisions.record(others[:1])
    page("focus", "#grid")
    page.press("Home")
    page("click", ".tile >> nth=7")
    page.press("Enter")
    assert "by Bob" in page.text("#details")
    page.press("Escape")
    page.shows("2 out")
    page("reload")
    page.shows("2 out")
    assert {by for *_, by in page.stored()} == {"Bob"}


def test_decisions_wait_until_the_database_is_back(serving: Page) -> None:
    """A restart of the database must lose nothing that was decided meanwhile."""
    page = serving
    page.decisions.take_back(list(page.decisions.read(DATASET)))
    page.visit()
    page.decisions.faults = 1
    page.press("Home", "x", "ArrowRight", "x")
    page.wait("document.querySelector('#news').textContent.includes('not stored yet: the database is being restarted')")
    assert {number for _, number, *_ in page.stored()} == {0, 1}


def test_a_used_link_is_refused_in_another_browser(serving: Page) -> None:
    """A person who finds the link later, in a history or a log, must not get in."""
    link = serving.link()
    serving.browser.visit(link)
    serving.wait("document.querySelector('#grid')")
    serving.browser.visit(link)
    assert "This link was used already" in serving.text("body")
    assert serving("evaluate", "document.cookie") == ""


@pytest.mark.parametrize(("scheme", "width"), [("light", 390), ("dark", 1280)])
def test_the_page_is_accessible(serving: Page, scheme: str, width: int) -> None:
    """Axe must find no fault in any view, and nothing may be wider than the screen."""
    serving.visit(colorScheme=scheme, viewport={"width": width, "height": 800})
    serving.press("Home", "x", "ArrowRight", "2")
    for view in ("images", "pairs"):
        serving("click", f"[data-view={view}]")
        assert serving("judged") == []
        assert serving("evaluate", "document.documentElement.scrollWidth") <= width
    serving("click", ".half button >> nth=0")
    assert serving("judged") == []
    serving.press("Escape")
    serving("click", "#undo")
    serving("click", "#undo")


def test_foreign_text_is_shown_and_never_executed(chromium: Browser, tmp_path: Path) -> None:
    """This must hold even without the content security policy, which is only the second line of defence."""
    columns = [column for column in COLUMNS if column not in {*NUMBERS, "file_name", "sha256"}]
    data = encoded(photo(0, 64, 48))
    rows = [a_row(number, **dict.fromkeys(columns, probe)) for number, probe in enumerate(PROBES)]
    whole = stored_dataset(tmp_path, [[(row, data) for row in rows]], error="")
    lines = [a_copy(number, row, url=row.url, detail=row.url, twin_url=row.url) for number, row in enumerate(rows)]
    lines.append(a_copy(99, rows[0], outcome=PROBES[1]))
    record = with_outcomes(whole.records[0], whole.archives.store, lines, {}, tmp_path)
    decisions = MemoryDecisions()
    by, label = PROBES[0], PROBES[2]
    decisions.record(
        [Decision(DATASET, DecisionKind.RELABEL, rows[1].sha256, label=label, by=by, reason=by, at=decisions.now())]
    )
    with served(lambda: [record], whole.archives, Choices(DATASET, decisions, PROBES[0]), list) as link:
        page = Page(chromium, link, Fallible())
        page.visit(bypassCSP=True)
        page.press("Home", "x", "Enter")
        for probe in PROBES:
            shown = page("evaluate", "[...document.querySelectorAll('#details dd')].map((one) => one.textContent)")
            assert shown.count(probe) >= len(columns) - 4, probe
            page.press("ArrowRight")
        page.press("Escape")
        page("selectOption", "[name=shown]", "rejected")
        page("click", "[data-view=pairs]")
        page.press("ArrowRight", "ArrowRight", "l")
        assert page("evaluate", "typeof hacked") == "undefined"
        assert (
            page("evaluate", "document.querySelectorAll('iframe, object, embed, base, script:not([src])').length") == 0
        )
        names = page("evaluate", "[...document.querySelectorAll('*')].flatMap((one) => one.getAttributeNames())")
        assert not [name for name in names if name.startswith("on") or name == "autofocus"]
        links = page("evaluate", "[...document.links].map((one) => one.getAttribute('href'))")
        assert all(each.startswith(("#", "http://", "https://")) for each in links)
        assert page("seen")["violations"] == []
