"""The scenes that the demo paints, by keyword. Each painter covers a canvas; its random numbers vary the picture."""

from collections.abc import Callable, Mapping

import numpy as np

from pixcore_runners.demo.canvas import Canvas
from pixcore_runners.demo.scenes.city_skyline import city_skyline
from pixcore_runners.demo.scenes.garden_flower import garden_flower
from pixcore_runners.demo.scenes.mountain_lake import mountain_lake
from pixcore_runners.demo.scenes.sailing_boat import sailing_boat

Painter = Callable[[Canvas, np.random.Generator], None]

SCENES: Mapping[str, Painter] = {
    "city skyline": city_skyline,
    "garden flower": garden_flower,
    "mountain lake": mountain_lake,
    "sailing boat": sailing_boat,
}
