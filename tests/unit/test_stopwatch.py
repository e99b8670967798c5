"""A stopwatch counts each second of an attempt for exactly one phase."""

from contextlib import suppress

from pixcore.chunk.stopwatch import Stopwatch
from pixcore.model.chunks import Phase


def test_an_inner_phase_pauses_the_outer_one() -> None:
    """Packing draws an image that has to be downloaded: the download is no time of packing."""
    now = [0.0]
    watch = Stopwatch(clock=lambda: now[0])
    now[0] = 5.0
    with watch.measure(Phase.COMPRESS):
        now[0] += 1
        for _ in range(2):
            with watch.measure(Phase.DOWNLOAD):
                now[0] += 10
            now[0] += 2
    now[0] += 100
    assert list(watch.seconds().items()) == [(Phase.DOWNLOAD, 20.0), (Phase.COMPRESS, 5.0)]


def test_a_block_that_fails_is_counted_and_ends() -> None:
    """The time until a failure belongs to its phase, and the outer phase goes on."""
    now = [0.0]
    watch = Stopwatch(clock=lambda: now[0])
    with watch.measure(Phase.UPLOAD):
        with suppress(OSError), watch.measure(Phase.DOWNLOAD):
            now[0] += 0.25
            raise OSError("away")
        now[0] += 0.5
    assert watch.seconds() == {Phase.UPLOAD: 0.5, Phase.DOWNLOAD: 0.25}
