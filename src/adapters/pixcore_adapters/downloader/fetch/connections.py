"""The ways out, and the guard over them: nothing connects to an address that was not checked.

Names are looked up here, once a connection; what is not public is dropped from the answer, and the socket itself
refuses again whatever it is about to be connected to. Only hosts that the policy names, and proxies, pass unguarded.
"""

import asyncio
import os
import socket
import ssl
from base64 import b64encode
from collections.abc import AsyncGenerator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, asynccontextmanager
from functools import lru_cache, partial
from ipaddress import ip_address
from types import TracebackType
from typing import Self
from urllib.parse import unquote
from urllib.request import getproxies, proxy_bypass

import aiohttp
from aiohappyeyeballs import AddrInfoType
from aiohttp.abc import AbstractResolver, ResolveResult
from attrs import field, frozen
from yarl import URL

from pixcore.errors import InvalidRequest
from pixcore_adapters.downloader.fetch.address import is_numeric, is_public, is_public_host
from pixcore_adapters.downloader.fetch.failures import AddressRefused
from pixcore_adapters.downloader.fetch.policy import FetchPolicy

_PROXIED = frozenset({"http", "https", "all"})
_IDLE_SECONDS = 2.0  # longer, and a list of many hosts would run out of file handles


class ThreadedLookup(AbstractResolver):
    """The system's own look-up, in as many threads as there are fetches: one dead name server holds up no other."""

    def __init__(self, threads: int) -> None:
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="pixcore-lookup")

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """Look the name up."""
        ask = partial(socket.getaddrinfo, host, port, family, socket.SOCK_STREAM, flags=socket.AI_ADDRCONFIG)
        found = await asyncio.get_running_loop().run_in_executor(self._threads, ask)
        return [
            ResolveResult(
                hostname=host,
                host=str(address[0]),
                port=port,
                family=kind,
                proto=protocol,
                flags=socket.AI_NUMERICHOST | socket.AI_NUMERICSERV,
            )
            for kind, _, protocol, _, address in found
        ]

    async def close(self) -> None:
        """Wait for the threads; a look-up cannot be interrupted, but the system limits its time."""
        await asyncio.to_thread(self._threads.shutdown, cancel_futures=True)


class PublicLookup(AbstractResolver):
    """Another look-up's answers, without the addresses that are not public."""

    def __init__(self, lookup: AbstractResolver) -> None:
        self._lookup = lookup

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """Look the name up.

        Raises:
            AddressRefused: None of its addresses is public.
        """
        found = await self._lookup.resolve(host, port, family)
        public = [result for result in found if is_public_host(result["host"])]
        if not public:
            raise AddressRefused(f"no address of {host} is public")
        return public

    async def close(self) -> None:
        """Nothing to do: whoever made the other look-up closes it."""


def public_socket(about: AddrInfoType) -> socket.socket:
    """Make the socket for a connection: the last gate, whatever was resolved, cached or redirected before.

    Raises:
        AddressRefused: The address is not public.
    """
    family, kind, protocol, _, address = about
    if not is_public(ip_address(address[0])):
        raise AddressRefused(f"{address[0]}")
    return socket.socket(family, kind, protocol)


@frozen
class _Proxy:
    url: URL
    authorization: Mapping[str, str] = field(repr=False)

    @classmethod
    def read(cls, text: str) -> Self:
        try:
            url = URL(text if "://" in text else f"http://{text}")
        except ValueError as exc:
            raise InvalidRequest("the proxy that the environment names is no URL") from exc
        if url.scheme not in {"http", "https"} or not url.raw_host:
            raise InvalidRequest(f"a proxy of the kind {url.scheme!r} cannot be used; name one for http or https")
        if url.raw_user is None:
            return cls(url, {})
        words = f"{unquote(url.raw_user)}:{unquote(url.raw_password or '')}"
        return cls(url.with_user(None), {"Proxy-Authorization": f"Basic {b64encode(words.encode()).decode()}"})


@lru_cache(maxsize=1)
def _system_certificates(_file: str | None, _folder: str | None) -> ssl.SSLContext:
    """What OpenSSL finds by itself and by these two variables; to read it takes as long as a hundred fetches."""
    return ssl.create_default_context()


class Connections:
    """Two pools of kept-alive connections, the guarded and the trusted one, with one TLS context and no cookies."""

    def __init__(self, policy: FetchPolicy, lookup: AbstractResolver | None, tls: ssl.SSLContext | None) -> None:
        self._policy = policy
        self._given_lookup = lookup
        self._given_tls = tls
        named = getproxies() if policy.proxy_from_environment else {}
        self._proxies = {scheme: _Proxy.read(text) for scheme, text in named.items() if scheme in _PROXIED}
        self._closing = AsyncExitStack()

    async def __aenter__(self) -> Self:
        lookup = self._given_lookup
        if lookup is None:
            lookup = ThreadedLookup(self._policy.in_flight)
            self._closing.push_async_callback(lookup.close)
        self._public_lookup = PublicLookup(lookup)
        self._guarded = await self._session(
            aiohttp.TCPConnector(
                limit=0,
                keepalive_timeout=_IDLE_SECONDS,
                resolver=self._public_lookup,
                socket_factory=public_socket,
            )
        )
        self._trusted = await self._session(
            aiohttp.TCPConnector(limit=0, keepalive_timeout=_IDLE_SECONDS, resolver=lookup)
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._closing.__aexit__(kind, error, trace)

    async def _session(self, connector: aiohttp.TCPConnector) -> aiohttp.ClientSession:
        return await self._closing.enter_async_context(
            aiohttp.ClientSession(
                connector=connector,
                cookie_jar=aiohttp.DummyCookieJar(),
                auto_decompress=False,  # body.py does it, under the byte cap
                timeout=aiohttp.ClientTimeout(total=None, sock_connect=None),  # the fetcher's deadline rules
                headers={"User-Agent": self._policy.user_agent, "Accept": "*/*", "Accept-Encoding": "identity"},
            )
        )

    @asynccontextmanager
    async def get(self, url: URL) -> AsyncGenerator[aiohttp.ClientResponse]:
        """Ask for a URL and give the answer's head; the body is still to be read. Follows no redirect."""
        proxy = self._proxy(url)
        session = self._trusted
        if not self._is_private_by_choice(url):
            await self._refuse_what_is_not_public(url, behind_proxy=proxy is not None)
            session = self._trusted if proxy else self._guarded
        # for https the proxy's password belongs into the request for a tunnel, not into the one that goes through it
        words = proxy.authorization if proxy else {}
        async with session.get(
            url,
            allow_redirects=False,
            proxy=proxy.url if proxy else None,
            proxy_headers=words if url.scheme == "https" else None,
            headers=words if url.scheme == "http" else None,
            ssl=self._tls(url, proxy),
        ) as response:
            yield response

    def _tls(self, url: URL, proxy: _Proxy | None) -> ssl.SSLContext | bool:
        """The authorities to trust; read only when there is somebody to be vouched for."""
        if "https" not in {url.scheme, proxy and proxy.url.scheme}:
            return True
        return self._given_tls or _system_certificates(os.environ.get("SSL_CERT_FILE"), os.environ.get("SSL_CERT_DIR"))

    def _is_private_by_choice(self, url: URL) -> bool:
        host = (url.host_subcomponent or "").lower()
        return not self._policy.private_hosts.isdisjoint({host, f"{host}:{url.port}"})

    async def _refuse_what_is_not_public(self, url: URL, *, behind_proxy: bool) -> None:
        host = url.raw_host or ""
        if is_numeric(host):
            if not is_public_host(host):
                raise AddressRefused(host)
        elif behind_proxy:
            await self._public_lookup.resolve(host, url.port or 0)

    def _proxy(self, url: URL) -> _Proxy | None:
        proxy = self._proxies.get(url.scheme) or self._proxies.get("all")
        return None if proxy is None or proxy_bypass(url.raw_host or "") else proxy
