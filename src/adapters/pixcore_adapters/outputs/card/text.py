"""Show text from outside, such as a label or a licence, on one short line."""

_LONGEST = 100  # characters


def plain(text: str) -> str:
    """Remove line breaks, control characters and marks that change the direction of writing; shorten long text."""
    text = " ".join("".join(letter if letter.isprintable() else " " for letter in text).split())
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"
