"""The template engine of the card and the report. It escapes all text from outside."""

from jinja2 import Environment, PackageLoader, StrictUndefined


def environment(package: str, *, keep_trailing_newline: bool = False) -> Environment:
    """Return an environment for the templates in the folder ``templates`` of a package. An undefined name is an error.

    Its filter ``number`` writes a number with separators of thousands.
    """
    made = Environment(
        loader=PackageLoader(package),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=keep_trailing_newline,
    )
    made.filters["number"] = lambda number: f"{number:,}"
    return made
