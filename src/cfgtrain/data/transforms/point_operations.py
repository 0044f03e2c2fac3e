"""Transforms that change the colors of the image in the results, ``img``, value by value.

Each of them can be a step of a pipeline. Within ``PointOperations``, several of them are composed into one table.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from cfgtrain.arguments import check_integer, check_number
from cfgtrain.data.transforms.ranges import Range, checked_range, draw
from cfgtrain.data.transforms.results import Results
from cfgtrain.errors import ArgumentTypeError
from cfgtrain.image.point_table import PointChain
from cfgtrain.registries import PIPELINES

__all__ = [
    "AutoContrast",
    "Brightness",
    "Contrast",
    "Equalize",
    "Invert",
    "PointOperations",
    "Posterize",
    "Solarize",
]


class PointOperation(ABC):
    """Base of the operations: whether they are performed, and with which number, is drawn for each image.

    The numbers come from NumPy's global random generator.

    Args:
        prob: Probability that the operation is performed.
    """

    def __init__(self, prob: float = 1.0) -> None:
        self.prob = check_number("prob", prob, 0, 1)

    def add_to(self, chain: PointChain) -> None:
        """Draw whether to perform the operation, and its number, and add it to a chain."""
        if self.prob >= 1 or np.random.random() < self.prob:
            self._perform(chain)

    @abstractmethod
    def _perform(self, chain: PointChain) -> None:
        """Add the operation to a chain."""

    def __call__(self, results: Results) -> Results:
        """Replace ``img`` by an array of the same shape and dtype."""
        chain = PointChain(results["img"])
        self.add_to(chain)
        results["img"] = chain.result()
        return results


@PIPELINES.register_module()
class Invert(PointOperation):
    """Inverts ``img``; see ``iminvert``.

    Args:
        prob: Probability that the image is inverted.
    """

    def _perform(self, chain: PointChain) -> None:
        chain.invert()


@PIPELINES.register_module()
class Posterize(PointOperation):
    """Reduces the number of bits of each value of ``img``; see ``posterize``.

    Args:
        bits: Number of high bits to keep, or a range (low, high), both included, from which it is drawn.
        prob: Probability that the image is posterized.
    """

    def __init__(self, bits: int | Sequence[int], prob: float = 1.0) -> None:
        super().__init__(prob)
        low, high = checked_range("bits", bits, 0, 16)
        self.bits = check_integer("bits", low), check_integer("bits", high)

    def _perform(self, chain: PointChain) -> None:
        low, high = self.bits
        chain.posterize(low if low == high else np.random.randint(low, high + 1))


@PIPELINES.register_module()
class Solarize(PointOperation):
    """Inverts the values of ``img`` that are at least a threshold; see ``solarize``.

    Args:
        thr: Threshold, or a range (low, high) from which it is drawn.
        prob: Probability that the image is solarized.
    """

    def __init__(self, thr: Range = 128, prob: float = 1.0) -> None:
        super().__init__(prob)
        self.thr = checked_range("thr", thr)

    def _perform(self, chain: PointChain) -> None:
        chain.solarize(draw(self.thr))


@PIPELINES.register_module()
class Brightness(PointOperation):
    """Multiplies ``img`` by a factor; see ``adjust_brightness``.

    Args:
        factor: Factor, or a range (low, high) from which it is drawn.
        prob: Probability that the brightness is changed.
    """

    def __init__(self, factor: Range, prob: float = 1.0) -> None:
        super().__init__(prob)
        self.factor = checked_range("factor", factor)

    def _perform(self, chain: PointChain) -> None:
        chain.brightness(draw(self.factor))


@PIPELINES.register_module()
class Contrast(PointOperation):
    """Blends ``img`` with its mean gray value; see ``adjust_contrast``.

    Args:
        factor: Weight of the image, or a range (low, high) from which it is drawn.
        prob: Probability that the contrast is changed.
    """

    def __init__(self, factor: Range, prob: float = 1.0) -> None:
        super().__init__(prob)
        self.factor = checked_range("factor", factor)

    def _perform(self, chain: PointChain) -> None:
        chain.contrast(draw(self.factor))


@PIPELINES.register_module()
class AutoContrast(PointOperation):
    """Stretches the values of each channel of ``img`` to the whole range; see ``auto_contrast``.

    Args:
        cutoff: Percentage of pixels to ignore at each end, or a range (low, high) from which it is drawn.
        prob: Probability that the contrast is changed.
    """

    def __init__(self, cutoff: Range = 0, prob: float = 1.0) -> None:
        super().__init__(prob)
        self.cutoff = checked_range("cutoff", cutoff, 0, 100)

    def _perform(self, chain: PointChain) -> None:
        chain.auto_contrast(draw(self.cutoff))


@PIPELINES.register_module()
class Equalize(PointOperation):
    """Equalizes the histogram of each channel of ``img``; see ``imequalize``.

    Args:
        prob: Probability that the image is equalized.
    """

    def _perform(self, chain: PointChain) -> None:
        chain.equalize()


@PIPELINES.register_module()
class PointOperations:
    """Performs several of the operations above on ``img``, with the results of one after the other, but faster.

    The operations on uint8 and uint16 images are composed into one table, through which the image is read once. An
    operation that needs the mean gray of a color image (``Contrast``) begins a new table unless it is the first one.

    Args:
        operations: The operations, in order, each a config such as ``dict(type='Brightness', factor=(0.8, 1.2))``.

    Raises:
        ArgumentTypeError: ``operations`` is not a list of configs of these operations.
    """

    def __init__(self, operations: Sequence[Any]) -> None:
        if not isinstance(operations, (list, tuple)):
            raise ArgumentTypeError(
                f"operations must be a list of configs, not {operations!r}.", argument="operations"
            )
        self.operations: list[PointOperation] = []
        for config in operations:
            operation = PIPELINES.build(config) if isinstance(config, Mapping) else config
            if not isinstance(operation, PointOperation):
                names = [name for name in __all__ if name != "PointOperations"]
                raise ArgumentTypeError(
                    f"An operation must be one of {', '.join(names)}, not {config!r}.", argument="operations"
                )
            self.operations.append(operation)

    def __call__(self, results: Results) -> Results:
        """Replace ``img`` by an array of the same shape and dtype."""
        chain = PointChain(results["img"])
        for operation in self.operations:
            operation.add_to(chain)
        results["img"] = chain.result()
        return results
