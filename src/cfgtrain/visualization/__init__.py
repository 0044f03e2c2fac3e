"""Show images, bounding boxes and optical flow, and plot curves."""

import typing

from cfgtrain.introspection.exports import public_names as _public_names
from cfgtrain.visualization.boxes import *
from cfgtrain.visualization.color import *
from cfgtrain.visualization.curves import Line as Line
from cfgtrain.visualization.curves import Panel as Panel
from cfgtrain.visualization.curves import draw_panels as draw_panels
from cfgtrain.visualization.optical_flow import *
from cfgtrain.visualization.window import *

if not typing.TYPE_CHECKING:  # type checkers use the imports above
    __all__ = _public_names(globals())
