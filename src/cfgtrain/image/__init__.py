"""Image functions on NumPy arrays, channels last, BGR."""

from cfgtrain.image.resize import imresize

__all__ = ["imresize"]
