"""The converter for tests. Its pictures are the short JSON texts of the validator for tests, so nothing is decoded."""

import hashlib
import json
from collections.abc import Generator, Iterable
from pathlib import Path

from pixcore.model.conversion import Conversion, Converted, Unconverted
from pixcore.model.images import RejectReason
from pixcore_adapters.converter.fitting import fit


class MemoryConverter:
    """Converts the pictures of ``MemoryValidator``: changes their width and height, and adds the format to the name."""

    def convert(self, files: Iterable[tuple[Path, Path]], how: Conversion) -> Generator[Converted | Unconverted]:
        """Yield one outcome a pair. Draw no pair ahead.

        Raises:
            Exception: Whatever ``files`` raises.
        """
        for source, target in files:
            yield _converted(source, target, how)


def _converted(source: Path, target: Path, how: Conversion) -> Converted | Unconverted:
    try:
        values = json.loads(source.read_bytes())
        fitted = fit(values["width"], values["height"], how)
        name = f"{values['picture']} as {how.encode}"
    except (OSError, ValueError, TypeError, KeyError) as error:
        return Unconverted(RejectReason.NOT_AN_IMAGE, str(error))
    width, height = fitted.canvas
    data = json.dumps({**values, "picture": name, "width": width, "height": height}).encode()
    target.write_bytes(data)
    changes = ("enlarged",) if fitted.enlarged else ()
    return Converted(target, len(data), hashlib.sha256(data).hexdigest(), width, height, "JSON", "", changes)
