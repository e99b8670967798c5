"""Create small installed distributions for tests: modules and a ``.dist-info``."""

from collections.abc import Mapping
from pathlib import Path

Entries = Mapping[str, Mapping[str, str]]


def installed(folder: Path, name: str, entries: Entries, **modules: str) -> Path:
    """Install a distribution in a folder: entry points by group and name, modules by name; return the folder."""
    info = folder / f"{name.replace('-', '_')}-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    lines = (
        line for group in entries for line in (f"[{group}]", *(f"{one} = {at}" for one, at in entries[group].items()))
    )
    (info / "entry_points.txt").write_text("\n".join([*lines, ""]))
    for module, text in modules.items():
        (folder / f"{module}.py").write_text(text)
    return folder
