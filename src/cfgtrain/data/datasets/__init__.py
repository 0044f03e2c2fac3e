"""The datasets that are included in cfgtrain."""

from cfgtrain.data.datasets.digits import Digits

__all__ = ["Digits"]
