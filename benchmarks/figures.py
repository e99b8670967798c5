"""How benchmarks are asked and how they answer: quick or full, medians of runs in turns, ratios beside goals."""

import argparse
import statistics
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")


def asked(
    doc: str | None,
    *,
    pictures: bool = False,
    also: Callable[[argparse.ArgumentParser], object] = lambda _: None,
    **sizes: tuple[int, int],
) -> argparse.Namespace:
    """What the command line says; each size has a quick default and a full one. ``also`` adds options."""
    parser = argparse.ArgumentParser(description=(doc or "").splitlines()[0])
    parser.add_argument("--full", action="store_true", help="take the time that good figures need")
    if pictures:
        parser.add_argument("--pictures", type=Path, metavar="DIR", help="JPEGs of your own, all different")
    for name, (quick, full) in sizes.items():
        parser.add_argument(f"--{name}", type=int, metavar="N", help=f"{quick}, or {full} with --full")
    also(parser)
    given = parser.parse_args()
    for name, pair in sizes.items():
        if getattr(given, name) is None:
            setattr(given, name, pair[given.full])
    return given


def in_turns(runs: int, measures: Mapping[str, Callable[[Path], T]]) -> dict[str, list[T]]:
    """All of them so many times, each time one after the other; each has an empty folder to work in."""
    found: dict[str, list[T]] = {name: [] for name in measures}
    for _ in range(runs):
        for name, measure in measures.items():
            with tempfile.TemporaryDirectory(prefix="pixcore-bench-") as folder:
                found[name].append(measure(Path(folder)))
    return found


def median(found: Sequence[T], of: Callable[[T], float]) -> float:
    """Of one figure of every run."""
    return statistics.median(map(of, found))


def ratio(ours: Sequence[T], theirs: Sequence[T], of: Callable[[T], float]) -> float:
    """The median of the ratios of the pairs."""
    return statistics.median(of(one) / of(other) for one, other in zip(ours, theirs, strict=True))


def goal(what: str, found: float, *, least: float | None = None, most: float | None = None) -> None:
    """One line: what was found, beside what is wanted where something is."""
    wanted = ""
    if least is not None:
        wanted = f"   wanted at least {least:<5g} {'' if found >= least else 'MISSED'}"
    if most is not None:
        wanted = f"   wanted at most  {most:<5g} {'' if found <= most else 'MISSED'}"
    print(f"  {what:48} {found:8.2f}{wanted}".rstrip(), flush=True)
