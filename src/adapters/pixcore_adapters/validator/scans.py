"""The headers of a JPEG's scans: which parts of the coefficients they code, and whether zeros are sound."""

from attrs import define, field, frozen

_LENGTHS = 16  # bytes of a Huffman table before its symbols
_OTHERS = 0x10  # the bit in the number of a table that is not for means
_SCAN = 3 + 2 + 3  # bytes of the header of a scan of one component
_ALL = 16  # bits of a coefficient, more than any has


@frozen
class Scan:
    """Where the coded data of a scan starts and ends.

    Attributes:
        zeros: Whether long runs of zero bytes may be sound: where the shortest codes mean that a block equals the one
            before it. Those of a progressive scan of coefficients never do, because it codes even blocks by their
            number.
    """

    start: int
    end: int
    zeros: bool


@define
class Headers:
    """The tables, the frame and the scan headers of a JPEG, read one after the other."""

    _shortest: dict[int, int] = field(factory=dict[int, int])  # by Huffman table: the symbol whose code is all zeros
    _missing: dict[int, list[int]] = field(factory=dict[int, list[int]])  # by component: bits that coefficients lack

    @property
    def refined(self) -> bool:
        """Whether the scans of a progressive frame code every coefficient to its last bit."""
        return not any(any(bits) for bits in self._missing.values())

    def add_tables(self, segment: bytes) -> None:
        """Read a segment of Huffman tables."""
        place = 2
        while place + 1 + _LENGTHS < len(segment):
            self._shortest[segment[place]] = segment[place + 1 + _LENGTHS]
            place += 1 + _LENGTHS + sum(segment[place + 1 : place + 1 + _LENGTHS])

    def start_frame(self, frame: bytes, *, progressive: bool) -> None:
        """Read the header of a frame."""
        components = frame[8 : 8 + 3 * int.from_bytes(frame[7:8]) : 3]
        self._missing = {component: [_ALL] * 64 for component in components} if progressive else {}

    def start_scan(self, header: bytes) -> bool:
        """Read the header of a scan; return whether zeros in its data mean blocks that equal the ones before them."""
        if len(header) < _SCAN:
            return True
        if not self._missing:
            tables = [(each >> 4, _OTHERS | each & 15) for each in header[4:-3:2]]
            return not any(self._shortest.get(table) for pair in tables for table in pair)
        first, last, bits = header[-3:]
        for component in header[3:-3:2]:
            if known := self._missing.get(component):
                known[first : last + 1] = [bits & 15] * len(known[first : last + 1])
        return not first  # the first coefficient is the mean
