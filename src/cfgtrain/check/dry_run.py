"""Try one batch of each dataset before a run: what is wrong with the data, the model and its scores shows at once."""

from __future__ import annotations

import copy
import logging
import math
import re
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager, nullcontext, suppress
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.utils.data import IterableDataset

from cfgtrain.check.labels import (
    class_labels,
    label_error,
    many_scores_text,
    num_scores_in,
    num_scores_of,
    targets_in,
)
from cfgtrain.check.restored import is_lazy, restored
from cfgtrain.config.config import Config
from cfgtrain.data.batches import batch_text, call_problem
from cfgtrain.data.loader import EpochDataLoader, dataset_of
from cfgtrain.errors import CfgTrainError, CheckError, DryRunError, TransformError
from cfgtrain.evaluation.inference import (
    LossSums,
    Predicted,
    multi_gpu_test,
    predict_batches,
    single_gpu_test,
)
from cfgtrain.evaluation.score_rules import ScoreRules
from cfgtrain.evaluation.scoring import uses_evaluate
from cfgtrain.exit_codes import ExitCode
from cfgtrain.experiment.activity import ACTIVITY_NOTE, activity_lines, module_location, place_transform
from cfgtrain.experiment.assembly import build_loader_of, evaluated_parts, evaluation_settings, used_parts
from cfgtrain.introspection.error_hints import (
    is_out_of_memory,
    out_of_memory_text,
    torch_error_hint,
    unexpected_argument_hint,
)
from cfgtrain.keys import setting
from cfgtrain.metrics.metric_set import MetricSet, build_metrics, name_of
from cfgtrain.optim.builder import build_optimizer
from cfgtrain.origin import Location, location
from cfgtrain.parallel.wrappers import has_forward_with_loss, unwrap_model, waits_on_cpu
from cfgtrain.runner.base import BaseRunner
from cfgtrain.runner.hooks.evaluation.eval_hook import EvalHook
from cfgtrain.runner.hooks.optimizer import OptimizerHook, loss_with_gradient
from cfgtrain.runner.step import step_outputs
from cfgtrain.suggestions import with_article

__all__ = ["DryRun", "dry_run", "exception_text", "try_batches"]

MAX_LINES, MAX_WIDTH = 3, 300  # of the text of an exception that is not ours
_OUT_OF_RANGE = re.compile("out of (bounds|range)|num_classes")  # what torch says about a label
_CALLED = re.compile(r".*(?=argument after \*)", re.DOTALL)  # the repr of a model, before a message of Python

# Exceptions of a metric that do not depend on the number of samples, unlike a division by zero.
_MISTAKES = (AttributeError, NameError, TypeError, ImportError, NotImplementedError)

logger = logging.getLogger(__name__)


@dataclass
class DryRun:
    """The result of a dry run.

    Attributes:
        problems: What failed.
        warnings: What is probably wrong, although the run can begin.
        skipped: What was not tried, and why, a sentence each.
        loss: The loss of the batch of the training dataset, or None if it is not known.
    """

    problems: list[CfgTrainError] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)
    loss: float | None = None


def dry_run(cfg: Config, runner: BaseRunner, loaders: Mapping[str, Any]) -> None:
    """Do what ``try_batches`` does; log what was skipped, and raise if anything failed.

    Raises:
        CfgTrainError: The problem, if there is one; a ``CheckError`` with all of them if there are several.
    """
    tried = try_batches(cfg, runner, loaders)
    for sentence in tried.skipped:
        logger.info("Dry run: %s", sentence)
    for sentence in tried.warnings:
        logger.warning("Dry run: %s", sentence)
    if len(tried.problems) == 1:
        raise tried.problems[0]
    if tried.problems:
        raise CheckError(f"The dry run found {len(tried.problems)} problems.", tried.problems)


def try_batches(cfg: Config, runner: BaseRunner, loaders: Mapping[str, Any]) -> DryRun:
    """Pass one batch of each dataset through what the run will do with it.

    A training batch goes through the pipeline, the loader, the training step and the backward pass; one of a dataset that
    is evaluated through a prediction and the metrics; one of another flow of the workflow through ``val_step``. The
    optimizer makes no step, and no hook is called. Afterwards the model and the random states are as before, so that the
    run gives the same results as without it.

    A model with lazy parameters, which the first batch would initialize, is tried as a copy. A model that is to be
    divided among processes is tried as a whole, if its device has room for it. A stream is not tried unless
    it has an attribute ``repeatable = True``, since it may be readable only once; neither is what custom code replaces.

    Args:
        cfg: Config of the run.
        runner: The runner of the run, with its hooks, before the run.
        loaders: The loaders of all datasets by name.
    """
    result = DryRun()
    used = used_parts(cfg)
    problems: dict[str, CfgTrainError] = {}
    is_whole = not waits_on_cpu(runner.model)
    with (
        restored(runner.model),
        _copied_if_lazy(runner) as is_copy,
        nullcontext(True) if is_whole else _moved_to_device(runner.model) as has_room,
    ):
        trial = _Trial(cfg, runner, result, is_copy)
        for part, loader in loaders.items():
            if part not in used or not has_room:
                continue
            for error in trial.problems_of(part, loader):
                # A layer that fails does so with each dataset.
                problems.setdefault(_cause_text(error), error)
        for error in trial.label_problems():
            problems.setdefault(_cause_text(error), error)
        trial.warn_of_many_scores()
    for error in problems.values():
        if is_whole or error.__cause__ is None or not is_out_of_memory(error.__cause__):
            result.problems.append(error)
        else:
            has_room = False
    if not has_room:
        trial.skip("The batches are not all tried, since a device has no room for the whole model.")
    return result


@contextmanager
def _moved_to_device(model: nn.Module) -> Iterator[bool]:
    """Move a model that waits on the CPU to its device within the block, and yield whether it has room there."""
    inner = unwrap_model(model)
    has_room = True
    try:
        try:
            inner.to(model.device)  # type: ignore[arg-type]  # of OnDevice
        except torch.OutOfMemoryError:
            has_room = False
        yield has_room
    finally:
        inner.to("cpu")


@contextmanager
def _copied_if_lazy(runner: BaseRunner) -> Iterator[bool]:
    """Replace a model with lazy parameters by a copy within the block, and yield whether it could be copied."""
    model = runner.model
    if is_lazy(model):
        with suppress(Exception):  # an object in it cannot be copied
            runner.model = copy.deepcopy(model)
    try:
        yield runner.model is not model
    finally:
        runner.model = model


class _Batch(NamedTuple):
    """The first batch of a dataset.

    Attributes:
        part: Name of the dataset.
        dataset: The dataset.
        content: The batch.
        indices: Of its samples; None for a stream.
    """

    part: str
    dataset: Any
    content: Any
    indices: list[int] | None


class _Trial:
    """A dry run; see ``try_batches``."""

    def __init__(self, cfg: Config, runner: BaseRunner, result: DryRun, is_copy: bool) -> None:
        self.cfg, self.runner, self.result = cfg, runner, result
        self.model: Any = runner.model
        self.name = type(unwrap_model(runner.model)).__name__
        self.flows = {mode for mode, _ in setting(cfg, "workflow")}
        self.evaluated = evaluated_parts(cfg)
        self.num_scores: int | None = None
        self.has_wrong_label = False
        self.batches: list[_Batch] = []  # that were tried
        self.is_on_gpu = any(each.is_cuda for each in self.model.parameters())
        self.is_lazy = is_lazy(runner.model) and not is_copy
        if self.is_lazy:
            self.skip("The model is not tried, since its parameters are initialized by the first batch.")
        self.custom_step = type(runner).run_iter is not BaseRunner.run_iter
        if self.custom_step:
            self.skip(
                f"Training and validation steps are not tried, since {type(runner).__name__} has its own run_iter."
            )
        hook = next((each for each in runner.hooks if isinstance(each, EvalHook)), None)
        self.custom_test = hook is not None and hook.test_fn not in (single_gpu_test, multi_gpu_test)
        if self.custom_test:
            self.skip("Predictions of data.val are not tried, since the evaluation has its own test_fn.")

    def skip(self, sentence: str) -> None:
        self.result.skipped.append(sentence)

    def problems_of(self, part: str, loader: Any) -> Iterator[CfgTrainError]:
        """Yield what fails with a batch of one dataset."""
        if _is_unrepeatable(loader):
            self.skip(f"data.{part} is not tried, since a stream may be readable only once.")
            return
        batch = None
        try:
            batch = _first_batch(self.cfg, part, loader)
            if self.is_lazy:
                return
            self.batches.append(batch)
            if self.is_on_gpu:  # where the error that a label raises ends everything else
                wrong = self._wrong_label(batch, class_labels(batch.dataset))
                if wrong is not None:
                    yield from self._once(wrong)
                    return
            if part == "train" and not self.custom_step:
                self._train(batch)
            elif part in self.flows and not self.custom_step:
                self._validate(batch)
            if part in self.evaluated and not (part == "val" and self.custom_test):
                self._evaluate(batch)
        except CfgTrainError as error:
            place = location(self.cfg.data, part) if batch is None else location(self.cfg._cfg_dict, "model")
            if isinstance(error, TransformError):
                place_transform(error, self.cfg)
            wrong = None if batch is None else self._wrong_label(batch, class_labels(batch.dataset))
            if wrong is not None:
                yield from self._once(wrong)
            elif not self.has_wrong_label or self._wrong_target(batch) is None:
                if isinstance(error, TransformError):
                    place_transform(error, self.cfg)
                yield _located(error, place)
        except (Exception, SystemExit) as error:  # of custom code or torch
            wrong = self._wrong_target(batch) if _OUT_OF_RANGE.search(str(error)) else None
            if wrong is None:
                yield _failure(error, self.cfg, self.model, part, batch)
            else:
                yield from self._once(wrong)

    def label_problems(self) -> Iterator[CfgTrainError]:
        """Yield an error for a label that is not the index of a score, in any sample of the datasets that were tried."""
        for batch in self.batches:
            wrong = self._wrong_label(batch, class_labels(batch.dataset))
            if wrong is not None:
                yield from self._once(wrong)

    def warn_of_many_scores(self) -> None:
        """Warn if num_classes in the config is greater than the number of classes of the training data."""
        for batch in self.batches:
            if batch.part == "train" and class_labels(batch.dataset) is not None and self.num_scores:
                sentence = many_scores_text(self.cfg, batch.dataset, self.num_scores)
                self.result.warnings += [sentence] if sentence else []

    def _wrong_target(self, batch: _Batch | None) -> CfgTrainError | None:
        """Return an error for a label in a batch that is not the index of a score."""
        return None if batch is None else self._wrong_label(batch, targets_in(batch.content), batch.indices)

    def _once(self, error: CfgTrainError) -> Iterator[CfgTrainError]:
        """Yield an error about labels unless there was one: the cause is probably the same for all datasets."""
        if not self.has_wrong_label:
            self.has_wrong_label = True
            yield error

    def _wrong_label(
        self, batch: _Batch, labels: Any, indices: list[int] | None = None
    ) -> CfgTrainError | None:
        """Return an error for a label that is not the index of a score, if labels are given."""
        if labels is None or batch.indices is None:
            return None
        if self.num_scores is None:
            self.num_scores = num_scores_of(self.model, batch.content, len(batch.indices))
        if self.num_scores is None:
            return None
        return label_error(self.cfg, self.model, batch.part, batch.dataset, labels, self.num_scores, indices)

    def _train(self, batch: _Batch) -> None:
        """Compute the loss of a batch and its gradients."""
        self.model.train()
        steps = [hook for hook in self.runner.hooks if isinstance(hook, OptimizerHook)]
        # A model may step the optimizer itself, so it gets one that the run does not use.
        optimizer = build_optimizer(self.model, self.cfg.optimizer)
        with ExitStack() as precision:
            for hook in steps:
                autocast = hook.autocast_for(self.model)
                if autocast is not None:
                    precision.enter_context(autocast)
            outputs = self.runner.call_step(batch.content, True, optimizer)
        outputs = step_outputs(outputs, "train_step", self.name)
        if any(type(hook).after_train_iter is OptimizerHook.after_train_iter for hook in steps):
            loss = loss_with_gradient(outputs, self.model)
            if loss.numel() != 1:
                raise DryRunError(
                    f"The loss that train_step of {self.name} returns has the shape {tuple(loss.shape)}, and gradients are "
                    "computed of one number: return its mean() or sum().",
                    **location(self.cfg._cfg_dict, "model"),
                )
            loss.backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
        value = outputs.get("loss")
        if isinstance(value, Tensor) and value.numel() == 1:
            self.result.loss = value.item()
            if not math.isfinite(self.result.loss):
                self.result.warnings.append(
                    f"The loss of a batch of data.train is {self.result.loss}, before any training. The batch has "
                    f"{batch_text(batch.content)}."
                )

    def _validate(self, batch: _Batch) -> None:
        """Do the validation step of a flow."""
        self.model.eval()
        with torch.no_grad():
            step_outputs(
                self.runner.call_step(batch.content, False, self.runner.optimizer), "val_step", self.name
            )

    def _evaluate(self, batch: _Batch) -> None:
        """Predict a batch and score it, as the evaluation will do."""
        configs, eval_kwargs = evaluation_settings(self.cfg)
        metrics = build_metrics(configs) if configs is not None else None
        keep = uses_evaluate(batch.dataset, metrics, eval_kwargs)
        with_losses = batch.part == "val" or not (keep or metrics is not None)
        found = self._predict(batch, with_losses)
        if keep and isinstance(found.predictions, Tensor):
            found.predictions.cpu().numpy()
        sums = LossSums()
        if with_losses:
            sums.add(found.losses, len(found.predictions))
        if metrics is None:
            return
        restore = getattr(batch.dataset, "restore", None)
        scored = found[:2] if restore is None else restore(*found[:2])
        for i, metric in enumerate(metrics.metrics):
            try:
                metric.update(*scored)
            except CfgTrainError as error:
                _located(error, self._metric_place(i))
                raise
            except Exception as error:
                failure = DryRunError(
                    f"{name_of(metric)} cannot score a batch of data.{batch.part}: {exception_text(error)}.",
                    **self._metric_place(i),
                )
                failure.add_note(f"The predictions have {batch_text(found.predictions)}.")
                failure.add_note(f"The batch has {batch_text(batch.content)}.")
                raise failure from error
        scores = self._compute(metrics, batch.part)
        if scores is None:
            return
        scores |= sums.means()
        best = self.cfg.get("evaluation", {}).get("save_best")
        if batch.part == "val" and best not in (None, "auto"):
            try:
                ScoreRules(best, rule="greater").select(scores)
            except CfgTrainError as error:
                _located(error, location(self.cfg.evaluation, "save_best"))
                raise

    def _compute(self, metrics: MetricSet, part: str) -> dict[str, Any] | None:
        """Return the scores of a batch; None, with a warning, if one cannot be computed for so few samples.

        Raises:
            CfgTrainError: A metric would fail for any number of samples.
        """
        scores: dict[str, Any] = {}
        for i, metric in enumerate(metrics.metrics):
            try:
                scores |= metrics.scores_of(metric)
            except CfgTrainError as error:
                _located(error, location(self.cfg.evaluation, "metrics"))
                raise
            except _MISTAKES as error:
                raise DryRunError(
                    f"{name_of(metric)} cannot compute the scores of a batch of data.{part}: {exception_text(error)}.",
                    **self._metric_place(i),
                ) from error
            except Exception as error:
                self.result.warnings.append(
                    f"The scores of the first batch of data.{part} cannot be computed: {exception_text(error)}."
                )
                return None
        return scores

    def _metric_place(self, index: int) -> Location:
        configs = self.cfg.evaluation["metrics"]
        place = location(configs[index] if isinstance(configs[index], Mapping) else configs, None)
        return place if place["key"] else location(self.cfg.evaluation, "metrics")

    def _predict(self, batch: _Batch, with_losses: bool) -> Predicted:
        """Predict a batch, and check that there is one prediction per sample.

        Raises:
            DryRunError: The model cannot be called, or returns something else.
        """
        inner: Any = unwrap_model(self.model)
        is_both = with_losses and has_forward_with_loss(self.model)
        method = "forward_with_loss" if is_both else "forward"
        named = {} if is_both else {"return_loss": False}
        problem = call_problem(getattr(inner, method), batch.content, **named)
        place = location(self.cfg._cfg_dict, "model")
        if problem is not None:
            raise DryRunError(
                f"{self.name}.{method} cannot be called for a prediction: {problem}.",
                hint=f"It gets {_arguments(batch.content, is_both)}. {unexpected_argument_hint(problem)}".rstrip(),
                **place,
            )
        wanted = "a model returns one prediction per sample, as a tensor (B, ...) or a list"
        wanted += ", and a dict of losses" if is_both else ", if it is called with return_loss=False"
        with closing(predict_batches(self.model, [batch.content], with_losses)) as predicted:
            found = next(predicted)
        predictions = found.predictions
        if not hasattr(predictions, "__len__") or (isinstance(predictions, Tensor) and predictions.ndim == 0):
            raise DryRunError(f"{method} of {self.name} returned {_what(predictions)}: {wanted}.", **place)
        if batch.indices is not None and len(predictions) != len(batch.indices):
            raise DryRunError(
                f"{method} of {self.name} returned {len(predictions)} predictions, {_what(predictions)}, for a batch of "
                f"{len(batch.indices)} samples: {wanted}.",
                **place,
            )
        self.num_scores = num_scores_in(predictions) or self.num_scores
        return found


def _first_batch(cfg: Config, part: str, loader: Any) -> _Batch:
    """Load a batch in the same way as the run will do, in a worker process if it uses some."""
    dataset = dataset_of(loader)
    own = build_loader_of(
        cfg,
        part,
        dataset,
        workers_per_gpu=min(1, loader.num_workers),
        persistent_workers=False,
        prefetch_factor=1,
        work_dir=None,  # where a list of skipped samples would be written
    )
    own.skipped = None  # the run reports the samples that it skips
    try:
        with closing(iter(own)) as batches:
            for batch in batches:
                indices = own.batch_indices(0, 0) if isinstance(own, EpochDataLoader) else None
                return _Batch(part, dataset, batch, indices)
    finally:
        own.close()
    raise DryRunError(f"data.{part} yields no batch.", **location(cfg.data, part))


def _arguments(batch: Any, is_both: bool) -> str:
    names = ", ".join(map(str, batch)) if isinstance(batch, Mapping) else f"its {len(batch)} items"
    return names if is_both else f"{names} and return_loss=False"


def _what(value: Any) -> str:
    """Return a description of what a method returned."""
    if isinstance(value, Tensor):
        return f"a tensor of shape {tuple(value.shape)}"
    if isinstance(value, Mapping):
        return f"a dict of {', '.join(map(repr, value)) or 'nothing'}"
    return "None" if value is None else with_article(type(value).__name__)


def _is_unrepeatable(loader: Any) -> bool:
    dataset = getattr(loader, "dataset", None)
    return isinstance(dataset, IterableDataset) and not getattr(dataset, "repeatable", False)


def exception_text(error: BaseException) -> str:
    """Return the first lines of the text of an exception that is not ours, with its type."""
    if is_out_of_memory(error):
        return out_of_memory_text(error).rstrip(".")
    text = _CALLED.sub("the ", str(error).strip(), count=1)
    lines = [line.rstrip()[:MAX_WIDTH] for line in text.splitlines() if line.strip()]
    text = "\n  ".join(lines[:MAX_LINES]).rstrip(".: ")
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def _failure(
    error: BaseException, cfg: Config, model: nn.Module, part: str, batch: _Batch | None
) -> DryRunError:
    """Return the error for an exception that is not ours, which becomes its cause."""
    if batch is None:
        failure = DryRunError(
            f"A batch of data.{part} cannot be loaded: {exception_text(error)}.", **location(cfg.data, part)
        )
    else:
        failure = DryRunError(
            f"The model cannot process a batch of data.{part}: {exception_text(error)}.",
            hint=torch_error_hint(error),
            **module_location(error, model, cfg),
        )
        raised_by = activity_lines(error, model, cfg)[:1]
        if raised_by:
            failure.add_note(f"{ACTIVITY_NOTE}{raised_by[0]}")
        failure.add_note(f"The batch has {batch_text(batch.content)}.")
    failure.__cause__ = error
    return failure


def _cause_text(error: CfgTrainError) -> str:
    """Return a text that is the same for two errors with the same cause.

    The sizes of batches are left out, since a small dataset has a smaller one. A pipeline that passes on too much fails
    in several ways: its values cannot be merged, or the training step or the prediction does not accept them.
    """
    if "type='Collect'" in error.hint:
        return "Collect"
    if error.__cause__ is None:
        return re.sub(r"\(\d+,", "(#,", str(error))  # the first size of a shape
    cause = re.sub(r"\d+", "#", repr(error.__cause__))
    if isinstance(error, TransformError) and error.line is not None:  # a step that several pipelines share
        return f"{cause}\n{error.origin}"
    return "\n".join([cause, error.hint, *getattr(error, "__notes__", ())[:1]])


def _located(error: CfgTrainError, place: Location) -> CfgTrainError:
    """Return an error of ours with a place, if it has none, and the exit code of a run that was not started."""
    error.exit_code = ExitCode.USAGE
    if error.key is None and error.origin is None:
        error.origin, error.key = place["origin"], place["key"]
    return error
