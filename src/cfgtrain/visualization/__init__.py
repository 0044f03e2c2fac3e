"""Plots and other visualizations."""

from cfgtrain.visualization.curves import Line, Panel, draw_panels

__all__ = ["Line", "Panel", "draw_panels"]
