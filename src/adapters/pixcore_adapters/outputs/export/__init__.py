"""Write a dataset in other layouts, one module each. An export appears whole or not at all."""

from collections import Counter
from collections.abc import Callable, Generator, Iterable, Mapping

from pixcore.stored.samples import Sample
from pixcore_adapters.outputs.export.card import card
from pixcore_adapters.outputs.export.destinations import Destination
from pixcore_adapters.outputs.export.layout import Layout


def export(
    samples: Iterable[Sample],
    layout: Layout,
    out: Destination,
    title: str,
    *,
    note: Callable[[str], None] = lambda _: None,
) -> Mapping[str, int]:
    """Write the samples in a layout to a destination, with a card that says how to load them; return the splits' sizes.

    The files appear together when everything is written. Then ``note`` is called with each of the layout's notes. The
    same samples give the same files.

    Raises:
        PixcoreError: As ``Destination.writing`` raises it.
        Exception: Whatever ``samples`` raises.
    """
    counts: Counter[str] = Counter()

    def counted() -> Generator[Sample]:
        for sample in samples:
            counts[sample.split] += 1
            yield sample

    with out.writing() as files:
        loading = layout.write(counted(), files)
        with files.create("README.md") as path:
            path.write_text(card(title, loading, counts), encoding="utf-8")
    for line in loading.notes:
        note(line)
    return dict(counts)
