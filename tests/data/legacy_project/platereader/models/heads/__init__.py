from .glyph_head import GlyphHead
from .losses import SmoothLoss

__all__ = ['GlyphHead', 'SmoothLoss']
