"""The head of a response: its status and headers."""

from collections.abc import Iterable, Sequence
from functools import cached_property
from typing import Self

from attrs import frozen


@frozen
class Response:
    """The status and the headers of a response. Names of headers are in lower case."""

    status: int
    headers: dict[str, list[str]]

    @classmethod
    def parse(cls, lines: Iterable[bytes]) -> Self:
        """Parse a status line and the lines of headers. Bytes that are not UTF-8 become surrogates.

        Raises:
            ValueError: The status line has no status.
        """
        first, *rest = lines
        headers: dict[str, list[str]] = {}
        values: list[str] = []
        for line in rest:
            name, colon, value = line.decode("utf-8", "surrogateescape").partition(":")
            if name[:1] in {" ", "\t"} and values:  # a continuation of the line before it
                values[-1] = f"{values[-1]} {(name + colon + value).strip()}"
            elif colon:
                values = headers.setdefault(name.strip().lower(), [])
                values.append(value.strip())
        return cls(int(first.split(None, 2)[1]), headers)

    def all(self, name: str) -> Sequence[str]:
        """Return all values of a header, whose name is in lower case."""
        return self.headers.get(name, ())

    def get(self, name: str) -> str | None:
        """Return the first value of a header; None if it is absent."""
        values = self.headers.get(name)
        return values[0] if values else None

    @cached_property
    def length(self) -> int | None:
        """The number of bytes that the body has, encoded, as the server declares it; None if it does not."""
        stated = self.get("content-length")
        return int(stated) if stated and stated.isdecimal() and "transfer-encoding" not in self.headers else None
