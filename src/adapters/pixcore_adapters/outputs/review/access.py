"""Decide who may use the page: the browser that opened the link, and no other page in it.

The link holds a token that can be exchanged once, for a cookie. Other pages in the browser can reach a server on this
machine, too. They are kept out by the cookie (SameSite=Strict), by the Origin of a request and, if they made their own
name point to this machine (DNS rebinding), by its Host.
"""

import secrets
import threading
from email.message import Message

ADDRESS = "127.0.0.1"
_SAME = ("same-origin", "none")  # where a browser may say that a request comes from; none: the user typed the address


class Access:
    """The token and the cookie of one server at ``port``."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._token: str | None = secrets.token_urlsafe(32)
        self._session = secrets.token_urlsafe(32)
        self._lock = threading.Lock()

    def link(self) -> str:
        """Return the address to open, with a new token. Earlier tokens are void; who has a cookie keeps it."""
        with self._lock:
            self._token = secrets.token_urlsafe(32)
            return f"http://{ADDRESS}:{self._port}/?token={self._token}"

    def cookie(self, token: str) -> str | None:
        """Exchange the token for the value of a Set-Cookie header; None if it is void."""
        with self._lock:
            if self._token is None or not secrets.compare_digest(token.encode(), self._token.encode()):
                return None
            self._token = None
        return f"{self._name}={self._session}; Path=/; HttpOnly; SameSite=Strict"

    def foreign(self, headers: Message, *, writes: bool) -> str:
        """Return why a request does not come from the page itself or from the user; ``""`` if it does."""
        host = headers.get("Host", "")
        if host not in (f"{ADDRESS}:{self._port}", f"localhost:{self._port}"):
            return f"this server is {ADDRESS}:{self._port}"
        origin = headers.get("Origin")
        if origin != f"http://{host}" and (writes or origin is not None):
            return "the request comes from another page"
        if writes and headers.get("Sec-Fetch-Site", "same-origin") not in _SAME:
            return "the request comes from another page"
        return ""

    def known(self, headers: Message) -> bool:
        """Return whether a request has the cookie."""
        # not by http.cookies, which gives up at a cookie of another local server that is not in its grammar
        sent = (pair.strip().partition("=") for pair in headers.get("Cookie", "").split(";"))
        return any(
            name == self._name and secrets.compare_digest(value.encode(), self._session.encode())
            for name, _, value in sent
        )

    @property
    def _name(self) -> str:
        return f"pixcore-review-{self._port}"  # browsers send cookies of one port to all others
