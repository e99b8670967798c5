"""Gauges for Prometheus, read from the brokers of the queues at each scrape."""

import threading
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, wait

from attrs import define, field
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from pixcore import InvalidRequest
from pixcore_runners.queueing.runner import RUNNERS, QueueUnavailable, Runner, open_runner
from pixcore_runners.settings import Settings

# Seconds that a scrape waits for a broker: less than the 10 s after which Prometheus gives a scrape up.
_PATIENCE = 5.0

_Reading = Future[tuple[int, tuple[int, int]]]


@define(eq=False)
class QueueGauges(Collector):
    """Gauges of the queue of each runner.

    A thread reads each broker. A scrape that comes before it has ended starts no second one.
    """

    name: str
    runners: Mapping[str, Runner]
    patience: float = _PATIENCE
    _readings: dict[str, _Reading] = field(init=False, factory=dict[str, "_Reading"])

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """Yield the gauges; of a broker that does not answer, only the one that says so."""
        by = ("runner", "queue")
        reachable = GaugeMetricFamily("pixcore_queue_reachable", "Whether the broker answers.", labels=by)
        waiting = GaugeMetricFamily("pixcore_queue_deliveries", "Deliveries that no worker has taken.", labels=by)
        workers = GaugeMetricFamily(
            "pixcore_queue_workers",
            "Workers that are connected to the broker and do not rest, by whether they run chunks.",
            labels=(*by, "state"),
        )
        for runner in self.runners:
            if self._readings.get(runner) is None:
                self._readings[runner] = _begun(self.runners[runner])
        wait(self._readings.values(), self.patience)
        for runner, reading in dict(self._readings).items():
            if reading.done():
                del self._readings[runner]
            found = reading.result() if reading.done() and not reading.exception() else None
            reachable.add_metric((runner, self.name), float(found is not None))
            if found:
                depth, (busy, idle) = found
                waiting.add_metric((runner, self.name), depth)
                workers.add_metric((runner, self.name, "busy"), busy)
                workers.add_metric((runner, self.name, "idle"), idle)
        yield from (reachable, waiting, workers)


def queue_gauges(settings: Settings) -> QueueGauges:
    """Return the gauges of the queue that the settings name, for each runner that is installed and takes the broker."""
    runners = {}
    for name in RUNNERS if settings.broker else ():
        try:
            runners[name] = open_runner(name, settings)
        except InvalidRequest:
            continue
    return QueueGauges(settings.queue, runners)


def _begun(runner: Runner) -> _Reading:
    reading: _Reading = Future()

    def read() -> None:
        try:
            reading.set_result((runner.waiting(), runner.workers()))
        except QueueUnavailable as error:
            reading.set_exception(error)

    threading.Thread(target=read, name="pixcore-queue", daemon=True).start()
    return reading
