"""Record a command in a terminal, as a picture in SVG: its last screen, or several screens one after another."""

import codecs
import fcntl
import os
import pty
import re
import select
import struct
import subprocess
import termios
import time
from collections.abc import Mapping, Sequence
from itertools import groupby
from pathlib import Path

import pyte
from rich.console import Console
from rich.style import Style
from rich.terminal_theme import MONOKAI
from rich.text import Text

COLUMNS, LINES = 96, 40
_NAMES = {"brown": "yellow"}  # what pyte calls a colour of the terminal differently
_PROMPT = Text.assemble(("$ ", "green"))
_FONTS = re.compile(r"@font-face \{.*?\}\s*", re.DOTALL)  # they would be loaded from another host
_SECONDS = 1.2  # that each screen of an animation is shown; the last one three times as long


def record(command: str, folder: Path, environment: Mapping[str, str], *, every: float = 0) -> list[Text]:
    """Run a command in a terminal; return its screens: one every so many seconds, if not 0, and the last one.

    Raises:
        subprocess.CalledProcessError: The command failed.
    """
    screen = pyte.HistoryScreen(COLUMNS, LINES, history=1000)
    stream, decoder = pyte.Stream(screen), codecs.getincrementaldecoder("utf-8")("replace")
    leader, follower = pty.openpty()
    fcntl.ioctl(follower, termios.TIOCSWINSZ, struct.pack("HHHH", LINES, COLUMNS, 0, 0))
    around = {**environment, "TERM": "xterm-256color", "COLUMNS": str(COLUMNS), "LINES": str(LINES)}
    process = subprocess.Popen(  # noqa: S602 - our own commands
        command, shell=True, cwd=folder, env=around, stdin=follower, stdout=follower, stderr=follower
    )
    os.close(follower)
    screens: list[Text] = []
    shown = time.monotonic()
    while True:
        if select.select([leader], [], [], 0.05)[0]:
            try:
                data = os.read(leader, 65536)
            except OSError:  # the terminal was closed
                break
            stream.feed(decoder.decode(data))
        if every and time.monotonic() - shown > every:
            shown = time.monotonic()
            screens.append(_text(command, screen))
    os.close(leader)
    if code := process.wait():
        raise subprocess.CalledProcessError(code, command, "\n".join(screen.display))
    return [*screens, _text(command, screen)]


def picture(screens: Sequence[Text], title: str) -> str:
    """Return an SVG that shows the screens in turn, without end. Readers who want no motion see the last one."""
    height = max(len(screen.split("\n")) for screen in screens) + 1  # rich cuts the lower edge of the last line
    drawn = [_drawn(screen, number, height, title) for number, screen in enumerate(screens)]
    if len(drawn) == 1:
        return drawn[0]
    box = re.search(r'viewBox="([^"]+)"', drawn[0])
    assert box
    total = _SECONDS * (len(drawn) + 2)
    share = 100 / (len(drawn) + 2)
    style, frames = [".frame { visibility: hidden; }"], []
    for number, frame in enumerate(drawn):
        start, end = share * number, 100 if number == len(drawn) - 1 else share * (number + 1)
        before = "" if number == 0 else f"0%, {start:.2f}% {{ visibility: hidden; }} "
        after = "" if end == 100 else f"{end:.2f}%, 100% {{ visibility: hidden; }}"
        style.append(
            f"@keyframes show{number} {{ {before}{start + 0.01:.2f}%, {end - 0.01:.2f}% {{ visibility: visible; }}"
            f" {after} }} .frame{number} {{ animation: show{number} {total:.1f}s step-end infinite; }}"
        )
        frames.append(f'<g class="frame frame{number}">{frame}</g>')
    last = len(drawn) - 1
    style.append(
        "@media (prefers-reduced-motion: reduce) { .frame { animation: none; }"
        f" .frame{last} {{ visibility: visible; }} }}"
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="{box[1]}"><style>{" ".join(style)}</style>'
        f"{''.join(frames)}</svg>\n"
    )


def _drawn(screen: Text, number: int, height: int, title: str) -> str:
    with Path(os.devnull).open("w") as nowhere:
        console = Console(record=True, width=COLUMNS, height=height, file=nowhere, color_system="truecolor")
        lines = screen.split("\n")
        console.print(Text("\n").join([*lines, *[Text()] * (height - len(lines))]), soft_wrap=True)
        svg = console.export_svg(title=title, theme=MONOKAI, unique_id=f"terminal{number}")
    return _FONTS.sub("", svg).replace("Fira Code", "DejaVu Sans Mono, Menlo, Consolas")


def _text(command: str, screen: pyte.HistoryScreen) -> Text:
    """Return the command and what the terminal shows, with its colours."""
    lines = [*screen.history.top, *(screen.buffer[number] for number in range(LINES))]
    texts = [_line(line) for line in lines]
    while texts and not texts[-1].plain.strip():
        texts.pop()
    return Text("\n").join([Text.assemble(_PROMPT, command), *texts])


def _line(line: Mapping[int, pyte.screens.Char]) -> Text:
    cells = [line[column] for column in range(COLUMNS)]
    parts = [("".join(cell.data for cell in group), style) for style, group in groupby(cells, _style)]
    text = Text.assemble(*parts)
    text.rstrip()
    return text


def _style(cell: pyte.screens.Char) -> Style:
    colour = _NAMES.get(cell.fg, cell.fg)
    if re.fullmatch("[0-9a-f]{6}", colour):
        colour = f"#{colour}"
    elif colour.startswith("bright"):
        colour = f"bright_{colour.removeprefix('bright')}"
    return Style(color=None if colour == "default" else colour, bold=cell.bold, italic=cell.italics)
