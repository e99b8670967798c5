"""Compare files in a child process: hostile files are contained, and the time is bounded."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from copies import COPIES, scene
from pictures import encoded, plain_png

from pixcore_adapters.twins.confirming import Confirmer
from pixcore_adapters.validator.picture import Limits


@pytest.fixture
def pair(tmp_path: Path) -> tuple[Path, Path]:
    """Write a picture and a copy of it."""
    one, other = tmp_path / "one.jpg", tmp_path / "other.jpg"
    one.write_bytes(encoded(scene(1), quality=90))
    other.write_bytes(encoded(COPIES["smaller"](scene(1)), quality=90))
    return one, other


@pytest.fixture
def confirmer() -> Iterator[Confirmer]:
    """Make a confirmer, and end its child after the test."""
    with closing(Confirmer(Limits())) as confirmer:
        yield confirmer


def test_a_twin_is_confirmed_across_the_pipe(confirmer: Confirmer, pair: tuple[Path, Path]) -> None:
    """All features must cross the pipe, and a child that was ended must be started again."""
    for _ in range(2):
        twin = confirmer.find(pair[1], [pair[0]])
        assert twin
        assert twin.place == 0
        assert twin.comparison.sentence().startswith("same picture")
        confirmer.close()


def test_missing_and_hostile_files_are_not_twins(confirmer: Confirmer, pair: tuple[Path, Path], tmp_path: Path) -> None:
    """The next pair must be compared as usual."""
    bomb, torn = tmp_path / "bomb.png", tmp_path / "torn.jpg"
    bomb.write_bytes(plain_png(9000, 9000))
    torn.write_bytes(pair[0].read_bytes()[:2000])
    for hostile in (bomb, torn, tmp_path / "gone.jpg"):
        assert confirmer.find(hostile, [pair[0]]) is None
        assert confirmer.find(pair[1], [hostile]) is None
    assert confirmer.find(pair[1], [pair[0]])


def test_a_pair_that_takes_too_long_is_not_a_pair_of_twins(pair: tuple[Path, Path]) -> None:
    """The child is killed, and a later pair gets a new child."""
    with closing(Confirmer(Limits(), seconds=1e-9)) as hurried:
        assert hurried.find(pair[1], [pair[0]]) is None


def test_all_comparisons_of_a_chunk_have_one_deadline(pair: tuple[Path, Path]) -> None:
    """After the deadline nothing is compared. Seconds in which other processes use the CPU count a quarter."""
    times = iter([0.0, 200.0, 200.0, 244.0])
    with closing(Confirmer(Limits(), deadline=60, clock=lambda: next(times))) as confirmer:
        assert confirmer.find(pair[1], [pair[0]])
        assert confirmer.find(pair[1], [pair[0]])
        assert confirmer.find(pair[1], [pair[0]]) is None


def test_at_most_eight_candidates_are_compared(confirmer: Confirmer, pair: tuple[Path, Path], tmp_path: Path) -> None:
    """The candidates are ordered by distance, the nearest first."""
    others = []
    for seed in range(10, 18):
        others.append(tmp_path / f"{seed}.jpg")
        others[-1].write_bytes(encoded(scene(seed, 160, 120)))
    assert confirmer.find(pair[1], [*others, pair[0]]) is None
    assert confirmer.find(pair[1], [*others[:7], pair[0]])
