"""What a fetch may cost and how it introduces itself, and what comes of it: values."""

import re
from collections.abc import Iterable
from datetime import datetime
from importlib.metadata import version

from attrs import field, frozen
from attrs.validators import ge, gt

from pixcore.errors import InvalidRequest

_PRODUCT = re.compile(r"[A-Za-z][A-Za-z0-9_.-]*(?=[/ ]|$)")
_PRINTABLE = re.compile(r"[\x20-\x7e]+")
_LONGEST_NOTE = 300


def _lower(hosts: Iterable[str]) -> frozenset[str]:
    return frozenset(host.lower() for host in hosts)


def _note(text: str) -> str:
    # strangers wrote it: one short line of printable ASCII
    return " ".join(text.split())[:_LONGEST_NOTE].encode("unicode_escape").decode()


@frozen
class FetchPolicy:
    """How to fetch.

    Attributes:
        user_agent: Sent with every request; begins with a product name, which robots.txt may address.
        in_flight: How many requests run at once.
        per_host: How many of them to one host.
        per_host_rate: How many may start a second at one host; 0 for no limit.
        seconds: Deadline of one attempt, redirects and body included; waiting for one's turn is not counted.
        attempts: How often a URL is tried before it is a miss.
        max_bytes: Largest body, encoded and decoded.
        max_redirects: How many redirects are followed.
        private_hosts: ``host`` or ``host:port``, as URLs write them, that may have an address that is not public.
        ignore_opt_out: Fetch what robots.txt or X-Robots-Tag ask to leave alone; the signal is still reported.
        proxy_from_environment: Use the proxies that the environment names. The proxy then looks names up once more:
            what it connects to is out of our hands, so give it rules of its own.
    """

    user_agent: str = field(default=f"pixcore/{version('pixcore')}")
    in_flight: int = field(default=64, validator=ge(1))
    per_host: int = field(default=16, validator=ge(1))
    per_host_rate: float = field(default=0.0, validator=ge(0.0))
    seconds: float = field(default=20.0, validator=gt(0.0))
    attempts: int = field(default=3, validator=ge(1))
    max_bytes: int = field(default=50 * 2**20, validator=ge(1))
    max_redirects: int = field(default=5, validator=ge(0))
    private_hosts: frozenset[str] = field(default=frozenset[str](), converter=_lower)
    ignore_opt_out: bool = False
    proxy_from_environment: bool = False

    @user_agent.validator
    def _check_user_agent(self, _attribute: object, text: str) -> None:
        if not (_PRODUCT.match(text) and _PRINTABLE.fullmatch(text)):
            raise InvalidRequest(
                f"user agent {text!r} cannot be used; write it like 'pixcore/1.0 (+https://example.org/contact)'"
            )

    @property
    def product(self) -> str:
        """The name that robots.txt and X-Robots-Tag know us by, in lower case."""
        return self.user_agent.replace("/", " ").split()[0].lower()

    @property
    def contact(self) -> bool:
        """Whether the user agent tells how to reach whoever runs this: it holds a mail or web address."""
        return "@" in self.user_agent or "://" in self.user_agent


@frozen
class Fetched:
    """The body of ``size`` bytes is in its file. ``opt_out`` holds signals that the policy ignored, as they were."""

    size: int
    fetched_at: datetime
    opt_out: str = field(default="", converter=_note)


@frozen
class Missed:
    """Nothing was fetched; ``permanent`` when fetching again soon cannot help."""

    reason: str
    permanent: bool
    detail: str = field(default="", converter=_note)
