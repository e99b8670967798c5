"""The addresses of host names: each name is looked up once for all fetches that wait for it."""

import asyncio
import socket
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from types import TracebackType
from typing import Protocol, Self

from attrs import frozen

from pixcore_adapters.downloader.fetch.address import is_public_host
from pixcore_adapters.downloader.fetch.failures import AddressRefused

_SECONDS = 10.0  # for which a lookup counts; long-lived connections outlast it
_MOST = 10_000  # remembered names


class Resolver(Protocol):
    """Looks names up."""

    async def resolve(self, host: str, port: int) -> Sequence[str]:
        """Return the addresses of a host name, as text, in the order in which they are to be tried.

        Raises:
            OSError: It has none; ``socket.gaierror`` with ``EAI_NONAME`` if there is no such name.
            ValueError: No name can be spelled like this.
        """
        ...


class SystemResolver:
    """The system's resolver, in as many threads as fetches, so that a dead name server delays no other lookup."""

    def __init__(self, threads: int) -> None:
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="pixcore-resolver")

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Wait for the threads. A lookup cannot be interrupted, but the system limits its time."""
        await asyncio.to_thread(self._threads.shutdown, cancel_futures=True)

    async def resolve(self, host: str, port: int) -> Sequence[str]:
        """See ``Resolver``."""
        lookup = partial(socket.getaddrinfo, host, port, 0, socket.SOCK_STREAM, flags=socket.AI_ADDRCONFIG)
        found = await asyncio.get_running_loop().run_in_executor(self._threads, lookup)
        return [str(address[0]) for *_, address in found]


@frozen
class _Lookup:
    task: asyncio.Task[Sequence[str] | Exception]
    expires: float


class Names:
    """The results of a resolver, shared by concurrent fetches, for ten seconds. Failures are not remembered."""

    def __init__(self, resolver: Resolver) -> None:
        self._resolver = resolver
        self._lookups: dict[tuple[str, int], _Lookup] = {}

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        tasks = [lookup.task for lookup in self._lookups.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def addresses(self, host: str, port: int, seconds: float, *, public: bool) -> Sequence[str]:
        """Return the addresses of a host name, whose last dot is ignored; with ``public`` only those that are public.

        Raises:
            AddressRefused: None of its addresses is public.
            TimeoutError: The lookup takes longer than ``seconds``.
            OSError, ValueError: As for ``Resolver.resolve``.
        """
        found = await self._found(host.removesuffix("."), port, seconds)
        if not public:
            return found
        usable = [address for address in found if is_public_host(address)]
        if not usable:
            raise AddressRefused(", ".join(found) or host, host, port)
        return usable

    async def _found(self, host: str, port: int, seconds: float) -> Sequence[str]:
        now = asyncio.get_running_loop().time()
        lookup = self._lookups.get((host, port))
        if lookup is None or lookup.expires <= now:
            if len(self._lookups) >= _MOST:
                self._lookups = {key: known for key, known in self._lookups.items() if known.expires > now}
            lookup = _Lookup(asyncio.create_task(self._resolve(host, port)), now + _SECONDS)
            self._lookups[host, port] = lookup
        if not lookup.task.done():
            async with asyncio.timeout(seconds):
                await asyncio.shield(lookup.task)  # when one caller is cancelled, the others still wait
        found = lookup.task.result()
        if isinstance(found, Exception):
            raise found
        return found

    async def _resolve(self, host: str, port: int) -> Sequence[str] | Exception:
        try:
            return await self._resolver.resolve(host, port)
        except (OSError, ValueError) as failed:  # ValueError: the name is none that IDNA knows
            self._lookups.pop((host, port), None)
            return failed
