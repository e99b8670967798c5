"""Decisions go from one database to another as CSV, so that a team can keep them under version control."""

from datetime import UTC, datetime, timedelta
from io import StringIO
from typing import Any

import pytest
from contract.decisions import decision, near
from hypothesis import given, settings
from hypothesis import strategies as st

from pixcore import Decided, Decision, DecisionKind, Fingerprint, InvalidRequest
from pixcore.stored import decision_csv
from pixcore_adapters.memory import MemoryDecisions

NOON = datetime(2026, 5, 4, 12, tzinfo=UTC)
SUMS = [f"{number:064x}" for number in range(3)]  # few, so that decisions meet

# any text but control characters and surrogates
TEXTS = st.text(st.characters(exclude_categories=("Cc", "Cs")), max_size=12)
FILLED = TEXTS.filter(str.strip)
HASHES = st.integers(0, 2**64 - 1).map("{:016x}".format)


@st.composite
def decisions(draw: st.DrawFn) -> Decision:
    """Draw any decision about one of three images, at one of five seconds."""
    kind = draw(st.sampled_from(DecisionKind))
    values: dict[str, Any] = {"label": draw(FILLED)} if kind is DecisionKind.RELABEL else {}
    if kind is DecisionKind.EXCLUDE and draw(st.booleans()):
        values = {"near": True, "phash": draw(HASHES), "dhash": draw(HASHES)}
    at = NOON + timedelta(seconds=draw(st.integers(0, 4)))
    return Decision("d", kind, draw(st.sampled_from(SUMS)), by=draw(FILLED), reason=draw(TEXTS), at=at, **values)


def exported(source: MemoryDecisions, dataset: str = "d") -> str:
    """Return the decisions of a dataset as CSV."""
    file = StringIO(newline="")
    decision_csv.write(source.read(dataset), file)
    return file.getvalue()


def imported(text: str, dataset: str = "d") -> list[Decision]:
    """Read decisions from CSV."""
    return list(decision_csv.read(StringIO(text, newline=""), dataset, "decisions.csv"))


def effect(source: MemoryDecisions) -> list[tuple[str, bool, str]]:
    """Return what is decided about each image, and about one that only hashes can exclude."""
    decided = Decided.of(source.read("d"))
    prints = Fingerprint(0, 2**64 - 1, "", flat=False)
    return [
        (decided.exclusion(each, prints, None), decided.includes(each), decided.label(each))
        for each in [*SUMS, "f" * 64]
    ]


@settings(max_examples=40)
@given(st.lists(st.lists(decisions(), max_size=4), max_size=6), st.lists(decisions(), max_size=3))
def test_an_import_gives_the_same_effective_decisions(calls: list[list[Decision]], older: list[Decision]) -> None:
    """Whatever was decided in whatever order: the file gives another database the same, and again changes nothing."""
    here, other = MemoryDecisions(), MemoryDecisions()
    for each in calls:
        here.record(each)
    text = exported(here)
    other.record(imported(text))
    assert list(other.read("d")) == list(here.read("d"))
    assert effect(other) == effect(here)
    assert exported(other) == text
    assert other.record(imported(text)) == 0
    # merging a file with decisions that were made elsewhere gives what recording all of them gives
    here.record(older)
    elsewhere = MemoryDecisions()
    elsewhere.record(older)
    other.record(imported(exported(elsewhere)))
    assert exported(other) == exported(here)


def test_the_text_is_fixed() -> None:
    """Files of earlier versions stay readable, and a change of the format would show as a change of every line."""
    source = MemoryDecisions()
    source.record([near(1), decision(2, DecisionKind.RELABEL)])
    one, two = f"{1:064x}", f"{2:064x}"
    text = exported(source)
    assert text == (
        "kind,sha256,label,near,phash,dhash,by,reason,at\n"
        f"exclude,{one},,yes,ffffffffffffffff,8000000000000001,ann,\"a 'watermark', 5 %\",2026-05-04T12:00:00Z\n"
        f"relabel,{two},猫,,,,ann,\"a 'watermark', 5 %\",2026-05-04T12:00:00Z\n"
    )
    assert imported(text.replace("\n", "\r\n")) == list(source.read("d"))  # a spreadsheet's line ends
    assert [each.dataset for each in imported(text, "other")] == ["other", "other"]
    shuffled = "at,kind,sha256,label,near,phash,dhash,by,reason\n" + f"2026-05-04T12:00:00Z,include,{one},,,,,bob,\n"
    assert imported(shuffled)[0].by == "bob"


@pytest.mark.parametrize(
    ("broken", "message"),
    [
        (lambda _: "", "decisions.csv has the columns none; a file of decisions has kind, sha256"),
        (lambda text: text.replace("kind,", "kind,kind,"), "has the columns kind, kind, sha256"),
        (lambda text: text.replace(",reason", ""), "has the columns kind, sha256, label, near, phash, dhash, by, at"),
        (lambda text: text + "exclude\n", "decisions.csv, line 3: 1 values for 9 columns"),
        (
            lambda text: text.replace("exclude", "drop"),
            "line 2: the kind of a decision is one of exclude, include, relabel, not 'drop'",
        ),
        (lambda text: text.replace("yes", "true"), "line 2: near is 'true'"),
        (lambda text: text.replace("000001,,", "00000g,,"), "line 2: .*is no sha256"),
        (lambda text: text.replace("2026-05-04T", "4 May 2026 "), "line 2: the time '4 May 2026 12:00:00Z'"),
        (lambda text: text.replace("ann", '"ann'), "line 2: "),
    ],
)
def test_a_file_that_is_no_export_is_refused_by_line(broken: Any, message: str) -> None:  # noqa: ANN401 - a function
    """A person edits such files by hand and merges them; a fault must not be recorded as a decision."""
    source = MemoryDecisions()
    source.record([near(1)])
    with pytest.raises(InvalidRequest, match=message):
        imported(broken(exported(source)))
