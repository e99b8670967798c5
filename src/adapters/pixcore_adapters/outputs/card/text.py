"""Strangers' words on one short line, whatever they hold."""

_LONGEST = 100  # characters


def plain(word: str) -> str:
    """The word without line breaks, control characters and marks that turn the text's direction; cut when long."""
    text = " ".join("".join(letter if letter.isprintable() else " " for letter in word).split())
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"
