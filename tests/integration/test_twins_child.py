"""Comparing files in a child process: what hostile files do to it, and how long it may take."""

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
    """Make a confirmer whose child is ended."""
    with closing(Confirmer(Limits())) as confirmer:
        yield confirmer


def test_a_twin_is_confirmed_across_the_pipe(confirmer: Confirmer, pair: tuple[Path, Path]) -> None:
    """With all that was found; and a child that was ended is started again."""
    for _ in range(2):
        twin = confirmer.find(pair[1], [pair[0]])
        assert twin
        assert twin.place == 0
        assert twin.comparison.sentence().startswith("same picture")
        confirmer.close()


def test_files_that_are_gone_or_hostile_are_no_twins(
    confirmer: Confirmer, pair: tuple[Path, Path], tmp_path: Path
) -> None:
    """And the next pair is compared as if they had not been there."""
    bomb, torn = tmp_path / "bomb.png", tmp_path / "torn.jpg"
    bomb.write_bytes(plain_png(9000, 9000))
    torn.write_bytes(pair[0].read_bytes()[:2000])
    for hostile in (bomb, torn, tmp_path / "gone.jpg"):
        assert confirmer.find(hostile, [pair[0]]) is None
        assert confirmer.find(pair[1], [hostile]) is None
    assert confirmer.find(pair[1], [pair[0]])


def test_a_pair_that_takes_too_long_is_none_of_twins(pair: tuple[Path, Path]) -> None:
    """The child is killed; a later pair has another one."""
    with closing(Confirmer(Limits(), seconds=1e-9)) as hurried:
        assert hurried.find(pair[1], [pair[0]]) is None


def test_all_comparisons_of_a_chunk_have_one_deadline(pair: tuple[Path, Path]) -> None:
    """Once it has passed, nothing is compared any more."""
    times = iter([0.0, 50.0, 50.0, 61.0])
    with closing(Confirmer(Limits(), deadline=60, clock=lambda: next(times))) as confirmer:
        assert confirmer.find(pair[1], [pair[0]])
        assert confirmer.find(pair[1], [pair[0]])
        assert confirmer.find(pair[1], [pair[0]]) is None


def test_at_most_eight_candidates_are_compared(confirmer: Confirmer, pair: tuple[Path, Path], tmp_path: Path) -> None:
    """The nearest come first."""
    others = []
    for seed in range(10, 18):
        others.append(tmp_path / f"{seed}.jpg")
        others[-1].write_bytes(encoded(scene(seed, 160, 120)))
    assert confirmer.find(pair[1], [*others, pair[0]]) is None
    assert confirmer.find(pair[1], [*others[:7], pair[0]])
