"""The description of a setting for users, and fields for common kinds of settings."""

from collections.abc import Sequence
from typing import Any

from attrs import field, frozen
from attrs.validators import ge, gt, in_, le, not_, optional

from pixcore_runners.settings.permitted import BITS, BROKER, COUNT, MOST, NUMBER, SECONDS, WEEK


@frozen
class About:
    """The description of a setting: one line of help, what a value must be, and whether it has a flag."""

    help: str
    expects: str
    flag: bool = False


def described(text: str, expects: str, *, flag: bool = False) -> dict[str, About]:
    """Return the metadata of a setting."""
    return {"about": About(text, expects, flag)}


def option(text: str, expects: str, default: object = None) -> Any:  # noqa: ANN401 - a field of any type
    """Return the field of a setting of any type that has a flag."""
    return field(default=default, metadata=described(text, expects, flag=True))


def choice(default: str | None, choices: Sequence[str], text: str, *, flag: bool = False) -> Any:  # noqa: ANN401 - a field
    """Return the field of a setting that is one of several texts."""
    about = described(text, f"one of: {', '.join(choices)}", flag=flag)
    return field(default=default, validator=optional(in_(choices)), metadata=about)


def least(default: float, text: str, expects: str = NUMBER) -> Any:  # noqa: ANN401 - a field
    """Return the field of a setting that is a number of at least 0."""
    return field(default=default, validator=ge(0), metadata=described(text, expects))


def several(text: str, expects: str, *, flag: bool = False) -> Any:  # noqa: ANN401 - a field
    """Return the field of a setting that has several values, by default none."""
    return field(default=(), metadata=described(text, expects, flag=flag))


def count(default: int | None, text: str, *, flag: bool = False) -> Any:  # noqa: ANN401 - a field
    """Return the field of a setting that is a whole number of at least 1."""
    return field(default=default, validator=[ge(1), le(MOST)], metadata=described(text, COUNT, flag=flag))


def copies(default: int, text: str) -> Any:  # noqa: ANN401 - a field
    """Return the field of a setting that limits copies, and has a flag: 0 for no limit, or at least 2."""
    about = described(text, f"0, or a whole number from 2 to {MOST}", flag=True)
    return field(default=default, validator=[ge(0), le(MOST), not_(in_((1,)))], metadata=about)


def seconds(default: float, text: str) -> Any:  # noqa: ANN401 - a field
    """Return the field of a setting that is a time in seconds."""
    return field(default=default, validator=[gt(0), le(WEEK)], metadata=described(text, SECONDS))


def bits(default: int, text: str) -> Any:  # noqa: ANN401 - a field
    """Return the field of a setting that is a number of the 64 bits of a hash."""
    return field(default=default, validator=[ge(0), le(64)], metadata=described(text, BITS))


def up_to(most: int, default: int, text: str, expects: str) -> Any:  # noqa: ANN401 - a field
    """Return the field of a setting that is a whole number from 0 to ``most``."""
    return field(default=default, validator=[ge(0), le(most)], metadata=described(text, expects))


def service(text: str) -> dict[str, About]:
    """Return the metadata of a setting that is the URL of a broker or a similar service."""
    return described(text, BROKER)
