"""Data sets: the one that comes with cfgtrain."""

from cfgtrain.data.datasets.digits import Digits

__all__ = ["Digits"]
