"""Datasets, the pipelines that transform their samples, samplers and loaders."""

from cfgtrain.data.builder import build_dataloader, build_dataset
from cfgtrain.data.datasets import Digits
from cfgtrain.data.loader import EpochDataLoader, SeededDataset
from cfgtrain.data.samplers import Draw, EpochBatchSampler, EpochSampler
from cfgtrain.data.transforms.compose import Compose
from cfgtrain.data.transforms.formatting import Collect, ImageToTensor, ToTensor
from cfgtrain.data.transforms.image import Normalize, RandomCrop, Resize
from cfgtrain.metrics.classification import accuracy
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
