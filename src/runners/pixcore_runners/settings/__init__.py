"""Configuration: flags > environment > .env > pixcore.toml > defaults. See docs/configuration.md."""

from pixcore_runners.settings.described import About
from pixcore_runners.settings.layers import Loaded, environment_here, load, load_here, with_setting
from pixcore_runners.settings.urls import SecretUrl
from pixcore_runners.settings.values import Settings, about

__all__ = ["About", "Loaded", "SecretUrl", "Settings", "about", "environment_here", "load", "load_here", "with_setting"]
