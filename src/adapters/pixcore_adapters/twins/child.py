"""The program of the child process that compares files. It reads requests and writes twins, as JSON."""

import json
import sys
import warnings

from PIL import Image

from pixcore_adapters.twins.finding import Finder
from pixcore_adapters.twins.messages import request_from_json, twin_to_json
from pixcore_adapters.validator.child import prepare, serve
from pixcore_adapters.validator.picture import Limits


def main(descriptor: str, settings: str) -> None:
    """Serve the pipe ``descriptor``. ``settings`` is JSON: ``limits`` and the settings of ``serve``."""
    values = json.loads(settings)
    limits = Limits(**values["limits"])
    prepare(limits)
    warnings.simplefilter("ignore")  # the validator has checked already what Pillow warns about
    warnings.simplefilter("error", Image.DecompressionBombWarning)
    finder = Finder(limits.formats)

    def answer(request: bytes) -> bytes:
        image, candidates = request_from_json(request)
        return twin_to_json(finder.find(image, candidates))

    serve(int(descriptor), values, answer)


if __name__ == "__main__":
    main(*sys.argv[1:])
