"""Errors of a call from Python: messages name arguments as Python writes them."""

import re
from collections.abc import Generator
from contextlib import contextmanager

from pixcore import InvalidRequest

# What messages write for the command: an option, and maybe a number or a source as its value.
_OPTION = re.compile(r"(?<![\w-])--([a-z][a-z-]*)(?: (N\b|\d+|(?:folder|urls):[^\s;,]+|openverse))?")

# The command, with a keyword and an argument that is written for Python already.
_RUN = re.compile(r"pixcore run (?:('[^']+') )?(\w+=[^;\s]+)")


@contextmanager
def in_python() -> Generator[None]:
    """Write ``count=N`` for ``--count N``, and so on, in the message of an ``InvalidRequest`` of the block.

    Raises:
        InvalidRequest: The same exception, with that message.
    """
    try:
        yield
    except InvalidRequest as error:
        message = _OPTION.sub(_argument, str(error).removeprefix("flag: "))
        error.args = (_RUN.sub(lambda call: f"px.collect({', '.join(filter(None, call.groups()))})", message),)
        raise


def _argument(option: re.Match[str]) -> str:
    name, value = option[1].replace("-", "_"), option[2]
    if value and not value.isdigit() and value != "N":
        value = f'"{value}"'
    return f"{name}={value or '…'}"
