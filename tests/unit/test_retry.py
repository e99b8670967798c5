"""A step is tried as often as its policy says, for the errors that may pass, and never in step with others."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pixcore.chunk.retry import Policies, RetryPolicy, retrying
from pixcore.errors import ClaimLost, InvalidRequest, StoreUnavailable, TransientError

seconds = st.floats(0, 1000)


class Step:
    """Raises the given errors in turn, then gives "done"; counts how often it was tried."""

    def __init__(self, *errors: BaseException) -> None:
        self.errors = list(errors)
        self.tries = 0

    def __call__(self) -> str:
        """Take one try."""
        self.tries += 1
        if self.errors:
            raise self.errors.pop(0)
        return "done"


@given(st.integers(1, 8), st.integers(0, 10))
def test_a_step_is_tried_as_often_as_allowed_and_the_last_error_is_raised_itself(attempts: int, faults: int) -> None:
    """A wrapped error would hide its branch of the tree from the pipeline."""
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
def test_what_cannot_pass_is_not_tried_again(final: BaseException) -> None:
    """Trying again cannot mend it; a runner's time limit must get through as well."""
    step = Step(TransientError("once"), final)
    with pytest.raises(type(final)) as raised:
        retrying(RetryPolicy(9), lambda _: None)(step)
    assert raised.value is final
    assert step.tries == 2


def test_each_wait_is_told_before_it_begins() -> None:
    """A person watching must see why nothing happens, and for how long."""
    said: list[object] = []
    errors = [StoreUnavailable("a"), StoreUnavailable("b"), StoreUnavailable("c")]
    again = retrying(
        RetryPolicy(3, first=2.0, jitter=0.0), said.append, lambda n, wait, error: said.append((n, wait, error))
    )
    with pytest.raises(StoreUnavailable, match="c"):
        again(Step(*errors))
    assert said == [(1, 2.0, errors[0]), 2.0, (2, 4.0, errors[1]), 4.0]


@given(st.integers(1, 10_000), seconds, seconds, seconds)
def test_a_wait_doubles_up_to_the_longest_and_jitter_comes_on_top(
    failures: int, first: float, longest: float, jitter: float
) -> None:
    """Growth spares a server in trouble, the bound keeps a chunk alive, and no number may overflow."""
    base = min(first * 2.0 ** min(failures - 1, 63), longest)
    assert base <= RetryPolicy(3, first, longest, jitter).wait(failures) <= base + jitter


def test_workers_that_failed_together_come_back_apart() -> None:
    """Without jitter a thousand workers hit the store in the same second again."""
    policy = RetryPolicy(3)
    assert len({policy.wait(1) for _ in range(20)}) > 1


def test_the_default_policies_are_those_promised() -> None:
    """Operators reckon with download 3, compress 2, upload 5."""
    policies = Policies()
    assert [policies.download.attempts, policies.compress.attempts, policies.upload.attempts] == [3, 2, 5]


def test_a_policy_allows_at_least_one_try() -> None:
    """No try at all would end every chunk without an error to show."""
    with pytest.raises(ValueError, match="attempts"):
        RetryPolicy(0)
