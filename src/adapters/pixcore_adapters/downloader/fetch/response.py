"""The head of a response: its status and headers."""

from collections.abc import Sequence
from functools import cached_property

from attrs import frozen


@frozen
class Response:
    """The lines of a head, as the server sent them. Values of headers are parsed when they are asked for.

    Bytes that are not UTF-8 become surrogates.
    """

    lines: Sequence[bytes]

    @cached_property
    def status(self) -> int:
        """The status; 0 if the status line has none."""
        stated = self.lines[0].split(None, 2)[1:2] if self.lines else []
        return int(stated[0]) if stated and stated[0].isdigit() else 0

    @cached_property
    def _lower(self) -> bytes:
        return b"".join(self.lines).lower()

    def mentions(self, start: str) -> bool:
        """Return whether the name of a header may begin like this, in lower case. False is certain."""
        return start.encode() in self._lower

    @cached_property
    def headers(self) -> dict[str, list[str]]:
        """The values of all headers by their names in lower case."""
        headers: dict[str, list[str]] = {}
        values: list[str] = []
        for line in self.lines[1:]:
            name, colon, value = line.decode("utf-8", "surrogateescape").partition(":")
            if name[:1] in {" ", "\t"} and values:  # a continuation of the line before it
                values[-1] = f"{values[-1]} {(name + colon + value).strip()}"
            elif colon:
                values = headers.setdefault(name.strip().lower(), [])
                values.append(value.strip())
        return headers

    def all(self, name: str) -> Sequence[str]:
        """Return all values of a header, whose name is in lower case."""
        return self.headers.get(name, ()) if self.mentions(name) else ()

    def get(self, name: str) -> str | None:
        """Return the first value of a header; None if it is absent."""
        values = self.all(name)
        return values[0] if values else None

    @cached_property
    def length(self) -> int | None:
        """The number of bytes that the body has, encoded, as the server declares it; None if it does not."""
        stated = self.get("content-length")
        return int(stated) if stated and stated.isdecimal() and not self.get("transfer-encoding") else None
