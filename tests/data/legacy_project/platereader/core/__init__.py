from .evaluation import confusion, top_k_accuracy
from .hooks import CheckInvalidLossHook, ClassNamesHook, StepCounterHook, WeightDriftHook
from .utils import CyclicGlyphLrUpdaterHook

__all__ = [
    'CheckInvalidLossHook', 'ClassNamesHook', 'CyclicGlyphLrUpdaterHook', 'StepCounterHook', 'WeightDriftHook',
    'confusion', 'top_k_accuracy'
]
