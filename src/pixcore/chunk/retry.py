"""How often a step is tried and how long it waits between tries; the only module that configures tenacity."""

import random
from collections.abc import Callable

from attrs import field, frozen
from attrs.validators import ge
from tenacity import RetryCallState, Retrying, retry_if_exception_type, stop_after_attempt

from pixcore.errors import TransientError


@frozen
class RetryPolicy:
    """At most ``attempts`` tries, with an exponential wait in seconds between them.

    The wait after failure ``n`` is ``first * 2 ** (n - 1)``, at most ``longest``, plus a random part of up to
    ``jitter``, so that workers that failed together do not retry together.
    """

    attempts: int = field(validator=ge(1))
    first: float = 1.0
    longest: float = 30.0
    jitter: float = 1.0

    def wait(self, failures: int) -> float:
        """Return the seconds to wait after a number of failures, at least 1."""
        doublings = min(failures - 1, 63)  # more could overflow the float, and `longest` limits the wait long before
        return min(self.first * 2.0**doublings, self.longest) + random.uniform(0, self.jitter)  # noqa: S311 - no secret


@frozen
class Policies:
    """The policies of a chunk. ``chunk`` gives the wait between attempts; the StatusRepo limits their number."""

    download: RetryPolicy = RetryPolicy(attempts=3)
    compress: RetryPolicy = RetryPolicy(attempts=2)
    upload: RetryPolicy = RetryPolicy(attempts=5)
    status: RetryPolicy = RetryPolicy(attempts=5, first=0.2, longest=5.0, jitter=0.2)
    chunk: RetryPolicy = RetryPolicy(attempts=3, first=5.0, longest=300.0, jitter=5.0)


def _no_report(_failures: int, _seconds: float, _error: BaseException) -> None:
    pass


def retrying(
    policy: RetryPolicy,
    sleep: Callable[[float], None],
    report: Callable[[int, float, BaseException], None] = _no_report,
) -> Retrying:
    """Return tenacity's retry loop for ``policy``. Only a TransientError is retried; the last one is raised as it is.

    ``report(failures, seconds, error)`` is called before each wait.
    """

    def before_sleep(state: RetryCallState) -> None:
        error = state.outcome.exception() if state.outcome else None
        if error:
            report(state.attempt_number, state.upcoming_sleep, error)

    return Retrying(
        retry=retry_if_exception_type(TransientError),
        stop=stop_after_attempt(policy.attempts),
        wait=lambda state: policy.wait(state.attempt_number),
        sleep=sleep,
        before_sleep=before_sleep,
        reraise=True,
    )
