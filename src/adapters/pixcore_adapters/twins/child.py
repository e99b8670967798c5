"""The program of the child process that compares files. It reads requests and writes answers, as JSON."""

import json
import sys
import time
import warnings

from PIL import Image

from pixcore_adapters.twins.finding import Finder
from pixcore_adapters.twins.messages import Answer, answer_to_json, request_from_json
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
        began = time.process_time()
        twin = finder.find(*request_from_json(request))
        return answer_to_json(Answer(twin, time.process_time() - began))

    serve(int(descriptor), values, answer)


if __name__ == "__main__":
    main(*sys.argv[1:])
