"""Join the parts of a page: its own style sheets and scripts, and those that all pages share."""

from collections.abc import Sequence
from importlib.resources import files

from jinja2 import Environment

from pixcore_adapters.outputs.templates import environment

_SHARED = "pixcore_adapters.outputs.page"


def page_environment(package: str) -> Environment:
    """Return an environment for the templates of a page's package, which may import those that all pages share."""
    return environment(package, _SHARED)


def style(package: str, names: Sequence[str]) -> str:
    """Return these style sheets, which are parts of the page's package or shared, as one."""
    return "\n".join(_text(package, f"{name}.css") for name in names)


def script(package: str, names: Sequence[str]) -> str:
    """Return these scripts as one. Their names are visible to each other, but not outside."""
    return '"use strict";\n(() => {\n' + "\n".join(_text(package, f"{name}.js") for name in names) + "})();\n"


def _text(package: str, name: str) -> str:
    own = files(package) / "templates" / name
    return (own if own.is_file() else files(_SHARED) / "templates" / name).read_text("utf-8")
