"""The head of a response: its status and headers."""

from collections.abc import Sequence

_CONTINUES = (b" ", b"\t")  # how a line begins that continues the value before it


class Response:
    """A head, as the server sent it. Bytes of values that are not UTF-8 become surrogates.

    Attributes:
        status: The status; 0 if the status line has none.
        length: The number of bytes that the body has, encoded, as the server declares it; None if it does not.
    """

    __slots__ = ("_headers", "length", "status")

    def __init__(self, lines: Sequence[bytes]) -> None:
        """``lines`` are the status line and the lines of the headers."""
        stated = lines[0].split(None, 2)[1:2] if lines else []
        self.status = int(stated[0]) if stated and stated[0].isdigit() else 0
        headers: dict[bytes, list[bytes]] = {}
        values: list[bytes] = []
        for line in lines[1:]:
            name, colon, value = line.partition(b":")
            if values and name[:1] in _CONTINUES:
                values[-1] = b"%s %s" % (values[-1], line.strip())
            elif colon:
                values = headers.setdefault(name.strip().lower(), [])
                values.append(value.strip())
        self._headers = headers
        size = headers.get(b"content-length", (b"",))[0]
        self.length = int(size) if size.isdigit() and b"transfer-encoding" not in headers else None

    @property
    def headers(self) -> dict[str, list[str]]:
        """The values of all headers by their names in lower case."""
        return {_text(name): [_text(value) for value in values] for name, values in self._headers.items()}

    def has_prefix(self, start: str) -> bool:
        """Return whether the name of a header begins like this, in lower case."""
        prefix = start.encode()
        return any(name.startswith(prefix) for name in self._headers)

    def all(self, name: str) -> Sequence[str]:
        """Return all values of a header, whose name is in lower case."""
        return [_text(value) for value in self._headers.get(name.encode(), ())]

    def get(self, name: str) -> str | None:
        """Return the first value of a header; None if it is absent."""
        values = self._headers.get(name.encode())
        return _text(values[0]) if values else None


def _text(value: bytes) -> str:
    return value.decode("utf-8", "surrogateescape")
