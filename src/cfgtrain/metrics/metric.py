"""The interface of metrics."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar, Self

from cfgtrain.arguments import check_type
from cfgtrain.errors import ArgumentError
from cfgtrain.score_order import Rule

__all__ = ["Metric"]

# Keys of the targets in a batch that is a dict, in the order in which they are looked for.
TARGET_KEYS = ("gt_label", "targets", "target", "labels", "label")


class Metric(ABC):
    """Scores predictions. It is updated with one batch after the other and keeps sums, not samples.

    Args:
        target: Key of the targets in a batch that is a dict, or their index in one that is a tuple. By default the
            first of gt_label, targets, target, labels and label that is in the dict, or the last item of the tuple.

    Attributes:
        greater_is_better: Whether greater scores are better; a dict by the name of the score if they differ. A score
            for which it is None, or not in the dict, is compared as its name suggests.
    """

    greater_is_better: ClassVar[bool | Mapping[str, bool] | None] = True

    def __init__(self, target: str | int | None = None) -> None:
        self.target = check_type("target", target, str | int | None, "a key, an index or None")
        self.reset()

    @abstractmethod
    def reset(self) -> None:
        """Forget all batches."""

    @abstractmethod
    def update(self, predictions: Any, batch: Any) -> None:
        """Add a batch.

        Args:
            predictions: What the model returned for the batch, one per sample.
            batch: The batch, with the targets.
        """

    @abstractmethod
    def compute(self) -> dict[str, Any]:
        """Return the scores of all batches so far, by name."""

    @abstractmethod
    def merge(self, others: Iterable[Self]) -> None:
        """Add the batches of other metrics of this class, such as those of other processes."""

    def score_names(self) -> list[str] | None:
        """Return the names of the numbers that ``compute`` returns, or None if they are not known before."""
        return None

    def per_class(self) -> dict[str, Sequence[float]]:
        """Return columns of a table of the classes: their names, and for each a value per class."""
        return {}

    def rule_of(self, name: str) -> Rule | None:
        """Return whether a greater or a smaller value of one of the scores is better, or None if that is not known."""
        greater = self.greater_is_better
        is_greater = greater.get(name) if isinstance(greater, Mapping) else greater
        return None if is_greater is None else "greater" if is_greater else "less"

    def targets_of(self, batch: Any) -> Any:
        """Return the targets of a batch.

        Raises:
            ArgumentError: The batch has no targets where they are expected.
        """
        is_dict = isinstance(batch, Mapping)
        keys: Sequence[Any] = list(batch) if is_dict else range(len(batch))
        default = next((key for key in TARGET_KEYS if key in keys), None) if is_dict else len(keys) - 1
        target = default if self.target is None else self.target
        if target in keys:
            return batch[target]
        wanted = " or ".join(map(repr, TARGET_KEYS)) if target is None else repr(target)
        raise ArgumentError(
            f"{type(self).__name__} needs the targets {wanted} of a batch, and a batch has "
            f"{', '.join(map(repr, keys)) or 'nothing'}: collect them in the pipeline, or name their key with target=.",
            near=(str(target), [str(key) for key in keys]),
        )
