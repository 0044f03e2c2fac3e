"""Metrics that score predictions."""

from cfgtrain.metrics.classification import accuracy

__all__ = ["accuracy"]
