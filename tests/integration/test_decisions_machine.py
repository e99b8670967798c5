"""Random sequences of calls: the decisions in memory and in databases must behave like a simple model."""

from pathlib import Path
from tempfile import TemporaryDirectory

import databases
from contract.decisions import decision, near
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test
from servers.addresses import Postgres
from sqlalchemy import Engine, delete

from pixcore.model.decisions import Decision, DecisionKind
from pixcore_adapters.decisions.memory import MemoryDecisions
from pixcore_adapters.status_repo import schema
from pixcore_adapters.status_repo.sql_decisions import SqlDecisions

KINDS = st.sampled_from(DecisionKind)
ONE = st.builds(decision, st.integers(0, 2), KINDS, st.integers(0, 3), by=st.sampled_from(["ann", "bob"]))
SOME = st.lists(st.one_of(ONE, st.builds(near, st.integers(0, 2))), max_size=3)


class DecisionsMachine(RuleBasedStateMachine):
    """Calls memory, a database and a dictionary alike."""

    def __init__(self, engine: Engine) -> None:
        super().__init__()
        with engine.connect() as connection:
            connection.execute(delete(schema.decisions))
        self.ports = [MemoryDecisions(), SqlDecisions(engine)]
        self.model: dict[tuple[str, str, bool], Decision] = {}

    @rule(given=SOME)
    def record(self, given: list[Decision]) -> None:
        """Record decisions, of which some are older than the stored ones."""
        changed = 0
        for each in given:
            stored = self.model.get(each.key)
            if stored is None or (stored != each and stored.at <= each.at):
                self.model[each.key] = each
                changed += 1
        assert [port.record(given) for port in self.ports] == [changed] * 2

    @rule(given=SOME)
    def take_back(self, given: list[Decision]) -> None:
        """Take decisions back, of which some are no longer stored like this."""
        before = len(self.model)
        self.model = {key: each for key, each in self.model.items() if each not in given}
        assert [port.take_back(given) for port in self.ports] == [before - len(self.model)] * 2

    @invariant()
    def the_same_is_read(self) -> None:
        """All hold what the model holds, in order."""
        expected = [each for _, each in sorted(self.model.items())]
        assert [list(port.read("d")) for port in self.ports] == [expected] * 2


def test_sqlite_behaves_like_the_model() -> None:
    """SQLite in a file and the decisions in memory must both give the model's answers."""
    with TemporaryDirectory() as folder, databases.sqlite(Path(folder)) as engine:
        run_state_machine_as_test(lambda: DecisionsMachine(engine), settings=_options(40))


def test_postgres_behaves_like_the_model(postgres: Postgres) -> None:
    """PostgreSQL must give the model's answers."""
    with databases.postgres(postgres) as engine:
        run_state_machine_as_test(lambda: DecisionsMachine(engine), settings=_options(15))


def _options(examples: int) -> settings:
    return settings(max_examples=examples, stateful_step_count=12, deadline=None)
