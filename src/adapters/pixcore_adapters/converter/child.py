"""The program of the child process that converts files. It reads requests and writes answers, as JSON."""

import json
import sys
from pathlib import Path

from pixcore_adapters.converter.converting import convert
from pixcore_adapters.converter.messages import Answer, answer_to_json, request_from_json
from pixcore_adapters.validator.child import prepare, serve
from pixcore_adapters.validator.decode import only_warn_of_damage, read, refusal
from pixcore_adapters.validator.picture import Limits


def main(descriptor: str, settings: str) -> None:
    """Serve the pipe ``descriptor``. ``settings`` is JSON: ``limits`` and the settings of ``serve``."""
    values = json.loads(settings)
    limits = Limits(**values["limits"])
    prepare(limits)
    only_warn_of_damage()
    serve(int(descriptor), values, lambda request: answer_to_json(_answer(request, limits)))


def _answer(request: bytes, limits: Limits) -> Answer:
    source, target, how = request_from_json(request)
    try:
        made = convert(read(source, limits), how, limits)
    except Exception as error:  # noqa: BLE001 (Pillow raises OSError, SyntaxError, IndexError and more for bad files)
        refused = refusal(error)
        return Answer(refused.reason, refused.detail)
    if number := _written(target, made.data):
        return Answer(error=number)
    return Answer(width=made.width, height=made.height, format=made.format, mode=made.mode, changes=made.changes)


def _written(target: Path, data: bytes) -> int:
    """Write a file. Return 0, or the number of the system's error, after which there is no file."""
    try:
        target.write_bytes(data)
    except OSError as error:
        target.unlink(missing_ok=True)
        return error.errno or -1
    return 0


if __name__ == "__main__":
    main(*sys.argv[1:])
