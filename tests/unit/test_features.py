"""The types of columns in a card's YAML: any name of a column or class comes back."""

from collections.abc import Sequence
from typing import Any

import yaml
from hypothesis import given
from hypothesis import strategies as st

from pixcore_adapters.outputs.features import ClassLabel, declared, features

# PyYAML reads no lone surrogate, and no row holds one
texts = st.text(st.characters(codec="utf-8")) | st.sampled_from(["---", "a: b", "'#", "\u2028\x85\ufeff", "null", "🐈"])


@given(st.lists(texts, min_size=1, max_size=4, unique=True), st.lists(texts, min_size=1, max_size=4, unique=True))
def test_names_from_outside_cannot_break_the_yaml(columns: Sequence[str], classes: Sequence[str]) -> None:
    """A column of a list may be called as it likes; one that breaks the card would hide the whole dataset."""
    typed = features(dict.fromkeys(columns, "integer")) | {"its class": ClassLabel(classes), "nested": {"a": "string"}}
    card: dict[str, Any] = yaml.safe_load(
        "\n".join(["configs:", "- config_name: default", *declared(typed, of_tar=False)])
    )
    (config,) = card["configs"]
    of_tar: dict[str, Any] = yaml.safe_load("\n".join(declared(typed, of_tar=True)))
    assert config["features"] == of_tar["dataset_info"]["features"]
    assert [one["name"] for one in config["features"]] == list(typed)
    *numbers, labels, nested = config["features"]
    assert all(one["dtype"] == "int64" for one in numbers)
    assert list(labels["dtype"]["class_label"]["names"].values()) == list(classes)
    assert nested["struct"] == [{"name": "a", "dtype": "string"}]
