"""Show images, bounding boxes and optical flow, and plot curves."""

from typing import TYPE_CHECKING

from cfgtrain.visualization import boxes, color, optical_flow, window
from cfgtrain.visualization.boxes import *
from cfgtrain.visualization.color import *
from cfgtrain.visualization.curves import Line, Panel, draw_panels
from cfgtrain.visualization.optical_flow import *
from cfgtrain.visualization.window import *

if not TYPE_CHECKING:  # type checkers use the imports above
    __all__ = [
        "Line",
        "Panel",
        "draw_panels",
        *boxes.__all__,
        *color.__all__,
        *optical_flow.__all__,
        *window.__all__,
    ]
