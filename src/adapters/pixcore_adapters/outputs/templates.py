"""The template engine of the card and of the pages. It escapes all text from outside."""

from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined


def environment(*packages: str, keep_trailing_newline: bool = False) -> Environment:
    """Return an environment for the templates in the folders ``templates`` of packages. An undefined name is an error.

    The first of the packages that has a template provides it.

    Its filter ``number`` writes a number with separators of thousands.
    """
    made = Environment(
        loader=ChoiceLoader([PackageLoader(package) for package in packages]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=keep_trailing_newline,
    )
    made.filters["number"] = lambda number: f"{number:,}"
    return made
