"""The decoder child's program: paths come in, outcomes go out, until the other end of the pipe is closed.

Strangers' bytes meet C code here, so the process has little to lose: no secrets in its environment, no right to start
programs or open sockets, and limits of time and memory that the kernel keeps.
"""

import gc
import json
import os
import resource
import signal
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from PIL import Image

from pixcore_adapters.validator.decode import decode_in_child, fingerprint_of, only_warn_of_damage
from pixcore_adapters.validator.picture import Limits, Preview, PreviewOf, answer_to_bytes, request_from_bytes

# After so many, garbage is looked for that reference counts do not find; a picture leaves hardly any.
_NEW_OBJECTS = 10_000

_PREVIEW_BYTES = 4096
_PREVIEW_SIDE = 160  # pixels, about; see ``Thumbnails``

_FORBIDDEN = ("subprocess.", "os.exec", "os.fork", "os.posix_spawn", "os.spawn", "os.system", "pty.", "socket.")


def main(descriptor: str, settings: str) -> None:
    """Decode files: requests come in at the pipe ``descriptor``, answers go out.

    ``settings`` is JSON: ``limits``, and what ``serve`` needs.
    """
    values = json.loads(settings)
    limits = Limits(**values["limits"])
    prepare(limits)
    only_warn_of_damage()

    def answer(data: bytes) -> bytes:
        request = request_from_bytes(data)
        if isinstance(request, PreviewOf):
            return answer_to_bytes(Preview(_preview(request.path)))
        return answer_to_bytes(decode_in_child(request, limits))

    serve(int(descriptor), values, answer)


def _preview(path: Path) -> bytes:
    from PIL import WebPImagePlugin  # noqa: F401, PLC0415 - without it, saving would import every plugin of Pillow

    from pixcore_adapters.thumbnails import Encoding, Thumbnails  # noqa: PLC0415 - most children make no preview

    try:
        return Thumbnails(_PREVIEW_BYTES, _PREVIEW_SIDE, Encoding.WEBP).thumbnail(path.read_bytes())
    except OSError:
        return b""


def serve(descriptor: int, settings: Mapping[str, Any], answer: Callable[[bytes], bytes]) -> None:
    """Confine this process, then answer every request at the pipe until its other end is closed.

    ``settings`` holds ``seconds``, how long one request may take, and ``memory``, in bytes.
    """
    _confine(settings["memory"])
    with Connection(descriptor) as pipe, suppress(EOFError, ConnectionError):
        pipe.send_bytes(b"ready")
        while True:
            request = pipe.recv_bytes()
            # The parent keeps the deadline. This timer ends the child if the parent has died.
            signal.setitimer(signal.ITIMER_REAL, 2 * settings["seconds"])
            outcome = answer(request)
            signal.setitimer(signal.ITIMER_REAL, 0)
            pipe.send_bytes(outcome)


def prepare(limits: Limits) -> None:
    """Import now what nearly every file needs: later there is less room, and the clock runs."""
    Image.preinit()  # Pillow imports the other formats when the first file is none of the common ones
    fingerprint_of(Image.new("L", (64, 64)))
    Image.MAX_IMAGE_PIXELS = limits.max_pixels
    gc.freeze()  # what is imported stays: nothing to be looked through again and again
    gc.set_threshold(_NEW_OBJECTS)


def _confine(memory: int) -> None:
    # A Ctrl-C or a polite stop is the parent's to answer; it closes the pipe when it is done.
    for polite in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(polite, signal.SIG_IGN)
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    os.dup2(1, 2)  # from here on only C libraries would speak, in words that a file may choose
    with suppress(OSError):  # Linux: when the machine runs out of memory, this process goes, not the worker
        Path("/proc/self/oom_score_adj").write_text("1000")
    _limit(resource.RLIMIT_CORE, 0)
    # Not RLIMIT_AS: of 130 MB that the imports map, 60 are data; the rest varies with libraries and threads.
    _limit(resource.RLIMIT_DATA, memory)
    sys.addaudithook(_refuse)


def _limit(which: int, most: int) -> None:
    hard = resource.getrlimit(which)[1]
    most = most if hard == resource.RLIM_INFINITY else min(most, hard)
    resource.setrlimit(which, (most, most))


def _refuse(event: str, _: object) -> None:
    if event.startswith(_FORBIDDEN):
        raise PermissionError(f"a decoder does not need {event}")


if __name__ == "__main__":
    main(*sys.argv[1:])
