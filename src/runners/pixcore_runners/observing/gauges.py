"""Gauges for Prometheus, read from the status database at each scrape."""

from collections.abc import Iterator
from heapq import nsmallest

from attrs import define
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from pixcore import Fault, Overview, Status, StatusRepo, StatusUnavailable

# How many datasets have gauges of their own: so the number of series has a bound.
_DATASETS = 100


@define(eq=False)
class StatusGauges(Collector):
    """Gauges of chunks, workers and leases."""

    status: StatusRepo

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """Yield the gauges; if the status database cannot be reached, only the gauge that says so."""
        try:
            overview, datasets = self.status.overview(), self.status.summary()
        except StatusUnavailable:
            yield gauge("pixcore_status_reachable", "Whether the status database can be reached.", 0)
            return
        yield gauge("pixcore_status_reachable", "Whether the status database can be reached.", 1)
        chunks = GaugeMetricFamily("pixcore_chunks", "Chunks, by status and phase.", labels=("status", "phase"))
        for status in Status:
            for phase, number in overview.phases.get(status, {}).items():
                chunks.add_metric((status, phase), number)
        yield chunks
        yield _by_dataset({name: [counts.get(status, 0) for status in Status] for name, counts in datasets.items()})
        yield from _of_workers(overview)


def gauge(name: str, text: str, value: float) -> GaugeMetricFamily:
    """Return a gauge without labels."""
    return GaugeMetricFamily(name, text, value)


def _of_workers(overview: Overview) -> Iterator[GaugeMetricFamily]:
    yield gauge("pixcore_chunk_images", "Images that all chunks hold or have accepted so far.", overview.accepted)
    yield gauge("pixcore_workers", "Workers with a live lease.", overview.workers)
    yield gauge("pixcore_expired_leases", "Chunks whose worker has died; pixcore reap frees them.", overview.expired)
    resting = GaugeMetricFamily(
        "pixcore_resting_workers",
        "Workers that take no chunks, by who is at fault; pixcore status --watch says why.",
        labels=("fault",),
    )
    for fault in (Fault.MACHINE, Fault.SERVICE):
        resting.add_metric((fault,), sum(worker.fault is fault for worker in overview.resting))
    yield resting
    yield gauge("pixcore_oldest_claim_seconds", "Seconds since the oldest live claim was made.", overview.oldest)


def _by_dataset(counts: dict[str, list[int]]) -> GaugeMetricFamily:
    """Return the chunks of the datasets with the most unfinished, then the most failed chunks; the rest as one."""
    family = GaugeMetricFamily(
        "pixcore_dataset_chunks",
        f"Chunks, by dataset and status; datasets beyond the {_DATASETS} with the most unfinished or failed chunks, and"
        " chunks of no dataset, have an empty name.",
        labels=("dataset", "status"),
    )
    of = {status: place for place, status in enumerate(Status)}

    def urgency(name: str) -> tuple[int, int, str]:
        found = counts[name]
        return -found[of[Status.PENDING]] - found[of[Status.PROCESSING]], -found[of[Status.FAILED]], name

    shown = nsmallest(_DATASETS, filter(None, counts), key=urgency)
    others = [name for name in counts if name not in set(shown)]
    for name in shown:
        _add(family, name, counts[name])
    if others:
        _add(family, "", [sum(numbers) for numbers in zip(*(counts[name] for name in others), strict=True)])
    return family


def _add(family: GaugeMetricFamily, name: str, counts: list[int]) -> None:
    for status, number in zip(Status, counts, strict=True):
        family.add_metric((name, status), number)
