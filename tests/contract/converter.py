"""The contract of every converter: tests of the promises in ``pixcore.ports.converter``."""

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from pixcore.model.conversion import CHANGES, Conversion, Converted, Unconverted
from pixcore.ports.converter import Converter

Store = Callable[..., list[tuple[Path, Path]]]

HOW = Conversion(size=32)


class ConverterContract(ABC):
    """A subclass provides the ``converter`` fixture and bytes that this converter understands."""

    LOOK_AHEAD = 64  # files; enough to keep the workers of any converter busy

    @pytest.fixture
    @abstractmethod
    def converter(self) -> Converter:
        """Return a converter with its default limits."""

    @abstractmethod
    def picture(self, seed: int) -> bytes:
        """Build an upright picture of 96 x 64 pixels; each seed gives a different one."""

    @pytest.fixture
    def store(self, tmp_path: Path) -> Store:
        """Write bytes to files, and return each with the path for its result."""

        def store(*contents: bytes) -> list[tuple[Path, Path]]:
            pairs = []
            for number, content in enumerate(contents):
                source = tmp_path / str(number)
                source.write_bytes(content)
                pairs.append((source, tmp_path / f"{number}.converted"))
            return pairs

        return store

    def test_one_outcome_a_file_in_order(self, converter: Converter, store: Store) -> None:
        """Rows are matched to images by their order."""
        pairs = store(*map(self.picture, range(5)), b"no picture", *map(self.picture, range(5, 8)), b"")
        found = list(converter.convert(pairs, HOW))
        assert [type(outcome) for outcome in found] == [Converted] * 5 + [Unconverted] + [Converted] * 3 + [Unconverted]
        assert [outcome.path for outcome in found if isinstance(outcome, Converted)] == [
            target for number, (_, target) in enumerate(pairs) if number not in (5, 9)
        ]

    def test_a_result_is_as_described(self, converter: Converter, store: Store) -> None:
        """Rows and the checks of archives depend on it."""
        [pair] = store(self.picture(1))
        [made] = converter.convert([pair], HOW)
        assert isinstance(made, Converted)
        data = made.path.read_bytes()
        assert (made.path, made.size, made.sha256) == (pair[1], len(data), hashlib.sha256(data).hexdigest())
        assert (made.width, made.height) == (48, 32)
        assert made.format
        assert set(made.changes) <= CHANGES.keys()

    def test_the_same_bytes_give_the_same_result(self, converter: Converter, store: Store) -> None:
        """An export that is repeated, and a chunk that is tried again, must not differ."""
        pairs = store(*[self.picture(1)] * 6)
        assert len({made.sha256 for made in converter.convert(pairs, HOW) if isinstance(made, Converted)}) == 1
        assert len({target.read_bytes() for _, target in pairs}) == 1

    def test_what_cannot_be_converted_leaves_no_result(self, converter: Converter, store: Store) -> None:
        """Whatever is at the path, no exception is raised, and the next file is converted."""
        text, gone, fine = store(b"<!DOCTYPE html>", b"", self.picture(1))
        gone[0].unlink()
        found = list(converter.convert([text, gone, fine], HOW))
        assert [isinstance(outcome, Converted) for outcome in found] == [False, False, True]
        assert all(outcome.reason for outcome in found if isinstance(outcome, Unconverted))
        assert [target.exists() for _, target in (text, gone, fine)] == [False, False, True]

    def test_leaves_the_files_as_they_are(self, converter: Converter, store: Store) -> None:
        """They are compared with other images afterwards."""
        contents = [self.picture(1), b"no picture"]
        pairs = store(*contents)
        list(converter.convert(pairs, HOW))
        assert [source.read_bytes() for source, _ in pairs] == contents
        assert len(list(pairs[0][0].parent.iterdir())) == 3

    def test_draws_lazily_and_ahead_by_a_bounded_number(self, converter: Converter, store: Store) -> None:
        """Otherwise a whole dataset would be unpacked before the first result."""
        pairs = store(*[self.picture(1)] * (2 * self.LOOK_AHEAD))
        drawn = iter(pairs)
        converter.convert(drawn, HOW).close()
        assert next(drawn) is pairs[0]
        with closing(converter.convert(drawn, HOW)) as found:
            next(found)
            assert len(list(drawn)) >= len(pairs) - self.LOOK_AHEAD

    def test_may_be_closed_early_and_used_again(self, converter: Converter, store: Store) -> None:
        """A chunk stops at its target; the worker goes on with the next chunk."""
        pairs = store(*map(self.picture, range(6)))
        with closing(converter.convert(pairs, HOW)) as found:
            next(found)
        assert all(isinstance(outcome, Converted) for outcome in converter.convert(pairs, HOW))

    def test_an_error_of_the_source_passes_through(self, converter: Converter, store: Store) -> None:
        """The caller handles a store that fails."""

        def failing() -> Iterator[tuple[Path, Path]]:
            yield from store(self.picture(1))
            raise ConnectionError("the store is gone")

        with pytest.raises(ConnectionError, match="the store is gone"):
            list(converter.convert(failing(), HOW))
