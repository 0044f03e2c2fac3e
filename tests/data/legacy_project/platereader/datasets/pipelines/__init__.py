from .compose import Compose
from .formating import Collect, DefaultFormatBundle, ImageToTensor
from .loading import LoadGlyphFromFile
from .transforms import GlyphFlip, GlyphJitter, GlyphNormalize, GlyphResize

__all__ = [
    'Collect', 'Compose', 'DefaultFormatBundle', 'GlyphFlip', 'GlyphJitter', 'GlyphNormalize', 'GlyphResize',
    'ImageToTensor', 'LoadGlyphFromFile'
]
