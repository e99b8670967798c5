"""The error for an image file whose pixels cannot be trusted, whatever its format."""


class Damaged(Exception):
    """Part of the file is missing or wrong; the message says which."""
