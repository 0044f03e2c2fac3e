"""Data sets, the pipelines that prepare their samples, and loaders."""

from cfgtrain.data.builder import build_dataloader, build_dataset
from cfgtrain.data.datasets import Digits
from cfgtrain.data.loader import EpochDataLoader, SeededDataset
from cfgtrain.data.metrics import accuracy
from cfgtrain.data.samplers import Draw, EpochBatchSampler, EpochSampler
from cfgtrain.data.transforms import (
    Collect,
    Compose,
    ImageToTensor,
    Normalize,
    RandomCrop,
    Resize,
    ToTensor,
)
from cfgtrain.registries import DATASETS, PIPELINES, SAMPLERS

__all__ = [
    "DATASETS",
    "PIPELINES",
    "SAMPLERS",
    "Collect",
    "Compose",
    "Digits",
    "Draw",
    "EpochBatchSampler",
    "EpochDataLoader",
    "EpochSampler",
    "ImageToTensor",
    "Normalize",
    "RandomCrop",
    "Resize",
    "SeededDataset",
    "ToTensor",
    "accuracy",
    "build_dataloader",
    "build_dataset",
]
