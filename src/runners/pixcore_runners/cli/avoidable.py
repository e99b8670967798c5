"""Misses that the present settings avoid: another attempt may fetch these candidates."""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from urllib.parse import urlsplit

from pixcore import ChunkRecord, InvalidRequest
from pixcore.chunk.unfilled import is_unfilled
from pixcore.model.images import MissReason
from pixcore.stored.archives import StoredArchives
from pixcore.stored.outcomes import has_outcomes, outcome_lines
from pixcore_adapters.downloader.fetch.hosts import hosts_as_sent
from pixcore_runners.settings import Settings

_NUMBER = re.compile(r"\d+")
_PORTS = {"http": 80, "https": 443}


def avoidable(records: Iterable[ChunkRecord], archives: StoredArchives, settings: Settings) -> Counter[str]:
    """Count the misses of unfilled chunks that the settings avoid, by reason. What cannot be read counts as none.

    Raises:
        StoreNotFound, StoreDenied, StoreUnavailable, WorkspaceFull, TransientError: Outcomes cannot be fetched.
    """
    avoids = _avoiding(settings)
    found = Counter[str]()
    for record in records:
        if is_unfilled(record) and avoids.keys() & record.progress.missed.keys() and has_outcomes(record, archives):
            try:
                for line in outcome_lines(record, archives):
                    reason = str(line["outcome"])
                    found[reason] += reason in avoids and avoids[reason](line)
            except InvalidRequest:  # damaged outcomes are reported by `verify`
                continue
    return +found


def _avoiding(settings: Settings) -> Mapping[str, Callable[[Mapping[str, object]], bool]]:
    """Return, by reason, whether the settings avoid the miss that a line of outcomes describes."""
    private, unchecked = hosts_as_sent(settings.private_hosts), hosts_as_sent(settings.allow_bad_tls)
    return {
        MissReason.OPTED_OUT: lambda _: settings.ignore_opt_out,
        MissReason.ADDRESS: lambda line: not private.isdisjoint(_hosts(line)),
        MissReason.TLS: lambda line: not unchecked.isdisjoint(_hosts(line)),
        MissReason.REDIRECTS: lambda line: _limit(line) < settings.max_redirects,
        MissReason.TOO_LARGE: lambda line: _limit(line) < settings.max_bytes,
    }


def _hosts(line: Mapping[str, object]) -> set[str]:
    """Return the host that was requested last, without and with its port."""
    try:
        parts = urlsplit(str(line.get("final_url") or line.get("url", "")))
        host, port = parts.hostname or "", parts.port or _PORTS.get(parts.scheme, 0)
    except ValueError:
        return set()
    host = f"[{host}]" if ":" in host else host
    return {host, f"{host}:{port}"}


def _limit(line: Mapping[str, object]) -> float:
    """Return the number in a detail such as "more than 5 redirects"; infinite if there is none."""
    number = _NUMBER.search(str(line.get("detail", "")))
    return int(number[0]) if number else float("inf")
