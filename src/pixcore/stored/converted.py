"""Convert the images of an export before a layout writes them."""

from collections import Counter, deque
from collections.abc import Generator, Iterable, Iterator
from contextlib import closing
from pathlib import Path

from attrs import define, evolve, field, frozen

from pixcore.chunk.workspace import local_disk
from pixcore.errors import NoValidImages
from pixcore.model.conversion import CHANGES, Conversion, Unconverted
from pixcore.model.originals import converted_columns
from pixcore.model.rows import extension_of
from pixcore.ports.converter import Converter
from pixcore.stored.samples import Sample


@frozen
class LeftOut:
    """An image that could not be converted: its name in the export, its URL, and why."""

    name: str
    url: str
    reason: str
    detail: str


@define
class ConversionCounts:
    """What a conversion did.

    Attributes:
        images: How many images were converted.
        changes: How many of them were changed in each way of ``CHANGES`` by this conversion.
        left_out: The images that could not be converted, in order.
    """

    images: int = 0
    changes: Counter[str] = field(factory=Counter[str])
    left_out: list[LeftOut] = field(factory=list[LeftOut])

    def by_change(self) -> dict[str, int]:
        """Return ``changes`` without zeros, in the order of ``CHANGES``."""
        return {name: self.changes[name] for name in CHANGES if self.changes[name]}

    def by_reason(self) -> dict[str, int]:
        """Return how many images were left out for each reason, the most frequent reason first."""
        return dict(Counter(image.reason for image in self.left_out).most_common())


def converted(
    samples: Iterable[Sample], converter: Converter, how: Conversion, spare: Path, counts: ConversionCounts
) -> Generator[Sample]:
    """Yield the samples with converted images and with rows that describe these, in order, and count them.

    An image that cannot be converted is left out. Draw as far ahead as the converter does.

    Args:
        samples: The samples.
        converter: Converts their images.
        how: The conversion.
        spare: A folder on the local disk for the images that are being converted. No file is left in it.
        counts: Receives the counts.

    Raises:
        WorkspaceFull, TransientError: As ``local_disk`` and the converter raise them.
        NoValidImages: There are images, and none of them can be converted. Raised at the end.
        Exception: Whatever ``samples`` raises.
    """
    waiting: deque[tuple[Sample, Path, Path]] = deque()

    def files() -> Iterator[tuple[Path, Path]]:
        for number, sample in enumerate(samples):
            source, target = spare / f"{number}", spare / f"{number}.converted"
            with local_disk("unpacking an image"):
                source.write_bytes(sample.data)
            waiting.append((evolve(sample, data=b""), source, target))  # the file has the bytes now
            yield source, target

    with closing(converter.convert(files(), how)) as outcomes:
        for outcome in outcomes:
            sample, source, target = waiting.popleft()
            with local_disk("reading a converted image"):
                source.unlink()
                data = b"" if isinstance(outcome, Unconverted) else target.read_bytes()
                target.unlink(missing_ok=True)
            if isinstance(outcome, Unconverted):
                name, url = str(sample.row["file_name"]), str(sample.row["url"])
                counts.left_out.append(LeftOut(name, url, outcome.reason, outcome.detail))
                continue
            counts.images += 1
            counts.changes.update(outcome.changes)
            ending = extension_of(outcome.format)
            row = {**sample.row, **converted_columns(sample.row, outcome), "file_name": f"{sample.key}.{ending}"}
            yield evolve(sample, extension=ending, row=row, data=data)
    if counts.left_out and not counts.images:
        reasons = ", ".join(f"{reason}: {count}" for reason, count in counts.by_reason().items())
        raise NoValidImages(f"none of the images can be converted ({reasons}); export them without conversion")
