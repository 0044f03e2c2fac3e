from .backbones import GlyphNet
from .builder import BACKBONES, HEADS, LOSSES, MODELS, READERS, build_backbone, build_head, build_loss, build_reader
from .heads import GlyphHead, SmoothLoss
from .readers import BaseReader, DigitReader

__all__ = [
    'BACKBONES', 'HEADS', 'LOSSES', 'MODELS', 'READERS', 'build_backbone', 'build_head', 'build_loss',
    'build_reader', 'BaseReader', 'DigitReader', 'GlyphHead', 'GlyphNet', 'SmoothLoss'
]
