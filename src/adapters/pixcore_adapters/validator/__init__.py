"""Adapters of the validator port: ``pillow`` really decodes, ``memory`` is for tests."""
