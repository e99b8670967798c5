"""Numbers of candidates: as text and back, and as keys and back."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pixcore.model.images import CandidateKey
from pixcore.model.positions import Allocation, as_text, candidate_number, from_text, listed_key
from pixcore.model.requests import Slice

SLICES = (Slice("urls", "a", 5, 8, "lists/a"), Slice("bing", "cat", 0, 2), Slice("urls", "a", 20, 22, "lists/b"))


@given(st.lists(st.integers(0, 10_000)))
def test_numbers_come_back_in_their_order(numbers: list[int]) -> None:
    """Whatever their order, because an archive's is recorded too."""
    assert from_text(as_text(numbers)) == numbers


def test_a_run_is_short_however_long_it_is() -> None:
    """A million dead links in a row cost a few bytes."""
    assert as_text(range(1_000_000)) == "0-999999"
    assert as_text([*range(42), 50, 43, 44]) == "0-41,50,43-44"
    assert (as_text([]), from_text("")) == ("", [])


def test_numbers_and_keys_belong_together() -> None:
    """The number counts through all slices; a search gives no lasting key."""
    keys = [("urls", "a", 5), ("urls", "a", 6), ("urls", "a", 7), ("bing", "cat", 0), ("bing", "cat", 1)]
    keys += [("urls", "a", 20), ("urls", "a", 21)]
    for number, key in enumerate(keys):
        assert candidate_number(SLICES, CandidateKey(*key)) == number
        assert listed_key(SLICES, number) == (None if key[0] == "bing" else CandidateKey(*key))
    assert candidate_number(SLICES, CandidateKey("urls", "a", 8)) is None
    assert listed_key(SLICES, 7) is None


@pytest.mark.parametrize(("next_", "unclaimed"), [(3, 7), (10, 0), (12, 0)])
def test_what_no_chunk_has_is_counted(next_: int, unclaimed: int) -> None:
    """A list that a plan did not name to its end has nothing to give."""
    assert Allocation("urls", "a", next_, 10, "lists/a").unclaimed == unclaimed
