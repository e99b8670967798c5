"""Serve the page of metrics, and the probes of its server."""

from collections.abc import Iterable
from pathlib import Path

from prometheus_client import CollectorRegistry, make_wsgi_app
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector

from pixcore_runners.observing.metrics import create_folder
from pixcore_runners.observing.web import Check, bound, probes
from pixcore_runners.observing.web import serve as answer


def serve(collectors: Iterable[Collector], folder: Path | None, host: str, port: int, ready: Check = str) -> int:
    """Serve the collectors, the counts in ``folder`` and the probes, in threads of this process.

    Returns the port, which the system chooses if ``port`` is 0.

    Raises:
        InvalidRequest: The folder cannot be created, or the address cannot be bound.
    """
    registry = CollectorRegistry()
    for collector in collectors:
        registry.register(collector)
    if folder:
        create_folder(folder)
        MultiProcessCollector(registry, path=str(folder))  # type: ignore[no-untyped-call]
    server = bound(probes(str, ready, make_wsgi_app(registry)), host, port, "--host or --port")
    answer(server)
    return int(server.server_port)
