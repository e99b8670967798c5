"""The errors of many chunks, grouped for the user."""

import pytest

from pixcore_adapters.status_repo.overviews import grouped, masked


@pytest.mark.parametrize(
    ("error", "shown"),
    [
        ("cannot read 'caf\u00e9 1.jpg': gone", "cannot read '…': gone"),
        ('cannot read "it\'s mine.jpg"', "cannot read '…'"),
        ("cannot read 'it's mine.jpg'", "cannot read '…'"),
        ("its worker's lease on 'a' ended", "its worker's lease on '…' ended"),
        ("no 'a' in 'b\nc'", "no '…' in '…'"),
        ("its worker's lease isn't 60 s", "its worker's lease isn't N s"),
        ("the workers' 2 leases", "the workers' N leases"),
        ("http_503 after 12.5 s at 10.0.0.1:80", "http_N after N.N s at N.N.N.N:N"),
        ("''", "'…'"),
        ("an open 'quote", "an open 'quote"),
        ("", ""),
    ],
)
def test_quoted_names_and_numbers_are_masked(error: str, shown: str) -> None:
    """These differ from chunk to chunk; an apostrophe must not count as a quote."""
    assert masked(error) == shown


def test_errors_that_are_equal_when_masked_are_one() -> None:
    """Their counts are added; errors are sorted by the sum, and then by text."""
    errors = {"lost 'b'": 1, "full": 2, "lost 'a'": 2, "and 1": 1, "and 22": 1}
    assert list(grouped(errors).items()) == [("lost '…'", 3), ("and N", 2), ("full", 2)]


def test_only_the_twenty_most_frequent_errors_are_listed() -> None:
    """Hundreds of kinds of errors would not fit on a screen."""
    errors = {"x" * (n + 1): n for n in range(1, 300)}
    assert list(grouped(errors).values()) == list(range(299, 279, -1))
