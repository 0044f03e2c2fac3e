"""Test the trained model of a config: score it on the test dataset."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from cfgtrain.check import check_test
from cfgtrain.checkpoint.sharded import has_shards
from cfgtrain.config.config import Config
from cfgtrain.data.builder import metainfo_of
from cfgtrain.errors import CheckpointNotFoundError
from cfgtrain.evaluation.scoring import evaluate
from cfgtrain.experiment.assembly import build_loader, check_samples, check_scores, evaluation_settings
from cfgtrain.experiment.testing import find_trained
from cfgtrain.experiment.trained_model import load_trained_model
from cfgtrain.metrics.metric_set import build_metrics

__all__ = ["TestResult", "test"]

logger = logging.getLogger(__name__)


class TestResult(NamedTuple):
    """The result of a test.

    Attributes:
        scores: By name; besides numbers it may contain a confusion matrix, a list of rows.
        per_class: Columns of a table of the classes: for each name a value per class.
        table: The scores of the classes, and the confusion matrix, as text; ``""`` without metrics.
        classes: Names of the classes, by index, if they are known.
        part: Name of the dataset: ``"test"`` or ``"val"``.
        samples: Number of samples that were scored.
        checkpoint: Path or URI of the checkpoint.
        kind: ``"best"`` or ``"last"``, if the checkpoint was found in the work directory, else ``""``.
        meta: ``meta`` of the checkpoint.
        seconds: Duration, without loading the libraries.
    """

    scores: dict[str, Any]
    per_class: dict[str, Sequence[float]]
    table: str
    classes: list[str]
    part: str
    samples: int
    checkpoint: str
    kind: str
    meta: dict[str, Any]
    seconds: float


def test(
    cfg: Config,
    checkpoint: str | Path | None = None,
    progress: Callable[[int, int | None], None] | None = None,
    trusted: bool = False,
) -> TestResult:
    """Check a config, and score its trained model on ``data.test``, or on ``data.val`` if there is no test dataset.

    The scores are those of ``evaluation``: its metrics, or what ``evaluate`` of the dataset returns, or else the
    losses of the model. The training dataset is not built; what others need to know of it is in the checkpoint.

    Args:
        cfg: The config. It needs only ``model`` and ``data``.
        checkpoint: Path or URI of the checkpoint; None is the best one in the work directory, or else the last one.
        progress: Called after each batch with the number of samples so far, and that of all samples if it is known.
        trusted: Whether the checkpoint may run code while it is loaded; see ``load_checkpoint``.

    Raises:
        CfgTrainError: The config is wrong, the checkpoint cannot be used, or there is nothing to score.
    """
    began = time.perf_counter()
    part = check_test(cfg)
    if checkpoint is not None and Path(checkpoint).is_dir() and not has_shards(checkpoint):
        raise CheckpointNotFoundError(
            f"The checkpoint {checkpoint} is a folder.",
            hint="Leave it out to test the best checkpoint of a work directory, which --work-dir names.",
        )
    path, kind = (str(checkpoint), "") if checkpoint is not None else find_trained(cfg)
    trained = load_trained_model(cfg, path, trusted=trusted)
    if cfg.get("seed") is None:
        cfg.seed = trained.meta.get("seed") or 0
    loader = build_loader(cfg, part, trained.metainfo)
    check_samples(cfg, part, loader)
    check_scores(cfg, part, loader.dataset, trained.model)
    cfgs, eval_kwargs = evaluation_settings(cfg)
    metrics = None if cfgs is None else build_metrics(cfgs)
    samples, total = 0, len(loader.dataset) if hasattr(loader.dataset, "__len__") else None

    def count(done: int) -> None:
        nonlocal samples
        samples += done
        if progress is not None:
            progress(samples, total)

    try:
        scores = evaluate(trained.model, loader, logger, count, metrics, **eval_kwargs)
    finally:
        loader.close()
    known = metainfo_of(loader.dataset).get("classes") or trained.metainfo.get("classes") or ()
    classes = [str(name) for name in known]
    return TestResult(
        scores=scores,
        per_class={} if metrics is None else metrics.per_class(),
        table="" if metrics is None else metrics.tables(classes),
        classes=classes,
        part=part,
        samples=samples,
        checkpoint=path,
        kind=kind,
        meta=trained.meta,
        seconds=time.perf_counter() - began,
    )
