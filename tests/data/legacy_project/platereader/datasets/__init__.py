from .builder import DATASETS, PIPELINES, build_dataloader, build_dataset
from .glyphs import GlyphDataset
from .pipelines import Compose
from .samplers import DistributedSampler, GroupSampler

__all__ = [
    'DATASETS', 'PIPELINES', 'build_dataloader', 'build_dataset', 'Compose', 'DistributedSampler', 'GlyphDataset',
    'GroupSampler'
]
