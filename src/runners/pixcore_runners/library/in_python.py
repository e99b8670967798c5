"""Errors of a call from Python: messages name arguments as Python writes them."""

import re
from collections.abc import Generator
from contextlib import contextmanager

from pixcore import InvalidRequest

# What messages write for the command: an option, and maybe its value in capital letters.
_OPTION = re.compile(r"(?<![\w-])--([a-z][a-z-]*)(?: (N)\b)?")


@contextmanager
def in_python() -> Generator[None]:
    """Write ``count=N`` instead of ``--count N`` in the message of an ``InvalidRequest`` of the block.

    Raises:
        InvalidRequest: The same exception, with that message.
    """
    try:
        yield
    except InvalidRequest as error:
        error.args = (_OPTION.sub(_argument, str(error)),)
        raise


def _argument(option: re.Match[str]) -> str:
    name, value = option.groups()
    return f"{name.replace('-', '_')}={value or '…'}"
