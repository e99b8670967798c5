"""Limit what the core imports from outside; import-linter checks the imports between the packages of the project."""

import ast
import sys
from pathlib import Path

import pytest

import pixcore

CORE = Path(pixcore.__file__).parent
ALLOWED = {*sys.stdlib_module_names, "attrs", "tenacity", "pixcore"}


def imports(source: str) -> set[str]:
    """Return the top-level names of all modules that ``source`` imports anywhere."""
    modules = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            modules |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            modules.add(node.module.partition(".")[0])
    return modules


@pytest.mark.parametrize("module", sorted(CORE.rglob("*.py")), ids=lambda path: str(path.relative_to(CORE)))
def test_the_core_imports_only_the_standard_library_attrs_and_tenacity(module: Path) -> None:
    """A third-party import in the core would tie every user to that package."""
    assert imports(module.read_text()) <= ALLOWED


def test_imports_are_found_anywhere_in_a_module() -> None:
    """The test above must also find imports inside a function or behind TYPE_CHECKING."""
    source = """
import os.path
from . import sibling
def later():
    import PIL.Image
if TYPE_CHECKING:
    from numpy.typing import NDArray
"""
    assert imports(source) == {"os", "PIL", "numpy"}
