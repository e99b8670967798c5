"""Guarded connections: nothing connects to an address that was not checked.

A name is looked up before the request, and libcurl gets only its addresses that are public. The socket factory checks
the address again before it connects. Only the policy's private hosts and proxies are not checked.
"""

import asyncio
import os
import re
import ssl
from collections.abc import Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import unquote, urlencode
from urllib.request import getproxies, proxy_bypass

import pycurl
from attrs import field, frozen
from yarl import URL

from pixcore.errors import InvalidRequest
from pixcore.model.images import MissReason
from pixcore_adapters.downloader.fetch.address import is_numeric, is_public_host
from pixcore_adapters.downloader.fetch.failures import AddressRefused, FetchFailed
from pixcore_adapters.downloader.fetch.handle import Opened, Options, Request
from pixcore_adapters.downloader.fetch.pages import PageRequest
from pixcore_adapters.downloader.fetch.policy import FetchPolicy
from pixcore_adapters.downloader.fetch.resolving import Names, Resolver, SystemResolver
from pixcore_adapters.downloader.fetch.response import Response
from pixcore_adapters.downloader.fetch.transfers import Transfers
from pixcore_adapters.downloader.fetch.url import WebUrl

_BROTLI: Options = ((pycurl.ENCODING, "br"),)  # the header that the request states still asks for no encoding
_HEADERS = ("Accept: */*", "Accept-Encoding: identity")
_UNCHECKED: Options = ((pycurl.SSL_VERIFYPEER, 0), (pycurl.SSL_VERIFYHOST, 0))
_FIELD = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+: [\x20-\x7e]*")
_PROXIED = frozenset({"http", "https", "all"})


@frozen
class _Proxy:
    host: str
    port: int
    scheme: str
    options: Options = field(repr=False)

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
        options: Options = ((pycurl.PROXY, str(url.origin())), (pycurl.NOPROXY, ""))
        if url.raw_user is not None:
            options += (
                (pycurl.PROXYUSERNAME, unquote(url.raw_user)),
                (pycurl.PROXYPASSWORD, unquote(url.raw_password or "")),
            )
        return cls(url.raw_host, url.port or 0, url.scheme, options)


@frozen
class Own:
    """What one request sends beside the usual: headers, and a form for POST, already encoded."""

    headers: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    form: str | None = field(default=None, repr=False)

    @classmethod
    def of(cls, request: PageRequest | None) -> Self:
        """Return what the request for a page sends.

        Raises:
            FetchFailed: A header has a character that HTTP does not allow in headers.
        """
        if request is None:
            return cls()
        if not all(_FIELD.fullmatch(f"{name}: {value}") for name, value in request.headers.items()):
            raise FetchFailed(
                MissReason.NOT_A_URL, "a header has characters that cannot be sent; correct the credential"
            )
        form = None if request.form is None else urlencode(request.form, errors="replace")
        return cls(tuple(request.headers.items()), form)


def trusted_authorities(file: Path | None = None) -> Options:
    """Return the options that name the authorities to trust: those of a file, or else the system's.

    ``SSL_CERT_FILE`` and ``SSL_CERT_DIR`` replace the system's file and folder.
    """
    if file:
        return ((pycurl.CAINFO, str(file)), (pycurl.PROXY_CAINFO, str(file)))
    places = ssl.get_default_verify_paths()
    found = os.environ.get(places.openssl_cafile_env) or places.openssl_cafile
    folder = os.environ.get(places.openssl_capath_env) or places.openssl_capath
    options: Options = ((pycurl.CAPATH, folder), (pycurl.PROXY_CAPATH, folder))
    if Path(found).is_file():  # libcurl refuses to connect if it is missing
        options += ((pycurl.CAINFO, found), (pycurl.PROXY_CAINFO, found))
    return options


_NOTHING = Own()


class Connections:
    """Connections that are kept alive, guarded unless they serve a private host of the policy or a proxy."""

    def __init__(self, policy: FetchPolicy, resolver: Resolver | None, authorities: Path | None) -> None:
        self._policy = policy
        self._given_resolver = resolver
        self._authorities = authorities
        named = getproxies() if policy.proxy_from_environment else {}
        self._proxies = {scheme: _Proxy.read(text) for scheme, text in named.items() if scheme in _PROXIED}
        self._tls: Options | None = None
        self._closing = AsyncExitStack()

    async def __aenter__(self) -> Self:
        enter = self._closing.enter_async_context
        resolver = self._given_resolver
        if resolver is None:
            resolver = await enter(SystemResolver(self._policy.in_flight))
        self._names = await enter(Names(resolver))
        self._transfers = await enter(
            Transfers(
                (
                    (pycurl.USERAGENT, self._policy.user_agent),
                    (pycurl.HTTPHEADER, _HEADERS),
                )
            )
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._closing.__aexit__(kind, error, trace)

    async def get(
        self,
        url: WebUrl,
        seconds: float,
        opened: Opened,
        cookies: Sequence[str] = (),
        *,
        brotli: bool = False,
        own: Own = _NOTHING,
    ) -> tuple[Response, Sequence[str]]:
        """Send a GET request, or a POST request if ``own`` has a form; see ``Transfers.get``. Follows no redirect.

        With ``brotli``, libcurl decodes the body.

        Raises:
            FetchFailed: It failed, or took longer than ``seconds``; or any error of ``opened`` or the sink.
            OSError, ValueError: The lookup of the name failed; AddressRefused if the address is not public.
            TimeoutError: The lookup took longer than ``seconds``.
        """
        started = asyncio.get_running_loop().time()
        proxy = self._proxy(url)
        allowed = url.is_one_of(self._policy.private_hosts)
        if not allowed:
            await self._check_public(url, seconds, behind_proxy=proxy is not None)
        guarded = not (allowed or proxy)
        target = proxy or url
        pinned = ""
        if not is_numeric(target.host):
            addresses = await self._names.addresses(target.host, target.port, seconds, public=guarded)
            pinned = f"{target.host}:{target.port}:{','.join(addresses)}"
        seconds -= asyncio.get_running_loop().time() - started
        options = self._options(url, proxy, own) + (_BROTLI if brotli else ())
        return await self._transfers.get(Request(url.text, seconds, pinned, guarded, cookies, options), opened)

    def _options(self, url: WebUrl, proxy: _Proxy | None, own: Own) -> Options:
        options: Options = proxy.options if proxy else ()
        if "https" in {url.scheme, proxy and proxy.scheme}:
            if self._tls is None:
                self._tls = trusted_authorities(self._authorities)
            options += self._tls
            if url.is_one_of(self._policy.allow_bad_tls):
                options += _UNCHECKED
        set_ = {header.name: header.value for header in self._policy.headers if url.is_one_of({header.host})}
        headers = dict(own.headers) | set_
        if headers:
            replaced = tuple(f"{name.lower()}:" for name in headers)
            usual = (header for header in _HEADERS if not header.lower().startswith(replaced))
            options += ((pycurl.HTTPHEADER, (*usual, *(f"{name}: {value}" for name, value in headers.items()))),)
        if own.form is not None:
            options += ((pycurl.POSTFIELDS, own.form),)
        return options

    async def _check_public(self, url: WebUrl, seconds: float, *, behind_proxy: bool) -> None:
        if is_numeric(url.host):
            if not is_public_host(url.host):
                raise AddressRefused(url.host, url.netloc, url.port)
        elif behind_proxy:
            await self._names.addresses(url.host, url.port, seconds, public=True)

    def _proxy(self, url: WebUrl) -> _Proxy | None:
        if not self._proxies:
            return None
        proxy = self._proxies.get(url.scheme) or self._proxies.get("all")
        return None if proxy is None or proxy_bypass(url.host) else proxy
