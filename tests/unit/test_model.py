"""The values of the model: what they refuse, and how they name chunks and datasets."""

from contextlib import suppress

import pytest
from attrs.exceptions import FrozenInstanceError
from hypothesis import given
from hypothesis import strategies as st

from pixcore.errors import InvalidRequest
from pixcore.model.chunks import Chunk, ChunkKey, ChunkResult, Progress
from pixcore.model.requests import ChunkRequest, Slice, dataset_name

SLICE = Slice("folder", "/a", 0, 5)


@pytest.mark.parametrize(("start", "stop"), [(-1, 3), (3, 3), (4, 3)])
def test_an_empty_slice_is_refused(start: int, stop: int) -> None:
    """An empty or negative slice would silently collect nothing."""
    with pytest.raises(InvalidRequest, match=r"is empty; use 0 <= start < stop"):
        Slice("folder", "/a", start, stop)


def test_a_slice_has_a_length() -> None:
    """Plans add up the numbers of candidates."""
    assert len(Slice("folder", "/a", 3, 10)) == 7


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"index": -1}, "cannot be negative"),
        ({"keyword": " \n"}, "has no `keyword`"),
        ({"target": 0}, "wants 0 images"),
        ({"slices": ()}, "has no slices"),
        ({"dataset": "a/b"}, "dataset name 'a/b' cannot be used"),
    ],
)
def test_a_malformed_chunk_is_refused(wrong: dict[str, object], message: str) -> None:
    """A queue may deliver wrong data, which must fail here and not in the middle of the chunk."""
    right: dict[str, object] = {"index": 0, "keyword": "cat", "target": 1, "slices": (SLICE,)}
    with pytest.raises(InvalidRequest, match=message):
        ChunkRequest(**right | wrong)  # type: ignore[arg-type] # any field, one of them wrong


def test_a_request_is_a_value() -> None:
    """Requests are compared with those of the database and kept in sets, even if their slices come as a list."""
    one = ChunkRequest(0, "cat", 1, [SLICE])
    assert {one} == {ChunkRequest(0, "cat", 1, (SLICE,))}
    with pytest.raises(FrozenInstanceError):
        one.target = 2  # type: ignore[misc] # the assignment must fail


@pytest.mark.parametrize("bad", ["", ".", "..", ".hidden", "-rf", "a/b", "a b", "a\n", "a\0", "a" * 101])
def test_a_dataset_name_is_safe_in_keys_and_paths(bad: str) -> None:
    """The name becomes a folder of the store, so it must not be a path, a hidden file or look like an option."""
    with pytest.raises(InvalidRequest, match="dataset name"):
        dataset_name(bad)


@pytest.mark.parametrize("good", ["cats", "猫", "a" * 100, "v1.2_x-y", "0"])
def test_a_dataset_may_be_named_in_any_language(good: str) -> None:
    """Users may name datasets in their own language."""
    assert dataset_name(good) == good


def test_a_dataset_name_has_one_spelling() -> None:
    """The same letters typed on two systems must name the same dataset."""
    assert dataset_name("cafe\N{COMBINING ACUTE ACCENT}") == "caf\N{LATIN SMALL LETTER E WITH ACUTE}"


@given(st.text())
def test_a_dataset_name_is_stable_or_refused(text: str) -> None:
    """A name that is read back from the database must be accepted unchanged."""
    with suppress(InvalidRequest):
        name = dataset_name(text)
        assert dataset_name(name) == name


@pytest.mark.parametrize(
    ("key", "name", "blob"),
    [
        (ChunkKey("", 7), "7", "chunk_7.zip"),
        (ChunkKey("cats", 12), "cats/12", "cats/data/chunk_12.zip"),
    ],
)
def test_a_chunk_has_one_name_and_one_blob_key(key: ChunkKey, name: str, blob: str) -> None:
    """Users and other programs rely on these places of archives."""
    assert (str(key), key.blob_key(".zip")) == (name, blob)


def test_a_chunk_is_named_by_its_id_not_its_index() -> None:
    """The database allocates ids; the index only counts within the dataset."""
    assert Chunk(31, ChunkRequest(2, "cat", 1, (SLICE,), dataset="cats")).key == ChunkKey("cats", 31)


def test_the_shortfall_is_the_number_of_missing_images() -> None:
    """A chunk below its target must show how many images are missing."""
    assert ChunkResult("u", "s", 1, 500, 1, Progress(accepted=477), {}).shortfall == 23
