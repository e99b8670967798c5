"""Guarded connections: nothing connects to an address that was not checked.

A name is resolved once for each connection. Addresses that are not public are removed from the result, and the socket
factory checks the address again before it connects. Only the policy's private hosts and proxies are not checked.
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
_IDLE_SECONDS = 2.0  # a list of many hosts would run out of file handles if this were much longer


class ThreadedResolver(AbstractResolver):
    """The system's resolver, in as many threads as fetches, so that a dead name server delays no other lookup."""

    def __init__(self, threads: int) -> None:
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="pixcore-resolver")

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """Return the addresses of a host name."""
        getaddrinfo = partial(socket.getaddrinfo, host, port, family, socket.SOCK_STREAM, flags=socket.AI_ADDRCONFIG)
        found = await asyncio.get_running_loop().run_in_executor(self._threads, getaddrinfo)
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
        """Wait for the threads. A lookup cannot be interrupted, but the system limits its time."""
        await asyncio.to_thread(self._threads.shutdown, cancel_futures=True)


class PublicResolver(AbstractResolver):
    """Another resolver's results without the addresses that are not public."""

    def __init__(self, resolver: AbstractResolver) -> None:
        self._resolver = resolver

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """Return the public addresses of a host name.

        Raises:
            AddressRefused: None of its addresses is public.
        """
        found = await self._resolver.resolve(host, port, family)
        public = [result for result in found if is_public_host(result["host"])]
        if not public:
            raise AddressRefused(f"{host} has no public address")
        return public

    async def close(self) -> None:
        """Do nothing: the owner of the other resolver closes it."""


def public_socket(address_info: AddrInfoType) -> socket.socket:
    """Create the socket for a connection. This is the last check, after all caches and redirects.

    Raises:
        AddressRefused: The address is not public.
    """
    family, kind, protocol, _, address = address_info
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
            raise InvalidRequest(
                "the proxy in the environment is not a URL; correct http_proxy, https_proxy or all_proxy"
            ) from exc
        if url.scheme not in {"http", "https"} or not url.raw_host:
            raise InvalidRequest(
                f"proxies with the scheme {url.scheme!r} are not supported; set an http:// or https:// proxy"
            )
        if url.raw_user is None:
            return cls(url, {})
        credentials = f"{unquote(url.raw_user)}:{unquote(url.raw_password or '')}"
        return cls(url.with_user(None), {"Proxy-Authorization": f"Basic {b64encode(credentials.encode()).decode()}"})


@lru_cache(maxsize=1)
def _system_certificates(_file: str | None, _folder: str | None) -> ssl.SSLContext:
    """Return a context with the system's certificates. Cached: loading them takes as long as a hundred fetches.

    The parameters are the environment variables that OpenSSL reads, so that a change of them is noticed.
    """
    return ssl.create_default_context()


class Connections:
    """Two pools of keep-alive connections, one guarded and one trusted, with one TLS context and no cookies.

    The trusted pool serves the policy's private hosts and proxies.
    """

    def __init__(self, policy: FetchPolicy, resolver: AbstractResolver | None, tls: ssl.SSLContext | None) -> None:
        self._policy = policy
        self._given_resolver = resolver
        self._given_tls = tls
        named = getproxies() if policy.proxy_from_environment else {}
        self._proxies = {scheme: _Proxy.read(text) for scheme, text in named.items() if scheme in _PROXIED}
        self._closing = AsyncExitStack()

    async def __aenter__(self) -> Self:
        resolver = self._given_resolver
        if resolver is None:
            resolver = ThreadedResolver(self._policy.in_flight)
            self._closing.push_async_callback(resolver.close)
        self._public_resolver = PublicResolver(resolver)
        self._guarded = await self._session(
            aiohttp.TCPConnector(
                limit=0,
                keepalive_timeout=_IDLE_SECONDS,
                resolver=self._public_resolver,
                socket_factory=public_socket,
            )
        )
        self._trusted = await self._session(
            aiohttp.TCPConnector(limit=0, keepalive_timeout=_IDLE_SECONDS, resolver=resolver)
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
                auto_decompress=False,  # body.py decodes, and enforces the size limit
                timeout=aiohttp.ClientTimeout(total=None, sock_connect=None),  # the fetcher enforces its own deadline
                headers={"User-Agent": self._policy.user_agent, "Accept": "*/*", "Accept-Encoding": "identity"},
            )
        )

    @asynccontextmanager
    async def get(self, url: URL) -> AsyncGenerator[aiohttp.ClientResponse]:
        """Send a GET request and yield the response with its body unread. Follows no redirect."""
        proxy = self._proxy(url)
        session = self._trusted
        if not self._is_allowed_private(url):
            await self._check_public(url, behind_proxy=proxy is not None)
            session = self._trusted if proxy else self._guarded
        # for https, the proxy's credentials go into the CONNECT request, not into the request inside the tunnel
        authorization = proxy.authorization if proxy else {}
        async with session.get(
            url,
            allow_redirects=False,
            proxy=proxy.url if proxy else None,
            proxy_headers=authorization if url.scheme == "https" else None,
            headers=authorization if url.scheme == "http" else None,
            ssl=self._tls(url, proxy),
        ) as response:
            yield response

    def _tls(self, url: URL, proxy: _Proxy | None) -> ssl.SSLContext | bool:
        """Return the certificates to trust. They are loaded only if the URL or the proxy uses TLS."""
        if "https" not in {url.scheme, proxy and proxy.url.scheme}:
            return True
        return self._given_tls or _system_certificates(os.environ.get("SSL_CERT_FILE"), os.environ.get("SSL_CERT_DIR"))

    def _is_allowed_private(self, url: URL) -> bool:
        host = (url.host_subcomponent or "").lower()
        return not self._policy.private_hosts.isdisjoint({host, f"{host}:{url.port}"})

    async def _check_public(self, url: URL, *, behind_proxy: bool) -> None:
        host = url.raw_host or ""
        if is_numeric(host):
            if not is_public_host(host):
                raise AddressRefused(host)
        elif behind_proxy:
            await self._public_resolver.resolve(host, url.port or 0)

    def _proxy(self, url: URL) -> _Proxy | None:
        proxy = self._proxies.get(url.scheme) or self._proxies.get("all")
        return None if proxy is None or proxy_bypass(url.raw_host or "") else proxy
