"""Transforms: the steps of a pipeline, from one dict of results to the next.

A transform is a callable ``results -> results``; ``None`` drops the sample, and the data set has to return another. The keys are
MMCV's: ``img`` an (H, W) or (H, W, C) array, channels BGR, and ``gt_label`` an int.
Random ones draw from the global generators, which a loader sets for each sample.
"""

from cfgtrain.data.transforms.compose import Compose
from cfgtrain.data.transforms.formatting import Collect, ImageToTensor, ToTensor
from cfgtrain.data.transforms.image import Normalize, RandomCrop, Resize

__all__ = ["Collect", "Compose", "ImageToTensor", "Normalize", "RandomCrop", "Resize", "ToTensor"]
