"""How often and how patiently a step is tried again: a value, and its one binding to tenacity."""

import random
from collections.abc import Callable

from attrs import field, frozen
from attrs.validators import ge
from tenacity import RetryCallState, Retrying, retry_if_exception_type, stop_after_attempt

from pixcore.errors import TransientError


@frozen
class RetryPolicy:
    """At most ``attempts`` tries; between them an exponential wait with jitter, in seconds.

    The wait after failure ``n`` is ``first * 2 ** (n - 1)``, at most ``longest``, plus up to ``jitter``, so that
    workers that failed together do not come back together.
    """

    attempts: int = field(validator=ge(1))
    first: float = 1.0
    longest: float = 30.0
    jitter: float = 1.0

    def wait(self, failures: int) -> float:
        """Seconds to wait after that many failures, at least 1."""
        doublings = min(failures - 1, 63)  # beyond, the float overflows long after `longest` has won
        return min(self.first * 2.0**doublings, self.longest) + random.uniform(0, self.jitter)  # noqa: S311 - no secret


@frozen
class Policies:
    """The policies of a chunk. ``chunk`` spaces whole attempts; its budget is kept by the status repo."""

    download: RetryPolicy = RetryPolicy(attempts=3)
    compress: RetryPolicy = RetryPolicy(attempts=2)
    upload: RetryPolicy = RetryPolicy(attempts=5)
    status: RetryPolicy = RetryPolicy(attempts=5, first=0.2, longest=5.0, jitter=0.2)
    chunk: RetryPolicy = RetryPolicy(attempts=3, first=5.0, longest=300.0, jitter=5.0)


def _untold(_failures: int, _seconds: float, _error: BaseException) -> None:
    pass


def retrying(
    policy: RetryPolicy,
    sleep: Callable[[float], None],
    tell: Callable[[int, float, BaseException], None] = _untold,
) -> Retrying:
    """Tenacity's loop over ``policy``: only a TransientError is tried again, the last one is raised as it is.

    ``tell(failures, seconds, error)`` is called before each wait.
    """

    def before_sleep(state: RetryCallState) -> None:
        error = state.outcome.exception() if state.outcome else None
        if error:
            tell(state.attempt_number, state.upcoming_sleep, error)

    return Retrying(
        retry=retry_if_exception_type(TransientError),
        stop=stop_after_attempt(policy.attempts),
        wait=lambda state: policy.wait(state.attempt_number),
        sleep=sleep,
        before_sleep=before_sleep,
        reraise=True,
    )
