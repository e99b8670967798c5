"""Declare the columns of a dataset in the YAML of a card, so that Hugging Face's ``datasets`` infers no type.

Names and classes come from outside. They are written as double-quoted scalars. Every character that could have a
meaning, or that YAML does not allow, is escaped.
"""

from collections.abc import Iterator, Mapping, Sequence

from attrs import frozen


@frozen
class ClassLabel:
    """A column of classes: ``datasets`` numbers the names from 0."""

    names: Sequence[str]


# The type of a column: the name of a type of ``datasets``, such as ``string``, ``int64`` or ``image``; classes; or the
# columns of a struct.
Feature = str | ClassLabel | Mapping[str, "Feature"]


def features(columns: Mapping[str, str], classes: Sequence[str] = ()) -> dict[str, Feature]:
    """Return the features of columns that hold ``"string"`` or ``"integer"``; ``label`` holds ``classes``, if given."""
    found: dict[str, Feature] = {column: "int64" if kind == "integer" else "string" for column, kind in columns.items()}
    if classes and "label" in found:
        found["label"] = ClassLabel(classes)
    return found


def declared(columns: Mapping[str, Feature], *, of_tar: bool) -> Iterator[str]:
    """Yield the lines that declare the columns, to follow the only entry of ``configs`` in a card's YAML.

    ``datasets`` takes the types of tar files from ``dataset_info``, and those of other files from the configuration;
    each ignores the other place. Yields nothing if there are no columns.
    """
    if columns:
        if of_tar:
            yield "dataset_info:"
        yield "  features:"
        yield from _as_yaml(columns, "  ")


def _as_yaml(columns: Mapping[str, Feature], indent: str) -> Iterator[str]:
    """Yield the lines of the YAML list that declares the columns, each starting with ``indent``."""
    for column, feature in columns.items():
        yield f"{indent}- name: {_quoted(column)}"
        match feature:
            case str():
                yield f"{indent}  dtype: {feature}"
            case ClassLabel(names):
                yield f"{indent}  dtype:"
                yield f"{indent}    class_label:"
                yield f"{indent}      names:"
                yield from (f"{indent}        '{number}': {_quoted(name)}" for number, name in enumerate(names))
            case _:
                yield f"{indent}  struct:"
                yield from _as_yaml(feature, f"{indent}  ")


def _quoted(text: str) -> str:
    """Return the text as a double-quoted scalar of YAML, in one line."""
    return f'"{"".join(map(_escaped, text))}"'


def _escaped(letter: str) -> str:
    if letter in '"\\':
        return f"\\{letter}"
    return letter if letter.isprintable() else f"\\U{ord(letter):08x}"
