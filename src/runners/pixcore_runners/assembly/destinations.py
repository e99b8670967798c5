"""What `--out` of an export names: a folder of this machine, or a URL."""

from pathlib import Path
from urllib.parse import unquote, urlsplit

from pixcore import InvalidRequest
from pixcore_adapters.outputs.export.destinations import Destination
from pixcore_adapters.outputs.export.destinations.folder import Folder
from pixcore_runners.settings.urls import expanded, is_url


def destination(out: str) -> Destination:
    """Return the destination at a path or a URL. Sends nothing.

    Raises:
        InvalidRequest: The URL is malformed, or nothing can be exported to its scheme.
    """
    if not is_url(out):
        return Folder(Path(out))
    parts = urlsplit(out)
    if parts.scheme == "file":
        if parts.netloc not in ("", "localhost") or not parts.path:
            raise InvalidRequest(f"--out {out!r} names no folder of this machine; write file:./out or file:///data/out")
        return Folder(expanded(Path(unquote(parts.path))))
    raise InvalidRequest(
        f"--out {out!r}: nothing can be exported to {parts.scheme}:; name a folder, as ./{out} if that is its name"
    )
