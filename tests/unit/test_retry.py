"""A step has the tries of its policy, only for transient errors, with waits that differ between workers."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pixcore.chunk.retry import Policies, RetryPolicy, retrying
from pixcore.errors import ClaimLost, InvalidRequest, StoreUnavailable, TransientError

seconds = st.floats(0, 1000)


class Step:
    """Raises the given errors in turn, then returns "done"; counts the tries."""

    def __init__(self, *errors: BaseException) -> None:
        self.errors = list(errors)
        self.tries = 0

    def __call__(self) -> str:
        """Make one try."""
        self.tries += 1
        if self.errors:
            raise self.errors.pop(0)
        return "done"


@given(st.integers(1, 8), st.integers(0, 10))
def test_a_step_has_the_tries_of_its_policy_and_raises_the_last_error_itself(attempts: int, faults: int) -> None:
    """A wrapped error would hide from the pipeline whether it is transient."""
    errors = [StoreUnavailable(str(n)) for n in range(faults)]
    step, slept = Step(*errors), list[float]()
    again = retrying(RetryPolicy(attempts), slept.append)
    if faults < attempts:
        assert again(step) == "done"
        assert step.tries == faults + 1
    else:
        with pytest.raises(StoreUnavailable) as raised:
            again(step)
        assert raised.value is errors[attempts - 1]
        assert step.tries == attempts
    assert len(slept) == step.tries - 1


@pytest.mark.parametrize("final", [InvalidRequest("no"), ClaimLost("gone"), RuntimeError("bug"), KeyboardInterrupt()])
def test_an_error_that_is_not_transient_is_not_retried(final: BaseException) -> None:
    """Another try cannot succeed; an interrupt or a runner's time limit must pass through as well."""
    step = Step(TransientError("once"), final)
    with pytest.raises(type(final)) as raised:
        retrying(RetryPolicy(9), lambda _: None)(step)
    assert raised.value is final
    assert step.tries == 2


def test_each_wait_is_reported_before_it_begins() -> None:
    """A user must see why nothing happens, and for how long."""
    events: list[object] = []
    errors = [StoreUnavailable("a"), StoreUnavailable("b"), StoreUnavailable("c")]
    again = retrying(
        RetryPolicy(3, first=2.0, jitter=0.0), events.append, lambda n, wait, error: events.append((n, wait, error))
    )
    with pytest.raises(StoreUnavailable, match="c"):
        again(Step(*errors))
    assert events == [(1, 2.0, errors[0]), 2.0, (2, 4.0, errors[1]), 4.0]


@given(st.integers(1, 10_000), seconds, seconds, seconds)
def test_a_wait_doubles_up_to_the_longest_and_jitter_comes_on_top(
    failures: int, first: float, longest: float, jitter: float
) -> None:
    """Growing waits spare an overloaded server, the bound limits the delay of a chunk, and no number may overflow."""
    base = min(first * 2.0 ** min(failures - 1, 63), longest)
    assert base <= RetryPolicy(3, first, longest, jitter).wait(failures) <= base + jitter


def test_jitter_spreads_the_retries_of_workers() -> None:
    """Without jitter a thousand workers would retry in the same second."""
    policy = RetryPolicy(3)
    assert len({policy.wait(1) for _ in range(20)}) > 1


def test_the_default_tries_are_those_documented() -> None:
    """Operators rely on 3 tries of a download, 2 of compressing and 5 of an upload."""
    policies = Policies()
    assert [policies.download.attempts, policies.compress.attempts, policies.upload.attempts] == [3, 2, 5]


def test_a_policy_allows_at_least_one_try() -> None:
    """A policy without a try would end every chunk without an error to report."""
    with pytest.raises(ValueError, match="attempts"):
        RetryPolicy(0)
