"""Fetching over the web, safely: what every web source uses. ``policy`` is light; ``fetcher`` brings the client."""
