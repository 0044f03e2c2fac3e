"""Image functions on NumPy arrays of shape (H, W, C), with channels in the order BGR."""

from cfgtrain.image.backends import supported_backends, use_backend
from cfgtrain.image.flip import imflip, imflip_
from cfgtrain.image.io import imfrombytes, imread, imwrite
from cfgtrain.image.resize import imrescale, imresize, rescale_size

__all__ = [
    "imflip",
    "imflip_",
    "imfrombytes",
    "imread",
    "imrescale",
    "imresize",
    "imwrite",
    "rescale_size",
    "supported_backends",
    "use_backend",
]
