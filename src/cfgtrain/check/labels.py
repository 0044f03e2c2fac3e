"""Find labels that are not the index of a score of the model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import closing
from typing import Any

import numpy as np
from torch import Tensor, nn

from cfgtrain.config.config import Config
from cfgtrain.config.key_paths import walk
from cfgtrain.data.builder import metainfo_of
from cfgtrain.errors import DryRunError
from cfgtrain.evaluation.inference import first_samples, predict_batches
from cfgtrain.metrics.metric import TARGET_KEYS
from cfgtrain.origin import Location, location

__all__ = ["class_labels", "label_error", "many_scores_text", "num_scores_in", "num_scores_of", "targets_in"]

IGNORED = -100  # the label that the losses of torch leave out by default


def class_labels(dataset: Any) -> np.ndarray[Any, Any] | None:
    """Return the class indices of all samples of a dataset, or None if they are not known."""
    if "classes" not in metainfo_of(dataset):
        return None
    labels = np.asarray(getattr(dataset, "labels", ()))
    return labels if labels.ndim == 1 and len(labels) and labels.dtype.kind in "iu" else None


def targets_in(batch: Any) -> np.ndarray[Any, Any] | None:
    """Return the class indices in a batch, or None if it has none."""
    if isinstance(batch, Mapping):
        targets = next((batch[key] for key in TARGET_KEYS if key in batch), None)
    else:
        targets = batch[-1] if isinstance(batch, list | tuple) and batch else None
    if not isinstance(targets, Tensor) or targets.ndim != 1 or targets.is_floating_point():
        return None
    return targets.cpu().numpy()


def num_scores_of(model: nn.Module, batch: Any, size: int) -> int | None:
    """Return how many scores a model predicts for a sample, or None if that is not known.

    Args:
        model: It predicts one sample of the batch, which does not need the label.
        batch: The batch.
        size: Its number of samples.
    """
    try:
        with closing(predict_batches(model, [first_samples(batch, 1, size)])) as predicted:
            return num_scores_in(next(predicted).predictions)
    except (Exception, SystemExit):  # it is reported where the whole batch is predicted
        return None


def num_scores_in(predictions: Any) -> int | None:
    """Return how many scores predictions (B, ...) have per sample, or None if they are no vectors of scores."""
    if not len(predictions):
        return None
    first = predictions[0]
    shape = tuple(first.shape) if isinstance(first, Tensor) else np.shape(first)
    return int(shape[0]) if len(shape) == 1 and shape[0] > 1 else None


def label_error(
    cfg: Config,
    model: nn.Module,
    part: str,
    dataset: Any,
    labels: np.ndarray[Any, Any],
    num_scores: int,
    indices: Sequence[int] | None = None,
) -> DryRunError | None:
    """Return an error that names the first sample whose label is not the index of a score, or None.

    Args:
        cfg: Config of the run.
        model: Its model. Labels that a loss ignores are right.
        part: Name of the dataset.
        dataset: The dataset.
        labels: Class indices (N,).
        num_scores: Number of scores of a sample.
        indices: The samples that they belong to; None: all of the dataset.
    """
    ignored = [IGNORED, *(each for module in model.modules() for each in _ignored(module))]
    wrong = np.flatnonzero(((labels < 0) | (labels >= num_scores)) & ~np.isin(labels, ignored))
    if not len(wrong):
        return None
    first = int(wrong[0])
    index = first if indices is None else indices[first]
    source = getattr(dataset, "source", None)
    sample = f"sample {index}" + (f" ({source(index)})" if callable(source) else "")
    more = f", and so are those of {len(wrong) - 1} others" if len(wrong) > 1 else ""
    most = int(labels.max())
    return DryRunError(
        f"The label {labels[first]} of {sample} of data.{part} is out of range{more}: the model has {num_scores} "
        f"scores per sample, for the labels 0 to {num_scores - 1}.",
        hint="Labels are counted from 0."
        if most < num_scores
        else f"Set the number of classes of the model to {most + 1} or more, or correct the labels.",
        **_classes_location(cfg, num_scores),
    )


def many_scores_text(cfg: Config, dataset: Any, num_scores: int) -> str:
    """Return a warning if ``num_classes`` in the config is greater than the number of classes of a dataset, or ``""``.

    Args:
        cfg: Config of the run.
        dataset: The training dataset, whose metainfo has the classes.
        num_scores: Number of scores of a sample. They are those of classes only if the config sets ``num_classes`` to it.
    """
    classes = metainfo_of(dataset)["classes"]
    if len(classes) >= num_scores:
        return ""
    place = _classes_location(cfg, num_scores)
    if not (place["key"] or "").endswith(".num_classes"):
        return ""
    names = (
        ", ".join(map(str, classes))
        if len(classes) <= 5
        else f"{classes[0]}, {classes[1]}, ..., {classes[-1]}"
    )
    return f"{place['key']} is {num_scores}, and data.train has only {len(classes)} classes: {names}."


def _ignored(module: nn.Module) -> list[int]:
    ignored = getattr(module, "ignore_index", None)
    return [ignored] if isinstance(ignored, int) else []


def _classes_location(cfg: Config, num_scores: int) -> Location:
    """Return where the config sets the number of classes, or else the place of the model."""
    for _, node in walk(cfg.model):
        if isinstance(node, Mapping) and node.get("num_classes") == num_scores:
            return location(node, "num_classes")
    return location(cfg._cfg_dict, "model")
