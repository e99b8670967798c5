"""Calls of pixcore that documents and deployment files show."""

import re
from collections.abc import Iterator, Sequence
from contextlib import suppress

import rich_click as click
from click.exceptions import Exit

from pixcore_runners.cli import pixcore


def parse(words: Sequence[str]) -> None:
    """Parse a call of pixcore as the command does, without running it."""
    command: click.Command | None = pixcore
    if [*words] == ["--version"]:
        return
    while isinstance(command, click.Group):
        name, *words = words
        command = command.get_command(click.Context(command), name)
    assert command, f"there is no command {name}"
    with suppress(Exit):  # of an option that prints something and ends
        command.make_context(name, list(words))


def shown(text: str) -> Iterator[str]:
    """Yield the complete calls of pixcore in a text: after a prompt, for systemd, and in a container."""
    yield from re.findall(r"^ *\$ (?:[A-Z_]+=\S+ )*pixcore (.+?)(?: &)?$", text, re.MULTILINE)
    yield from re.findall(r"^ExecStart=/\S+/pixcore (.+)$", text, re.MULTILINE)
    yield from re.findall(r"docker compose run --rm worker (.+)$", text, re.MULTILINE)
    yield from re.findall(r"kubectl .* -- pixcore (.+)$", text, re.MULTILINE)
