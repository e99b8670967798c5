"""Values: the limits and the identity of fetches, and their outcomes."""

import re
from datetime import datetime
from importlib.metadata import version

from attrs import field, frozen
from attrs.validators import ge, gt

from pixcore.errors import InvalidRequest
from pixcore.model.images import Transfer
from pixcore_adapters.downloader.fetch.hosts import HostHeader, hosts_as_sent

_PRODUCT = re.compile(r"[A-Za-z][A-Za-z0-9_.-]*(?=[/ ]|$)")
_PRINTABLE = re.compile(r"[\x20-\x7e]+")
_MAX_NOTE = 300


def note(text: str) -> str:
    """Reduce a text that a server wrote to one short line of printable ASCII."""
    return " ".join(text.split())[:_MAX_NOTE].encode("unicode_escape").decode() if text else ""


@frozen
class FetchPolicy:
    """How to fetch.

    Attributes:
        user_agent: Sent with every request. Begins with a product name, which robots.txt may address.
        in_flight: Concurrent requests in all.
        per_host: Concurrent requests to one host.
        per_host_rate: Requests that may start a second at one host; 0 for no limit.
        seconds: Deadline of one attempt, including redirects and body, without the wait for a slot.
        attempts: Attempts for a URL before it is a miss.
        max_bytes: The largest body, encoded and decoded.
        max_redirects: Redirects to follow.
        private_hosts: Hosts whose addresses need not be public, as ``host`` or ``host:port``, spelled as in URLs.
        headers: Further headers for single hosts. A redirect to another host does not get them.
        allow_bad_tls: Hosts, spelled like ``private_hosts``, whose certificates are not checked.
        ignore_opt_out: Fetch images in spite of robots.txt and X-Robots-Tag. The signal is still reported.
        proxy_from_environment: Use the proxies from the environment. A proxy resolves names again, so pixcore cannot
            guard what it connects to: give the proxy rules of its own.
    """

    user_agent: str = field(default=f"pixcore/{version('pixcore')}")
    in_flight: int = field(default=64, validator=ge(1))
    per_host: int = field(default=16, validator=ge(1))
    per_host_rate: float = field(default=0.0, validator=ge(0.0))
    seconds: float = field(default=20.0, validator=gt(0.0))
    attempts: int = field(default=3, validator=ge(1))
    max_bytes: int = field(default=50 * 2**20, validator=ge(1))
    max_redirects: int = field(default=5, validator=ge(0))
    private_hosts: frozenset[str] = field(default=frozenset[str](), converter=hosts_as_sent)
    headers: tuple[HostHeader, ...] = ()
    allow_bad_tls: frozenset[str] = field(default=frozenset[str](), converter=hosts_as_sent)
    ignore_opt_out: bool = False
    proxy_from_environment: bool = False

    @user_agent.validator
    def _check_user_agent(self, _attribute: object, text: str) -> None:
        if not (_PRODUCT.match(text) and _PRINTABLE.fullmatch(text)):
            raise InvalidRequest(
                f"user agent {text!r} is invalid; write it like 'pixcore/1.0 (+https://example.org/contact)'"
            )

    @property
    def product(self) -> str:
        """The name in lower case that robots.txt and X-Robots-Tag may address."""
        return self.user_agent.replace("/", " ").split()[0].lower()

    @property
    def contact(self) -> bool:
        """Whether the user agent contains a mail or web address."""
        return "@" in self.user_agent or "://" in self.user_agent


@frozen
class Fetched:
    """A fetched body of ``size`` bytes. ``opt_out`` holds the opt-out signals that the policy ignored, verbatim."""

    size: int
    fetched_at: datetime
    opt_out: str = field(default="", converter=note)
    transfer: Transfer | None = field(default=None, eq=False)


@frozen
class Missed:
    """A failed fetch. ``permanent`` means that fetching again soon cannot help. ``detail`` is a ``note``."""

    reason: str
    permanent: bool
    detail: str = ""
    transfer: Transfer | None = field(default=None, eq=False)
