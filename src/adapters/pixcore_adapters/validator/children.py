"""Several child processes of one kind that share the work of one caller, whose results stay in order."""

import os
import weakref
from collections import deque
from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import suppress
from functools import partial
from threading import get_ident
from typing import Any, Generic, TypeVar

from pixcore.errors import InvalidRequest, TransientError
from pixcore_adapters.validator.decoder import Child
from pixcore_adapters.validator.picture import Refusal

_LEAST_MEMORY = 256 << 20
_AHEAD = 2  # items for each child: one that it works on, and the next one

_Item = TypeVar("_Item")
_Request = TypeVar("_Request")
_Answer = TypeVar("_Answer")


class Children(Generic[_Request, _Answer]):
    """Child processes, ``workers`` of them for each call of ``answers``.

    Children are started when first needed and kept for later calls until ``close``, or until the end of this object or
    process, also by SIGKILL. Several threads may use it at once. After a fork, the new process starts its own.

    Args:
        new: Makes a child, which does not run yet.
        seconds: How long one request may take.
        memory: How many bytes of data a child may hold, about 60 MB of its own included.
        workers: How many children a call has. None: one for each core.

    Raises:
        InvalidRequest: With these values no child can work.
    """

    def __init__(
        self,
        new: Callable[[float, int], Child[_Request, _Answer]],
        *,
        seconds: float,
        memory: int,
        workers: int | None,
    ) -> None:
        if workers is None:
            workers = os.cpu_count() or 1
        if workers < 1 or seconds <= 0 or memory < _LEAST_MEMORY:
            raise InvalidRequest(
                f"{workers} child processes with {seconds:g} seconds an image and {memory} bytes of memory each cannot"
                f" work; take at least 1 process, more than 0 seconds and {_LEAST_MEMORY} bytes"
            )
        self._workers = workers
        self._new = partial(new, seconds, memory)
        self._idle: list[Child[_Request, _Answer]] = []
        self.all: list[Child[_Request, _Answer]] = []
        self._busy: dict[int, list[Child[_Request, _Answer]]] = {}  # those of the running call, by the thread's number
        weakref.finalize(self, _close, self.all)
        _POOLS.add(self)

    def close(self) -> None:
        """End the children. Idempotent. A later call of ``answers`` starts others. Not during such a call."""
        _close(self.all)

    def start(self) -> None:
        """Start the first child now, so that it imports its libraries while this process does something else.

        Start only one: more would take the cores from this process. If it cannot be started, a later call raises.
        """
        first = self._lent()
        self._idle.append(first)
        with suppress(TransientError):
            first.start()

    def answers(
        self, items: Iterable[_Item], request: Callable[[_Item], _Request]
    ) -> Generator[tuple[_Item, _Answer | Refusal]]:
        """Yield each item with the answer to its request, in order. Draw ahead at most two items for each child.

        How far it draws depends on ``workers`` alone, not on time: the same items end in the same answers.

        Raises:
            TransientError: No child can be started, which says nothing about any item.
            Exception: Whatever ``items`` raises, at once; answers that are still missing are dropped.
        """
        ahead: deque[tuple[_Item, Child[_Request, _Answer]]] = deque()
        thread = get_ident()
        children = self._busy[thread] = [self._lent() for _ in range(self._workers)]
        try:
            for item in items:
                # min would ask even a single child for its load, which is a system call
                child = children[0] if len(children) == 1 else min(children, key=lambda child: child.load())
                ahead.append((item, child))
                child.give(request(item))
                if len(ahead) >= _AHEAD * len(children):
                    earliest, child = ahead.popleft()
                    yield earliest, child.take()
            while ahead:
                earliest, child = ahead.popleft()
                yield earliest, child.take()
        finally:
            self._busy.pop(thread, None)
            for child in children:
                child.settle()
            self._idle += children

    def ask(self, request: _Request) -> _Answer | Refusal:
        """Return the answer to one request now, also while this thread is in the middle of ``answers``.

        Raises:
            TransientError: No child can be started.
        """
        if busy := self._busy.get(get_ident()):
            return min(busy, key=lambda child: child.load()).ask(request)
        child = self._lent()
        try:
            return child.ask(request)
        finally:
            child.settle()
            self._idle.append(child)

    def _lent(self) -> Child[_Request, _Answer]:
        try:
            return self._idle.pop()
        except IndexError:
            self.all.append(self._new())
            return self.all[-1]

    def forget(self) -> None:
        """Release, in a forked process, the children of the parent process."""
        for child in self.all:
            child.forget()
        self._busy.clear()
        self._idle = list(self.all)


def _close(children: Sequence[Child[_Request, _Answer]]) -> None:
    for child in children:
        child.close()


_POOLS: "weakref.WeakSet[Children[Any, Any]]" = weakref.WeakSet()


def _after_fork() -> None:
    for pool in _POOLS:
        pool.forget()


os.register_at_fork(after_in_child=_after_fork)
