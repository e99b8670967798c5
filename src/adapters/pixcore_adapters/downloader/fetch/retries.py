"""Attempts at a fetch: as many as the policy allows, as far apart as the server asks."""

from collections.abc import Awaitable, Callable
from typing import TypeVar

from attrs import frozen
from tenacity import AsyncRetrying, RetryCallState, retry_if_exception, stop_after_attempt

from pixcore.chunk.retry import RetryPolicy
from pixcore_adapters.downloader.fetch.failures import FetchFailed
from pixcore_adapters.downloader.fetch.pace import MAX_WAIT

T = TypeVar("T")


@frozen
class Retries:
    """Retries within a policy. They wait as long as the server requests, but at most ``MAX_WAIT`` seconds."""

    policy: RetryPolicy
    sleep: Callable[[float], Awaitable[None]]

    async def __call__(self, attempt: Callable[[], Awaitable[T]]) -> T:
        """Return what the first successful attempt returns.

        Raises:
            FetchFailed: The last attempt failed, or none may help.
        """
        try:
            return await attempt()  # without tenacity, whose overhead is a fifth of a successful fetch
        except FetchFailed as failed:
            first = iter([failed])
        exhausted = stop_after_attempt(self.policy.attempts)
        retrying = AsyncRetrying(
            retry=retry_if_exception(lambda error: isinstance(error, FetchFailed) and not error.missed.permanent),
            stop=lambda state: exhausted(state) or _requested_wait(state) > MAX_WAIT,
            wait=lambda state: _requested_wait(state) or self.policy.wait(state.attempt_number),
            sleep=self.sleep,
            reraise=True,
        )

        async def again() -> T:
            for failed in first:
                raise failed
            return await attempt()

        return await retrying(again)


def _requested_wait(state: RetryCallState) -> float:
    error = state.outcome.exception() if state.outcome else None
    return (error.retry_after or 0.0) if isinstance(error, FetchFailed) else 0.0
