"""The rules that `pixcore apply` gives to existing chunks."""

from pathlib import Path
from typing import Any

import pytest

from pixcore import InvalidRequest, NearRule, Quality, TwinRule
from pixcore_runners.planning.new_rules import rules_of_file, rules_of_options
from pixcore_runners.settings import Settings


def changed(before: Quality, *, drop: str | None = None, **given: Any) -> Quality:  # noqa: ANN401 - of the settings
    """Return the rules after these options."""
    new = rules_of_options("cats", Settings(**given), dict.fromkeys(given, True), drop, None)
    return new.rules(before)


def test_options_change_only_what_they_name() -> None:
    """A dataset was planned with rules of its own; the settings of the day must not replace the others."""
    before = Quality(min_width=300, drop=("dark",), near=NearRule(3, 4), keep_rejected=True)
    assert changed(before) == before
    assert changed(before, min_height=90) == Quality(300, 90, NearRule(3, 4), drop=("dark",), keep_rejected=True)
    assert changed(before, near_phash=7).near == NearRule(7, 4)
    assert (changed(before, drop="none").drop, changed(before, drop="blurry, text").drop) == ((), ("blurry", "text"))
    assert changed(before, near="report").twins is TwinRule.REPORT
    with pytest.raises(InvalidRequest, match="no flag 'ugly'; use none or some of: dark"):
        changed(before, drop="ugly")


def test_chunks_that_drop_by_hashes_go_on_to_do_so(tmp_path: Path) -> None:
    """That rule cannot be asked for any more, and `drop` in a file or an option is no reason to leave it."""
    before = Quality(twins=TwinRule.HASHES)
    assert changed(before, near="drop").twins is TwinRule.HASHES
    assert changed(before, near="off").twins is TwinRule.OFF
    file = tmp_path / "cats.toml"
    file.write_text('source = ["folder:."]\n[quality]\nmin_width = 70\n[[keyword]]\nname = "cat"\n')
    new = rules_of_file(file, Settings())
    assert new.dataset == "cats"
    assert new.rules(before) == Quality(min_width=70, twins=TwinRule.HASHES)
    assert new.rules(Quality(min_width=300)) == Quality(min_width=70)
