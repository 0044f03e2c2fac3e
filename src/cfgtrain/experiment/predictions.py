"""What the outputs of a model mean: classes with their probabilities, values, or anything else."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import nn

from cfgtrain.errors import ArgumentError
from cfgtrain.metrics.inputs import THRESHOLD
from cfgtrain.models.losses import activation_of

__all__ = ["ClassScore", "OutputReader", "Prediction"]

logger = logging.getLogger(__name__)

Array = np.ndarray[Any, Any]
_ROUNDING = 1e-2  # of a sum of probabilities, computed in half precision


@dataclass(frozen=True)
class ClassScore:
    """The score of one class.

    Attributes:
        name: Name of the class, or None if it is unknown.
        index: Index of the class, 0-based.
        score: Its probability, from 0 to 1, or what the model returns in its place.
    """

    name: str | None
    index: int
    score: float

    @property
    def label(self) -> str:
        """The name, or else the index."""
        return str(self.index) if self.name is None else self.name

    def as_dict(self) -> dict[str, Any]:
        """Return plain types."""
        return {"class": self.name, "index": self.index, "score": self.score}


@dataclass(frozen=True)
class Prediction:
    """What a model predicts for one input.

    Attributes:
        source: The file of the input, or the file and line.
        top: Of a classifier, the classes with the highest scores, the highest first.
        scores: (num_classes,) float array with the scores of all classes, or None.
        present: Of a multi-label classifier, the classes whose probability is at least 0.5; None for other
            models.
        values: Of a regression, the predicted numbers by name.
        text: Of a language model, the text of the input with its continuation; None for other models.
        output: Any other output, as arrays and plain types; None if one of the fields above is set.
        error: Why there is no prediction, or None.
    """

    source: str
    top: list[ClassScore] = field(default_factory=list)
    scores: Array | None = None
    present: list[ClassScore] | None = None
    values: dict[str, float] = field(default_factory=dict)
    text: str | None = None
    output: Any = None
    error: str | None = None

    @property
    def class_name(self) -> str | None:
        """Name of the class with the highest score; None if it is unknown, or the model is not a classifier."""
        return self.top[0].name if self.top else None

    @property
    def index(self) -> int | None:
        """Index of the class with the highest score, 0-based; None if the model is not a classifier."""
        return self.top[0].index if self.top else None

    @property
    def score(self) -> float | None:
        """The highest score; None if the model is not a classifier."""
        return self.top[0].score if self.top else None

    def as_dict(self) -> dict[str, Any]:
        """Return plain types; the fields that have no meaning for the model are left out."""
        content: dict[str, Any] = {"input": self.source}
        if self.error is not None:
            return {**content, "error": self.error}
        if self.present is not None:
            content["classes"] = [each.label for each in self.present]
        elif self.top:
            content |= self.top[0].as_dict()
        if self.top:
            content["top"] = [each.as_dict() for each in self.top]
        if self.values:
            content["values"] = self.values
        if self.text is not None:
            content["text"] = self.text
        if self.output is not None:
            content["output"] = _plain(self.output)
        return content


class OutputReader:
    """Reads the outputs of one model.

    An output that is a vector of numbers is the scores of classes if the checkpoint has the names of as many
    classes, or if the numbers are probabilities. Several classes can be present if the loss of the model has a sigmoid,
    such as ``BCEWithLogitsLoss``; they exclude each other if it has a softmax. Of another model, this is decided by the
    first batch: several can be present if all numbers are from 0 to 1, but those of a sample do not sum to 1. One number is a value. Two
    or more without classes are values, too. Everything else is kept as it is.

    Args:
        metainfo: That of the checkpoint: the names of the ``classes``, or of a ``task`` that is a ``regression`` the
            ``targets`` with their names.
        topk: How many classes to list.
        model: The model, of which only the loss is used.
    """

    def __init__(self, metainfo: Mapping[str, Any], topk: int = 5, model: nn.Module | None = None) -> None:
        classes, targets = metainfo.get("classes"), metainfo.get("targets")
        self.classes = [str(name) for name in classes] if classes else []
        self.is_regression = metainfo.get("task") == "regression"
        self.targets = [str(each["name"]) for each in targets] if self.is_regression and targets else []
        self.topk = topk
        self._model = "The model" if model is None else type(model).__name__
        self._multi_label = None if model is None else _is_multi_label(model)
        self._are_checked = False  # the names, against the first batch

    def read(self, outputs: Any, sources: Sequence[str]) -> list[Prediction]:
        """Return the predictions of a batch.

        Args:
            outputs: One output per sample: a tensor (B, ...), a list, or a dict of those.
            sources: Where the samples are from.

        Raises:
            ArgumentError: The number of outputs is not that of the samples.
        """
        samples = [_as_arrays(each) for each in self._samples(outputs, len(sources))]
        if all(_is_vector(each) for each in samples):
            vectors = [np.asarray(each, np.float64).reshape(-1) for each in samples]
            if self._are_scores(vectors):
                return [self._classes(*each) for each in zip(vectors, sources, strict=True)]
            return [self._values(*each) for each in zip(vectors, sources, strict=True)]
        return [Prediction(source, output=each) for each, source in zip(samples, sources, strict=True)]

    def _samples(self, outputs: Any, size: int) -> list[Any]:
        """Return the output of each sample of a batch."""
        if isinstance(outputs, Mapping):
            parts = {key: self._samples(value, size) for key, value in outputs.items()}
            return [{key: part[i] for key, part in parts.items()} for i in range(size)]
        try:
            samples = list(outputs)
        except TypeError:  # None, a number, a tensor without dimensions
            found = f"{type(outputs).__name__} without a length"
        else:
            if len(samples) == size:
                return samples
            found = f"{len(samples)} prediction{'' if len(samples) == 1 else 's'}"
        raise ArgumentError(
            f"{self._model} returned {found} for a batch of {size} input{'' if size == 1 else 's'}.",
            hint="With return_loss=False, forward must return one prediction for each input: a tensor (B, ...) or a list.",
        )

    def _are_scores(self, vectors: list[Array]) -> bool:
        """Return whether vectors are scores of classes; the first ones decide whether several can be present."""
        size = len(vectors[0])
        if self.is_regression or size == 1 or any(len(each) != size for each in vectors):
            return False
        if not self._are_checked:
            finite = np.stack([each for each in vectors if np.isfinite(each).all()] or vectors)
            in_range = bool(((finite >= 0) & (finite <= 1)).all())
            sums_to_1 = bool((abs(finite.sum(axis=1) - 1) < _ROUNDING).all())
            if len(self.classes) != size and not (in_range and (sums_to_1 or not self.classes)):
                return False
            if self._multi_label is None:
                self._multi_label = in_range and not sums_to_1
            self._check_names(size)
            self._are_checked = True
        return True

    def _check_names(self, size: int) -> None:
        if not self.classes:
            logger.warning(
                "The checkpoint does not have the names of the classes, so they are predicted by index."
            )
        elif len(self.classes) != size:
            logger.warning(
                "The model predicts %d classes and the checkpoint has the names of %d, so they are predicted by index.",
                size, len(self.classes),
            )  # fmt: skip
            self.classes = []

    def _classes(self, scores: Array, source: str) -> Prediction:
        if not np.isfinite(scores).all():
            return Prediction(source, error="The model returns scores that are not finite.")
        order = np.argsort(-scores, kind="stable")
        names = dict(enumerate(self.classes))
        ranked = [ClassScore(names.get(i), i, float(scores[i])) for i in order.tolist()]
        present = [each for each in ranked if each.score >= THRESHOLD] if self._multi_label else None
        return Prediction(source, ranked[: self.topk], scores, present)

    def _values(self, vector: Array, source: str) -> Prediction:
        size = len(vector)
        names = (
            self.targets if len(self.targets) == size else ["value"] if size == 1 else map(str, range(size))
        )
        return Prediction(source, values=dict(zip(names, vector.tolist(), strict=True)))


def _is_multi_label(model: nn.Module) -> bool | None:
    """Return whether several classes can be present, by the loss of a model or of its head; None if it is unknown."""
    losses = (getattr(each, "loss", None) for each in (model, getattr(model, "head", None)))
    activation = next((activation_of(loss) for loss in losses if isinstance(loss, nn.Module)), "outputs")
    return {"sigmoid": True, "softmax": False, "exp": False}.get(activation)


def _as_arrays(value: Any) -> Any:
    """Return a value with its tensors as arrays; a bfloat16 or float16 tensor is converted to float32."""
    if isinstance(value, torch.Tensor):
        value = value.detach().cpu()
        return (value.float() if value.dtype in (torch.bfloat16, torch.float16) else value).numpy()
    if isinstance(value, Mapping):
        return {str(key): _as_arrays(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_as_arrays(each) for each in value]
    return value


def _is_vector(value: Any) -> bool:
    if isinstance(value, np.ndarray):
        return value.dtype.kind in "fiu" and value.ndim <= 1 and value.size > 0
    return isinstance(value, int | float | np.number) and not isinstance(value, bool)


def _plain(value: Any) -> Any:
    """Return a value as plain types, for JSON."""
    if isinstance(value, np.ndarray | np.generic):
        return value.tolist()
    if isinstance(value, Mapping):
        return {key: _plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    return value if isinstance(value, str | int | float | bool | None) else str(value)
