from .glyph_net import GlyphNet

__all__ = ['GlyphNet']
