"""The demo's synthetic pictures and web site. They come from a seed, so the expected verdict on each file is known."""

from pixcore_runners.demo.planting import Kind, Planted, plant
from pixcore_runners.demo.site import Site, site
from pixcore_runners.demo.verdicts import Category, Verdicts

__all__ = ["Category", "Kind", "Planted", "Site", "Verdicts", "plant", "site"]
