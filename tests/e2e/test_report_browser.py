"""The report in a real browser: mouse, keyboard, light and dark theme, hostile titles."""

import io
from base64 import b64decode
from collections.abc import Iterator
from contextlib import ExitStack
from html import escape
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from attrs import evolve
from browser.chromium import Browser, browser
from near_pairs import grouped
from pictures import encoded, photo
from PIL import Image
from reports import PROBES, StoredDataset, a_copy, a_record, a_row, measures, stored_dataset, with_outcomes
from servers.fixtures import had

from pixcore import ChunkKey, NearGroup, NearPair, SeenImage, Status
from pixcore.model.chunks import Attempt, Phase, Reject, TwinPair
from pixcore.model.quality import Fingerprint
from pixcore.model.rows import COLUMNS, NUMBERS
from pixcore.stored import decision_csv
from pixcore_adapters.outputs.report.build import Report
from pixcore_adapters.outputs.report.page import write

IMAGES = 130  # more than a page of the contact sheet holds
TILES = "#sheet button"
# Whether a long title makes the button beside it narrower, so that its text is broken.
BROKEN = """(() => {
  const [title, button] = ["#details-title", "[data-close]"].map((name) => document.querySelector(name));
  title.textContent = "A".repeat(500);
  return button.scrollWidth > button.clientWidth || button.clientHeight > 60;
})()"""


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """Start a browser for the tests of this module."""
    with ExitStack() as stack:
        yield had(lambda: stack.enter_context(browser()))


def dataset(work: Path) -> StoredDataset:
    """Make two chunks: cats of two sources and three licences, and dogs."""
    data = [encoded(photo(number, 160, 120)) for number in range(6)]
    images = [
        (
            a_row(
                number,
                keyword="dog" if number >= 100 else "cat",
                source=("openverse", "commons")[number % 2],
                license=("cc0", "by", "")[number % 3],
                creator="Ada" if number == 7 else "Bob",
                page_url=f"https://example.org/page/{number}",
                width=160,
                height=120,
                **measures(number),
            ),
            data[number % len(data)],
        )
        for number in range(IMAGES)
    ]
    return stored_dataset(
        work, [images[:100], images[100:]], rejected={"damaged": 2, "too_small": 1}, missed={"timeout": 4}
    )


COPIES = 30  # more than the page shows at a time


def near(*pairs: tuple[int, int]) -> list[NearGroup]:
    """Group these pairs of images, given by their numbers."""

    def seen(number: int) -> SeenImage:
        row = a_row(number)
        return SeenImage(ChunkKey("d", 1), row.sha256, row.url, Fingerprint(number, number, "x", flat=False))

    return grouped([NearPair(seen(one), seen(other)) for one, other in pairs])


ATTEMPTS = (
    Attempt(ChunkKey("d", 1), 1, 1000.0, 1010.0, Status.PENDING, Phase.UPLOAD, "the store answered 503"),
    Attempt(ChunkKey("d", 1), 2, 1030.0, 1050.0, Status.COMPLETED, Phase.COMPLETE, ""),
    Attempt(ChunkKey("d", 2), 1, 1001.0, None, None, Phase.DOWNLOAD, ""),
)


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write the page of the dataset."""
    work = tmp_path_factory.mktemp("report")
    whole = dataset(work)
    short = a_record(3, status=Status.FAILED, keyword="red panda", target=50, error="the source cannot be reached")
    records = [
        evolve(
            record,
            result=evolve(
                record.result,
                rejects=(Reject("https://a.example/x.jpg", "damaged", "cut"),),
                twins=(TwinPair(a_row(4).url, a_row(5).url, "same picture, cropped by 6 %"),) * (not place),
            ),
        )
        for place, record in enumerate(whole.records)
        if record.result
    ]
    copies = [a_copy(number, a_row(number)) for number in range(COPIES)]
    small = a_copy(COPIES, a_row(0), outcome="too_small", detail="32 x 24 of at least 50 x 50 pixels")
    small = {key: value for key, value in small.items() if not key.startswith("twin")}
    pictures = {str(line["sha256"]): encoded(photo(0, 64, 48), "WEBP") for line in (*copies, small)}
    records[0] = with_outcomes(records[0], whole.archives.store, [*copies, small], pictures, work)
    report = evolve(whole, records=[*records, short]).report(
        groups=near((0, 1), (2, 3)), attempts=ATTEMPTS, dataset="cats-and-dogs"
    )
    write(report, work / "page.html")
    return work / "page.html"


@pytest.fixture
def opened(chromium: Browser, page: Path) -> Iterator[Browser]:
    """Open the page; after the test, check that it caused no request, error or violation."""
    chromium.open(page)
    yield chromium
    check_no_side_effects(chromium, page)


def check_no_side_effects(chromium: Browser, page: Path) -> None:
    """Check that only the page was fetched, and that the browser reported no error and no violation of the policy."""
    assert chromium("seen") == {"console": [], "requests": [page.as_uri()], "violations": []}


def titles(chromium: Browser) -> list[str]:
    """Return the names of the tiles on the contact sheet."""
    found: list[str] = chromium("evaluate", f"[...document.querySelectorAll('{TILES} img')].map((one) => one.alt)")
    return found


def text(chromium: Browser, selector: str) -> str:
    """Return the text of an element."""
    return str(chromium("innerText", selector))


def until(chromium: Browser, condition: str) -> None:
    """Wait for a condition. Playwright's own waiting needs ``eval``, which the page's policy forbids."""
    check = f"const check = () => ({condition}) ? done() : requestAnimationFrame(check); check();"
    chromium("evaluate", f"new Promise((done) => {{ {check} }})")


FOCUSED = "(document.activeElement.querySelector('img')?.alt ?? document.activeElement.textContent)"


def focused(chromium: Browser) -> str:
    """Return the name of the image that has the focus, or else the text of the element."""
    return str(chromium("evaluate", FOCUSED))


def await_focus(chromium: Browser, name: str) -> None:
    """Wait until the focus is on an element, which happens shortly after a dialog is closed."""
    until(chromium, f"{FOCUSED} === '{name}'")


def press(chromium: Browser, *keys: str) -> None:
    """Press keys, one after the other."""
    for key in keys:
        chromium("keyboard.press", key)


def is_open(chromium: Browser) -> bool:
    """Return whether the details are shown."""
    return bool(chromium("evaluate", "document.querySelector('#details').open"))


def test_the_page_shows_the_numbers_the_funnel_and_the_chunks(opened: Browser) -> None:
    """The user must see the most important facts without a click."""
    shown = " ".join(text(opened, "main").split())
    for part in ("Images 130", "Candidates 144", "Downloaded 136 94.4 %", "\u22128 8 timeout", "4 damaged", "3 chunks"):
        assert part in shown or part in " ".join(text(opened, "header").split())
    assert "1 chunk has no archive" in shown
    assert opened("evaluate", "document.querySelectorAll('.strip rect').length") == 3
    opened("click", ".chunks tr.more summary >> nth=0")
    assert "the store answered 503" in text(opened, ".attempts >> nth=0")


def test_the_pictures_are_visible(opened: Browser) -> None:
    """An image that the policy forbids or that cannot be decoded would be an empty box."""
    until(opened, f"[...document.querySelectorAll('{TILES} img')].every((one) => one.naturalWidth > 0)")
    shot = Image.open(BytesIO(b64decode(opened("screenshot", {"clip": box(opened, f"{TILES} >> nth=3")}))))
    assert np.asarray(shot.convert("L")).std() > 8


def box(chromium: Browser, selector: str) -> object:
    """Scroll to an element and return its place on the screen."""
    first, _, place = selector.partition(" >> nth=")
    return chromium(
        "evaluate",
        f"""(() => {{ const one = document.querySelectorAll('{first}')[{place or 0}];
        one.scrollIntoView({{ behavior: 'instant', block: 'center' }});
        const {{ x, y, width, height }} = one.getBoundingClientRect(); return {{ x, y, width, height }}; }})()""",
    )


def test_filters_reduce_the_sheet_and_show_the_count(opened: Browser) -> None:
    """Keyword, source, licence and text must work together, and the reset must show all images again."""
    assert (len(titles(opened)), text(opened, "#found")) == (120, "130 images")
    opened("selectOption", "[name=keyword]", {"label": "dog (30)"})
    assert text(opened, "#found") == "30 of 130 images"
    opened("selectOption", "[name=source]", {"label": "commons (65)"})
    opened("selectOption", "[name=license]", {"label": "not stated (43)"})
    expected = [f"picture {number}" for number in range(100, IMAGES) if number % 2 and number % 3 == 2]
    assert titles(opened) == expected
    opened("fill", "[name=text]", "PICTURE 11 bob")
    assert titles(opened) == [name for name in expected if name.startswith("picture 11")]
    opened("fill", "[name=text]", "nobody")
    assert (titles(opened), text(opened, "#found")) == ([], "0 of 130 images")
    opened("click", "#filters button[type=reset]")
    until(opened, "document.querySelector('#found').textContent === '130 images'")
    opened("fill", "[name=text]", "ada")
    assert titles(opened) == ["picture 7"]


def test_flags_and_measures_select_and_sort_the_images(opened: Browser) -> None:
    """Users look for bad pictures first; images of older archives have no measures and come last."""
    opened("selectOption", "[name=sort]", {"label": "sharpness, rising"})
    assert titles(opened)[:3] == ["picture 10", "picture 0", "picture 1"]
    assert text(opened, f"{TILES} >> nth=0") == "120"
    assert titles(opened)[99:102] == ["picture 20", "picture 100", "picture 101"]
    assert text(opened, f"{TILES} >> nth=100") == ""
    opened("selectOption", "[name=sort]", {"label": "sharpness, falling"})
    assert (titles(opened)[:2], titles(opened)[99:101]) == (["picture 20", "picture 99"], ["picture 10", "picture 100"])
    assert text(opened, "#flags").split("\n") == ["Flags", "dark (20)", "blurry (10)"]
    opened("focus", "[name=flag] >> nth=1")
    press(opened, "Space")
    assert text(opened, "#found") == "10 of 130 images"
    assert titles(opened)[:2] == ["picture 20", "picture 90"]
    opened("click", ".chip >> nth=0")  # pictures with one flag or the other
    assert text(opened, "#found") == "20 of 130 images"
    opened("click", f"{TILES} >> nth=0")
    facts = " ".join(text(opened, "#details .facts").split())
    for part in ("Flags dark, blurry", "Sharpness 990 of 1000", "Colourfulness 41.5", "Aspect 1.33 : 1"):
        assert part in facts
    opened("click", "[data-close]")
    opened("click", "#filters button[type=reset]")
    until(opened, "document.querySelector('#found').textContent === '130 images'")
    assert titles(opened)[0] == "picture 0"
    opened("selectOption", "[name=keyword]", {"label": "dog (30)"})
    opened("click", f"{TILES} >> nth=0")
    assert "Sharpness" not in text(opened, "#details .facts")


def test_every_dropped_copy_is_beside_the_kept_image(opened: Browser) -> None:
    """Users check whether the better one stayed, by both pictures, both sizes and what decided, of all pairs."""
    shown = " ".join(text(opened, "#dropped li >> nth=1").split())
    assert shown.startswith(
        "kept: 160 \xd7 120, 1.0 kB left out: 32 \xd7 24, 900 B same picture, cropped by 1 % kept https"
    )
    loaded = "[...document.querySelectorAll('#dropped img')].filter((one) => one.complete && one.naturalWidth).length"
    until(opened, f"{loaded} === 48")
    opened("click", "#dropped + .pager button >> nth=1")
    until(opened, "document.querySelectorAll('#dropped li').length === 6")
    opened("click", "#dropped [data-image] >> nth=5")
    assert text(opened, "#details-title") == "picture 29"


def test_images_that_a_rule_dropped_are_shown_with_what_decided(opened: Browser) -> None:
    """A threshold is easier to judge by the pictures that it drops."""
    opened("click", "#rejected summary:has-text('too small')")
    until(opened, "document.querySelector('.gone[data-reason=too_small] img')?.naturalWidth === 64")
    assert "32 x 24 of at least 50 x 50 pixels" in text(opened, ".gone[data-reason=too_small] li")


def test_kept_copies_are_side_by_side_with_what_decided(opened: Browser) -> None:
    """Users decide which of the two to remove: they need both pictures, both sizes and the reason."""
    shown = " ".join(text(opened, "#copies li").split())
    assert shown.startswith("160 \xd7 120, 1.0 kB 160 \xd7 120, 1.0 kB same picture, cropped by 6 % chunk 1 https://")
    opened("click", "#copies button >> nth=1")
    assert text(opened, "#details-title") == "picture 5"


def test_the_buttons_turn_the_pages(opened: Browser) -> None:
    """All images beyond the first page must be reachable."""
    assert opened("isDisabled", "[data-turn='-1'] >> nth=0")
    opened("click", "[data-turn='1'] >> nth=0")
    assert titles(opened) == [f"picture {number}" for number in range(120, IMAGES)]
    assert text(opened, "[data-page] >> nth=0") == "page 2 of 2"
    opened("click", "[data-turn='-1'] >> nth=1")
    assert titles(opened)[0] == "picture 0"


def test_a_click_shows_the_details_of_an_image(opened: Browser) -> None:
    """The details must have all columns of the row, links without a referrer, and a button to close them."""
    opened("click", f"{TILES} >> nth=7")
    shown = text(opened, "#details")
    for part in (
        "picture 7",
        "Ada",
        "by",
        "160 \xd7 120 pixels, JPEG",
        f"{7:064x}",
        "2026-01-01T00:00:00Z",
        "8 of 130",
    ):
        assert part in shown
    link = "#details a[href='https://example.org/page/7']"
    assert opened("getAttribute", link, "rel") == "noopener noreferrer nofollow"
    assert text(opened, link) == "https://example.org/page/7"
    opened("click", "[data-close]")
    assert not is_open(opened)
    await_focus(opened, "picture 7")


def test_the_page_can_be_used_by_keyboard_alone(opened: Browser) -> None:
    """Tab must reach the sheet, arrows move between images, and Escape return to the last one."""
    opened("focus", "#filters button[type=reset]")
    press(opened, "Tab", "Tab", "Tab")  # skip the buttons to choose and for the next page; the other one is disabled
    assert focused(opened) == "picture 0"
    press(opened, "ArrowRight", "ArrowRight", "ArrowLeft")
    assert focused(opened) == "picture 1"
    press(opened, "ArrowDown")
    below = focused(opened)
    assert below not in ("picture 0", "picture 1")
    press(opened, "ArrowUp")
    assert focused(opened) == "picture 1"
    press(opened, "Enter")
    assert is_open(opened)
    press(opened, "ArrowRight", "ArrowRight")
    assert text(opened, "#details-title") == "picture 3"
    press(opened, "Escape")
    assert not is_open(opened)
    await_focus(opened, "picture 3")
    press(opened, "End", "ArrowRight")
    assert focused(opened) == "picture 120"
    press(opened, "Enter", "ArrowLeft", "Escape")
    await_focus(opened, "picture 119")
    press(opened, "Tab")
    assert "picture" not in focused(opened)


def test_the_focus_is_visible(opened: Browser) -> None:
    """Users of the keyboard must see which element has the focus."""
    press(opened, "Tab")
    assert focused(opened) == "Skip to the content"
    for _ in range(12):
        press(opened, "Tab")
        outline = opened("evaluate", "getComputedStyle(document.activeElement).outlineWidth")
        assert float(outline.removesuffix("px")) >= 2


def test_pairs_are_side_by_side_with_their_distance(opened: Browser) -> None:
    """Users compare both pictures at the same height, and each must open its details."""
    one, other = (box(opened, f"#similar button >> nth={place}") for place in (0, 1))
    assert isinstance(one, dict)
    assert isinstance(other, dict)
    assert (one["y"], one["height"]) == (other["y"], other["height"])
    assert one["x"] < other["x"]
    assert " ".join(text(opened, ".distances >> nth=0").split()) == "1 phash 1 dhash bits of 64 apart, group 1"
    opened("click", "#similar button >> nth=1")
    assert text(opened, "#details-title") == "picture 1"
    press(opened, "ArrowLeft")
    assert text(opened, "#details-title") == "picture 0"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_theme_follows_the_system_until_the_user_chooses_one(chromium: Browser, page: Path, scheme: str) -> None:
    """The choice must remain after the page is loaded again."""
    chromium.open(page, colorScheme=scheme)
    before = lightness(chromium)
    assert (before < 0.2) == (scheme == "dark")
    chromium("click", "#theme")
    after = lightness(chromium)
    assert (after < 0.2) != (before < 0.2)
    chromium("reload")
    assert lightness(chromium) == after
    seen = chromium("seen")
    assert (seen["console"], seen["violations"]) == ([], [])


def lightness(chromium: Browser) -> float:
    """Return the lightness of the background, from 0 to 1."""
    corner = {"clip": {"x": 2, "y": 300, "width": 2, "height": 2}}
    return float(np.asarray(Image.open(BytesIO(b64decode(chromium("screenshot", corner)))).convert("L")).mean() / 255)


def test_without_storage_the_theme_is_kept_until_the_page_is_closed(chromium: Browser, page: Path) -> None:
    """Some browsers raise an error if a page from a file uses the storage."""
    chromium.open(page)
    chromium("addInitScript", {"content": "Object.defineProperty(window, 'localStorage', { get() { throw 1; } });"})
    chromium("reload")
    before = lightness(chromium)
    chromium("click", "#theme")
    assert abs(lightness(chromium) - before) > 0.5
    assert chromium("seen")["console"] == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1280])
def test_the_page_is_accessible(chromium: Browser, page: Path, scheme: str, width: int) -> None:
    """Axe must find no fault with all details open, and nothing may be wider than the screen."""
    options = {"colorScheme": scheme, "viewport": {"width": width, "height": 800}, "reducedMotion": "reduce"}
    chromium.open(page, **options)
    chromium("evaluate", "document.querySelectorAll('details').forEach((one) => { one.open = true; })")
    assert chromium("judged") == []
    assert chromium("evaluate", "document.documentElement.scrollWidth") <= width
    assert chromium("evaluate", "getComputedStyle(document.documentElement).scrollBehavior") == "auto"
    chromium("click", f"{TILES} >> nth=0")
    assert chromium("judged") == []
    assert chromium("evaluate", BROKEN) is False


def test_links_of_a_report_in_a_notebook_stay_in_its_frame(chromium: Browser, page: Path, tmp_path: Path) -> None:
    """The frame has no address of its own, so the browser would open the notebook inside it."""
    frame = f'<iframe srcdoc="{escape(page.read_text())}" sandbox="allow-scripts" width="900" height="600"></iframe>'
    (tmp_path / "notebook.html").write_text(f"<!doctype html>{frame}")
    chromium.open(tmp_path / "notebook.html", reducedMotion="reduce")
    chromium("click", "iframe >> internal:control=enter-frame >> a[href='#images']")
    assert chromium("isVisible", f"iframe >> internal:control=enter-frame >> {TILES} >> nth=0")
    assert chromium("seen")["console"] == []


def hostile(work: Path, probe: str) -> Report:
    """Return a report with the probe in every place for text from outside."""
    columns = [column for column in COLUMNS if column not in {*NUMBERS, "file_name", "sha256"}]
    row = a_row(0, **dict.fromkeys(columns, probe))
    other = a_row(1)
    data = encoded(photo(0, 64, 48))
    whole = stored_dataset(work, [[(row, data), (other, data)]], rejected={probe: 1}, missed={probe: 2}, error=probe)
    first = whole.records[0]
    assert first.result
    result = evolve(first.result, rejects=(Reject(probe, probe, probe),), twins=(TwinPair(row.url, probe, probe),))
    request = evolve(first.chunk.request, keyword=probe, label=probe)
    records = [evolve(first, result=result, chunk=evolve(first.chunk, request=request))]
    records.append(a_record(2, status=Status.FAILED, keyword=probe, error=probe))
    attempts = [Attempt(ChunkKey("d", 1), 1, 1000.0, 1001.0, Status.PENDING, Phase.UPLOAD, probe)]
    seen = [
        SeenImage(ChunkKey("d", 1), sha256, probe, Fingerprint(0, 0, "x", flat=False))
        for sha256 in (row.sha256, other.sha256)
    ]
    dropped = [a_copy(number, row, url=probe, detail=probe, twin_url=probe) for number in range(2)]
    dropped[1]["outcome"] = probe
    records[0] = with_outcomes(records[0], whole.archives.store, dropped, {}, work)
    report = evolve(whole, records=records).report(groups=grouped([NearPair(*seen)]), attempts=attempts, dataset=probe)
    return evolve(report, unread={1: probe})


@pytest.mark.parametrize("guarded", [True, False], ids=["policy", "bare"])
@pytest.mark.parametrize("probe", PROBES, ids=range(len(PROBES)))
def test_foreign_text_is_shown_and_never_executed(
    chromium: Browser, tmp_path: Path, probe: str, *, guarded: bool
) -> None:
    """This must hold even without the content security policy, which is only the second line of defence."""
    report = hostile(tmp_path, probe)
    write(report, tmp_path / "page.html")
    chromium.open(tmp_path / "page.html", bypassCSP=not guarded)
    chromium("evaluate", "document.querySelectorAll('details').forEach((one) => { one.open = true; })")
    chromium("fill", "[name=text]", probe[:100].replace("\0", ""))
    chromium("click", "#filters button[type=reset]")
    until(chromium, "document.querySelector('#found').textContent === '2 images'")
    chromium("click", f"{TILES} >> nth=0")
    assert chromium("evaluate", "typeof hacked") == "undefined"
    assert chromium("evaluate", "document.scripts.length") == 2
    assert chromium("evaluate", "document.querySelectorAll('iframe, object, embed, base, style ~ style').length") == 0
    attributes = "[...document.querySelectorAll('*')].flatMap((one) => one.getAttributeNames())"
    assert not [name for name in chromium("evaluate", attributes) if name.startswith("on") or name == "autofocus"]
    links = chromium("evaluate", "[...document.links].map((one) => one.getAttribute('href'))")
    assert all(link.startswith(("#", "https://example.org/", "http://", "https://")) for link in links)
    facts = chromium("evaluate", "[...document.querySelectorAll('#details dd')].map((one) => one.textContent)")
    facts = [fact.replace(", ", ",") for fact in facts]  # flags are listed
    assert facts.count(probe) == len(a_row(0).values()) - len(NUMBERS) - len(("file_name", "sha256", "title", "format"))
    assert chromium("evaluate", "document.querySelector('#details-title').textContent") == probe
    # a parser may drop a NUL and change line ends in the page's own markup
    written = probe.replace("\0", "")
    seen = chromium("evaluate", "[...document.querySelectorAll('main bdi, header bdi')].map((one) => one.textContent)")
    assert seen.count(written) >= 12
    check_no_side_effects(chromium, tmp_path / "page.html")


def test_images_are_chosen_and_saved_as_a_file_that_the_import_reads(chromium: Browser, page: Path) -> None:
    """Whoever cannot run a server sends back a file; a reload must not lose what it will hold."""
    chromium.open(page)
    chromium("evaluate", "URL.createObjectURL = (blob) => { saved = blob; return 'data:,'; }, 0")
    press(chromium, "x")  # choosing is not switched on
    chromium("click", "[data-choose]")
    chromium("click", f"{TILES} >> nth=3")
    chromium("click", f"{TILES} >> nth=5", {"modifiers": ["Shift"]})
    press(chromium, "x", "ArrowRight", "x", "u", "ArrowRight")
    chromium("fill", "#relabel input", 'red, "panda"')
    press(chromium, "Enter")
    chromium("click", "#dropped [data-verdict=left]")
    chromium("reload")
    chromium("click", "[data-choose]")
    assert text(chromium, "#chosen") == "3 out, 1 relabelled"
    assert text(chromium, ".tag") == 'red, "panda"'
    chromium("evaluate", "URL.createObjectURL = (blob) => { saved = blob; return 'data:,'; }, 0")
    chromium("fill", "#by", "Ada")
    chromium("click", "#save")
    lines = io.StringIO(chromium("evaluate", "saved.text()"), newline="")
    found = [
        (each.kind.value, int(each.sha256, 16), each.label, each.by) for each in decision_csv.read(lines, "d", "f")
    ]
    assert found == [*(("exclude", number, "", "Ada") for number in (3, 4, 5)), ("relabel", 7, 'red, "panda"', "Ada")]
    assert chromium("judged") == []
    chromium("evaluate", "localStorage.clear()")
