"""Transforms: the steps of a pipeline.

A transform is a callable that takes a dict of results and returns a dict of results. If it returns None, the sample
is dropped, and the dataset must return another one. The keys are those of MMCV: ``img`` is an (H, W) or (H, W, C)
array with channels in the order BGR, and ``gt_label`` is an int. Random transforms use the global random
generators, which a loader seeds for each sample.
"""

from cfgtrain.data.transforms.compose import Compose
from cfgtrain.data.transforms.formatting import Collect, ImageToTensor, ToTensor
from cfgtrain.data.transforms.image import Normalize, RandomCrop, Resize

__all__ = ["Collect", "Compose", "ImageToTensor", "Normalize", "RandomCrop", "Resize", "ToTensor"]
