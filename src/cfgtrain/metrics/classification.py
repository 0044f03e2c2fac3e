"""Classification metrics."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from torch import Tensor

from cfgtrain.arguments import check_choice, check_integer, check_number, check_type
from cfgtrain.errors import ArgumentError
from cfgtrain.metrics.counting import CountingMetric, Counts
from cfgtrain.metrics.inputs import THRESHOLD, class_scores, is_multi_label, multi_label_scores
from cfgtrain.registries import METRICS

__all__ = ["F1", "Accuracy", "ConfusionMatrix", "Precision", "Recall", "accuracy"]


class _IndexMetric(CountingMetric):
    """A metric of class indices.

    Args:
        target: As for ``Metric``.
        ignore_index: Samples with this label are left out.
    """

    def __init__(self, target: str | int | None = None, ignore_index: int | None = None) -> None:
        self.ignore_index = None if ignore_index is None else check_integer("ignore_index", ignore_index)
        super().__init__(target)

    def _class_scores(self, predictions: Any, targets: Any) -> tuple[Tensor, Tensor]:
        return class_scores(type(self).__name__, predictions, targets, self.ignore_index)


@METRICS.register_module()
class Accuracy(_IndexMetric):
    """The top-k accuracy, 0 to 1: the fraction of samples whose label is among the k classes with the highest scores.

    The predictions are (B, num_classes) scores, the targets (B,) class indices. Of equal scores, that of the lower
    index counts as the higher one. Scores with NaN count as a wrong prediction.

    Args:
        topk: One k or several. The score is named ``accuracy`` for 1, and ``accuracy_top5`` for 5.
        target: As for ``Metric``.
        ignore_index: Samples with this label are left out.
    """

    def __init__(
        self,
        topk: int | Sequence[int] = 1,
        target: str | int | None = None,
        ignore_index: int | None = None,
    ) -> None:
        several = topk if isinstance(topk, list | tuple) else (topk,)
        self.topk = [check_integer("topk", k, 1) for k in several]
        if not several or len(set(several)) < len(several):
            raise ArgumentError(
                f"topk must be one or several different numbers, not {topk!r}.", argument="topk"
            )
        super().__init__(target, ignore_index)

    def count(self, predictions: Any, targets: Any) -> Counts:
        """Return the samples of each class, and for each k how many of them are right: (1 + len(topk), num_classes)."""
        scores, labels = self._class_scores(predictions, targets)
        num_classes = scores.shape[1]
        own = scores.gather(1, labels[:, None])  # (N, 1)
        before = torch.arange(num_classes, device=scores.device) < labels[:, None]  # (N, num_classes)
        rank = ((scores > own) | ((scores == own) & before)).sum(dim=1)  # (N,)
        rank[scores.isnan().any(dim=1)] = num_classes + max(self.topk)
        ranks, classes = rank.cpu().numpy(), labels.cpu().numpy()
        selected = [classes, *(classes[ranks < k] for k in self.topk)]
        return np.stack([np.bincount(each, minlength=num_classes) for each in selected])

    def compute(self) -> dict[str, float]:
        """Return the accuracy for each k; it is NaN without samples."""
        samples, *right = (
            [0] * (1 + len(self.topk)) if self.counts is None else self.counts.sum(axis=1).tolist()
        )
        names = self.score_names()
        return {name: n / samples if samples else float("nan") for name, n in zip(names, right, strict=True)}

    def score_names(self) -> list[str]:
        """Return a name for each k."""
        return ["accuracy" if k == 1 else f"accuracy_top{k}" for k in self.topk]

    def per_class(self) -> dict[str, Sequence[float]]:
        """Return the number of samples, and the accuracies."""
        if self.counts is None:
            return {}
        samples, *right = self.counts
        return {
            "samples": samples.tolist(),
            **{name: _ratios(each, samples) for name, each in zip(self.score_names(), right, strict=True)},
        }


class _AveragedMetric(_IndexMetric):
    """A score of each class, or their mean; see ``Precision``."""

    name: ClassVar[str]

    def __init__(
        self,
        average: Literal["macro", "micro"] | None = "macro",
        threshold: float = THRESHOLD,
        target: str | int | None = None,
        ignore_index: int | None = None,
    ) -> None:
        check_choice("average", average, ("macro", "micro", None))
        self.average = average
        self.threshold = check_number("threshold", threshold)
        super().__init__(target, ignore_index)

    @staticmethod
    @abstractmethod
    def fraction(right: Any, predicted: Any, actual: Any) -> tuple[Any, Any]:
        """Return numerator and denominator of the score.

        Args:
            right: How often a class is predicted and right; one number or one per class, as the others.
            predicted: How often it is predicted.
            actual: How often it is in the targets.
        """

    def count(self, predictions: Any, targets: Any) -> Counts:
        """Return how often each class is predicted rightly, predicted, and in the targets: (3, num_classes)."""
        if is_multi_label(predictions, targets):
            scores, wanted = multi_label_scores(type(self).__name__, predictions, targets)
            above = scores >= self.threshold
            return np.stack([each.sum(dim=0).numpy() for each in (above & wanted, above, wanted)])
        scores, labels = self._class_scores(predictions, targets)
        predicted, classes = _predicted(scores), labels.cpu().numpy()
        found, right = predicted[predicted >= 0], classes[predicted == classes]
        return np.stack([np.bincount(each, minlength=scores.shape[1]) for each in (right, found, classes)])

    def compute(self) -> dict[str, float]:
        """Return the mean, which is NaN without samples, or the scores of all classes."""
        if self.counts is None:
            return {} if self.average is None else {self.name: float("nan")}
        if self.average == "micro":
            return {self.name: _ratios(*self.fraction(*self.counts.sum(axis=1, keepdims=True)))[0]}
        scores = _ratios(*self.fraction(*self.counts))
        if self.average is None:
            return {f"{self.name}_{i}": score for i, score in enumerate(scores)}
        occurs = self.counts.any(axis=0)
        return {self.name: float(np.nan_to_num(scores)[occurs].mean()) if occurs.any() else float("nan")}

    def score_names(self) -> list[str] | None:
        """Return the name of the mean; those of the classes are not known before."""
        return None if self.average is None else [self.name]

    def per_class(self) -> dict[str, Sequence[float]]:
        """Return the number of samples, and the score."""
        if self.counts is None:
            return {}
        return {"samples": self.counts[2].tolist(), self.name: _ratios(*self.fraction(*self.counts))}


@METRICS.register_module()
class Precision(_AveragedMetric):
    """The precision, 0 to 1: the fraction of the predictions of a class that are right.

    The predictions are (B, num_classes) scores. The targets are (B,) class indices, and the class with the highest
    score is the predicted one; or they are (B, num_classes) with values 0 and 1 (multi-label), and all classes whose
    score reaches the threshold are predicted.

    Args:
        average: ``"macro"`` is the mean over all classes that are in the targets or predictions, where a class for
            which the score is undefined has 0; ``"micro"`` is the score of all classes together; None gives a score
            per class, named such as ``precision_0``.
        threshold: Least score of a predicted class, for multi-label targets.
        target: As for ``Metric``.
        ignore_index: Samples with this label are left out.
    """

    name = "precision"

    @staticmethod
    def fraction(right: Any, predicted: Any, actual: Any) -> tuple[Any, Any]:
        """Return numerator and denominator of the precision."""
        return right, predicted


@METRICS.register_module()
class Recall(_AveragedMetric):
    """The recall, 0 to 1: the fraction of the samples of a class that are predicted as that class.

    The arguments are those of ``Precision``.
    """

    name = "recall"

    @staticmethod
    def fraction(right: Any, predicted: Any, actual: Any) -> tuple[Any, Any]:
        """Return numerator and denominator of the recall."""
        return right, actual


@METRICS.register_module()
class F1(_AveragedMetric):
    """The F1 score, 0 to 1: the harmonic mean of precision and recall of a class.

    The arguments are those of ``Precision``. The macro average is the mean of the F1 scores of the classes.
    """

    name = "f1"

    @staticmethod
    def fraction(right: Any, predicted: Any, actual: Any) -> tuple[Any, Any]:
        """Return numerator and denominator of the F1 score."""
        return 2 * right, predicted + actual


@METRICS.register_module()
class ConfusionMatrix(_IndexMetric):
    """How many samples of each class, a row, are predicted as each class, a column.

    The predictions are (B, num_classes) scores, the targets (B,) class indices. Scores with NaN are left out. The
    matrix is not a number, so it is not logged; ``cfgtrain test`` prints it and writes it to its results.

    Args:
        normalize: Whether each row is divided by its sum.
        target: As for ``Metric``.
        ignore_index: Samples with this label are left out.
    """

    greater_is_better = None

    def __init__(
        self, normalize: bool = False, target: str | int | None = None, ignore_index: int | None = None
    ) -> None:
        self.normalize = check_type("normalize", normalize, bool, "True or False")
        super().__init__(target, ignore_index)

    def count(self, predictions: Any, targets: Any) -> Counts:
        """Return the matrix of a batch, (num_classes, num_classes)."""
        scores, labels = self._class_scores(predictions, targets)
        predicted, classes, size = _predicted(scores), labels.cpu().numpy(), scores.shape[1]
        pairs = (classes * size + predicted)[predicted >= 0]
        return np.bincount(pairs, minlength=size * size).reshape(size, size)

    def compute(self) -> dict[str, list[list[float]]]:
        """Return ``confusion_matrix``, a list of rows; it is empty without samples."""
        if self.counts is None:
            return {"confusion_matrix": []}
        matrix = (
            self.counts / np.maximum(self.counts.sum(axis=1, keepdims=True), 1)
            if self.normalize
            else self.counts
        )
        return {"confusion_matrix": matrix.tolist()}

    def score_names(self) -> list[str]:
        """Return no names: the matrix is not a number."""
        return []


def _predicted(scores: Tensor) -> np.ndarray[Any, Any]:
    """Return the class with the highest score of each sample, (N,), and -1 where there is none because of NaN."""
    classes = scores.argmax(dim=1)
    classes[scores.isnan().any(dim=1)] = -1
    return classes.cpu().numpy()


def _ratios(numerator: Any, denominator: Any) -> list[float]:
    """Return the quotients as a list, NaN where the denominator is 0."""
    with np.errstate(invalid="ignore", divide="ignore"):
        return list((np.asarray(numerator, dtype=np.float64) / np.asarray(denominator)).tolist())


def accuracy(scores: Sequence[Any], labels: Sequence[int] | Counts) -> float:
    """Return the top-1 accuracy, 0 to 1: the fraction of samples whose label has the highest score.

    Args:
        scores: N vectors with one score per class.
        labels: N class indices.

    Raises:
        ArgumentError: The numbers of scores and labels differ, both are 0, or a label is not the index of a class.
    """
    if len(scores) != len(labels) or not len(scores):
        raise ArgumentError(
            f"accuracy() needs one score vector per label, got {len(scores)} scores and {len(labels)} labels."
        )
    metric = Accuracy()
    metric.update(np.stack([np.asarray(score) for score in scores]), {"labels": np.asarray(labels)})
    return metric.compute()["accuracy"]
