from .base import BaseReader
from .digit_reader import DigitReader

__all__ = ['BaseReader', 'DigitReader']
