"""The command line and the output of benchmarks: quick or full, medians of interleaved runs, ratios beside goals."""

import argparse
import statistics
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")


def arguments(
    doc: str | None,
    *,
    pictures: bool = False,
    also: Callable[[argparse.ArgumentParser], object] = lambda _: None,
    **sizes: tuple[int, int],
) -> argparse.Namespace:
    """Parse the command line. Each size has a quick default and one for ``--full``. ``also`` adds options."""
    parser = argparse.ArgumentParser(description=(doc or "").splitlines()[0])
    parser.add_argument("--full", action="store_true", help="run longer, for reliable figures")
    if pictures:
        parser.add_argument("--pictures", type=Path, metavar="DIR", help="a folder of your own JPEGs, all different")
    for name, (quick, full) in sizes.items():
        parser.add_argument(f"--{name}", type=int, metavar="N", help=f"{quick}, or {full} with --full")
    also(parser)
    args = parser.parse_args()
    for name, pair in sizes.items():
        if getattr(args, name) is None:
            setattr(args, name, pair[args.full])
    return args


def interleaved(runs: int, measures: Mapping[str, Callable[[Path], T]]) -> dict[str, list[T]]:
    """Run all measures in turn, ``runs`` times, each in an empty folder; return the results by name."""
    found: dict[str, list[T]] = {name: [] for name in measures}
    for _ in range(runs):
        for name, measure in measures.items():
            with tempfile.TemporaryDirectory(prefix="pixcore-bench-") as folder:
                found[name].append(measure(Path(folder)))
    return found


def median(found: Sequence[T], of: Callable[[T], float]) -> float:
    """Return the median of one figure over all runs."""
    return statistics.median(map(of, found))


def ratio(ours: Sequence[T], theirs: Sequence[T], of: Callable[[T], float]) -> float:
    """Return the median of the ratios of paired runs."""
    return statistics.median(of(one) / of(other) for one, other in zip(ours, theirs, strict=True))


def print_figure(name: str, found: float, *, least: float | None = None, most: float | None = None) -> None:
    """Print one figure, beside its goal if it has one."""
    goal = ""
    if least is not None:
        goal = f"   goal: at least {least:<5g} {'' if found >= least else 'MISSED'}"
    if most is not None:
        goal = f"   goal: at most  {most:<5g} {'' if found <= most else 'MISSED'}"
    print(f"  {name:48} {found:8.2f}{goal}".rstrip(), flush=True)
