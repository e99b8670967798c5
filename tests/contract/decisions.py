"""The contract of every ``Decisions``: tests of the promises in ``pixcore.ports.decisions``."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest
from attrs import evolve

from pixcore.model.decisions import Decision, DecisionKind
from pixcore.ports import Decisions

from .status_repo import Clock, eager_threads

NOON = datetime(2026, 5, 4, 12, tzinfo=UTC)


def decision(
    number: int = 0, kind: DecisionKind = DecisionKind.EXCLUDE, later: int = 0, *, by: str = "ann", dataset: str = "d"
) -> Decision:
    """Build a decision about image ``number``, ``later`` seconds after noon."""
    label = "猫" if kind is DecisionKind.RELABEL else ""
    at = NOON + timedelta(seconds=later)
    return Decision(dataset, kind, f"{number:064x}", label=label, by=by, reason="a 'watermark', 5 %", at=at)


def near(number: int = 0) -> Decision:
    """Build an exclusion that is meant for near copies, with hashes whose highest bit is set."""
    return evolve(decision(number), near=True, phash="ffffffffffffffff", dhash="8000000000000001")


class DecisionsContract:
    """A subclass provides an empty ``decisions`` whose time is ``clock``."""

    @pytest.fixture
    def clock(self) -> Clock:
        """Return a clock that advances only by ``advance``."""
        return Clock()

    @pytest.fixture
    def decisions(self, clock: Clock) -> Decisions:
        """Return an empty ``Decisions``."""
        raise NotImplementedError

    def test_what_is_recorded_is_read_again(self, decisions: Decisions) -> None:
        """Every value comes back as it was, of this dataset alone, ordered by the images."""
        given = [decision(2, DecisionKind.RELABEL), near(2), decision(1, DecisionKind.INCLUDE, later=-(10**9))]
        assert decisions.record([*given, decision(3, dataset="other")]) == 4
        assert list(decisions.read("d")) == [given[2], given[1], given[0]]
        assert list(decisions.read("none")) == []

    def test_recording_again_changes_nothing(self, decisions: Decisions) -> None:
        """A team imports the same file each day; the count says that nothing is new."""
        given = [decision(1), decision(1, DecisionKind.RELABEL)]
        assert decisions.record(given) == 2
        assert decisions.record(given) == 0
        assert decisions.record([]) == 0
        assert list(decisions.read("d")) == given

    @pytest.mark.parametrize("later", [0, 1])
    def test_exclude_and_include_take_each_other_back(self, decisions: Decisions, later: int) -> None:
        """The later one counts, and of two in one second the one recorded later; the label is another matter."""
        label = decision(kind=DecisionKind.RELABEL)
        decisions.record([near(), label])
        included = decision(kind=DecisionKind.INCLUDE, later=later)
        assert decisions.record([included]) == 1
        assert list(decisions.read("d")) == [included, label]
        again = decision(later=later, by="bob")
        assert decisions.record([again]) == 1
        assert list(decisions.read("d")) == [again, label]

    def test_an_older_decision_changes_nothing(self, decisions: Decisions) -> None:
        """A file that a colleague exported last week must not overrule what was decided since."""
        now = [decision(1, DecisionKind.INCLUDE, later=9), decision(1, DecisionKind.RELABEL, later=9)]
        decisions.record(now)
        assert decisions.record([decision(1, later=8), evolve(now[1], label="dog", at=NOON)]) == 0
        assert list(decisions.read("d")) == now

    def test_only_the_last_of_one_call_counts(self, decisions: Decisions) -> None:
        """One call may decide twice about an image, as when a page saves what a person changed their mind about."""
        decisions.record([decision(1), decision(1, DecisionKind.INCLUDE), decision(1, by="bob"), decision(1, later=-1)])
        assert list(decisions.read("d")) == [decision(1, by="bob")]

    def test_taking_back_removes_exactly_that_decision(self, decisions: Decisions) -> None:
        """An undo must not remove what another person has decided since; a repetition is a no-op."""
        mine, label = decision(1), decision(1, DecisionKind.RELABEL)
        decisions.record([mine, label, decision(2)])
        assert decisions.take_back([mine, label, evolve(decision(2), reason="")]) == 2
        assert decisions.take_back([mine, label]) == 0
        assert list(decisions.read("d")) == [decision(2)]
        assert decisions.record([mine]) == 1

    def test_many_decisions_are_read_in_order(self, decisions: Decisions) -> None:
        """Pages overlap nowhere and lack nothing, although two decisions about one image may be on two pages."""
        kinds = (DecisionKind.EXCLUDE, DecisionKind.RELABEL)
        given = [decision(number, kind) for number in range(1001) for kind in kinds][1:]
        assert decisions.record(reversed(given)) == len(given)
        assert list(decisions.read("d")) == given

    def test_several_at_once_lose_nothing(self, decisions: Decisions) -> None:
        """Four people decide at the same time, each about own images and all about one; the latest of these counts."""

        def decide(person: int) -> None:
            meet.wait()
            own = [decision(number, by=f"{person}") for number in range(10 * person, 10 * person + 10)]
            for each in own if person % 2 else reversed(own):
                decisions.record([each, decision(999, later=person, by=f"{person}")])

        with eager_threads(4) as meet, ThreadPoolExecutor(4) as threads:
            list(threads.map(decide, range(4)))
        found = list(decisions.read("d"))
        assert [each.sha256 for each in found] == [f"{number:064x}" for number in (*range(40), 999)]
        assert found[-1] == decision(999, later=3, by="3")

    def test_the_time_is_that_of_the_database(self, decisions: Decisions, clock: Clock) -> None:
        """People with wrong clocks still outdate each other in the order in which they decide; seconds are whole."""
        clock.advance(1.75)
        assert decisions.now() == datetime.fromtimestamp(1_700_000_001, UTC)
