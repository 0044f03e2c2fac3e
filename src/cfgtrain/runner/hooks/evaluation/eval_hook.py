"""Evaluate the model during training, and keep the best checkpoint."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from time import perf_counter
from typing import Any

from cfgtrain.arguments import check_integer, check_type
from cfgtrain.data.loader import empty_loader_error, num_batches, set_epoch
from cfgtrain.errors import ArgumentTypeError, UnknownNameError
from cfgtrain.evaluation.inference import LossSums, multi_gpu_test, single_gpu_test
from cfgtrain.evaluation.score_rules import COMPARE, GREATER_KEYS, LESS_KEYS, Rule, ScoreRules
from cfgtrain.evaluation.scoring import check_scorable, dataset_scores, uses_evaluate
from cfgtrain.introspection.signatures import accepted_args
from cfgtrain.metrics.metric_set import build_metrics
from cfgtrain.parallel.wrappers import has_forward_with_loss
from cfgtrain.registries import HOOKS
from cfgtrain.runner.hooks.evaluation.best_checkpoint import BestCheckpoint
from cfgtrain.runner.hooks.hook import Hook
from cfgtrain.runner.protocol import RunnerView
from cfgtrain.score_order import is_number

__all__ = ["EvalHook"]


@HOOKS.register_module()
class EvalHook(Hook):
    """Evaluates the model on a dataset at intervals.

    The scores are those of ``metrics``, which are updated with each batch. Without metrics, or if there are
    ``eval_kwargs``, all predictions are kept, and ``dataloader.dataset.evaluate(results, logger=..., **eval_kwargs)``
    returns the scores, a dict of numbers by name. If the class of the dataset has a static or class method
    ``score_names(**eval_kwargs)`` that returns their names, misspelt names are found before the
    run. An evaluation changes neither the mode of the model nor the random state of the training.

    If the model has ``forward_with_loss(**batch)`` that returns predictions and a dict of losses, it is called
    instead of ``forward``, and the mean losses are logged with the scores. They count as scores, too: ``save_best``
    may name one, and they are the only scores of a dataset without ``evaluate`` if there are no metrics.

    Args:
        dataloader: Loads the dataset in order.
        start: The first evaluation is after this epoch or iteration, and the interval is counted
            from it. None starts with the first interval.
        interval: Epochs or iterations between evaluations.
        by_epoch: Whether ``interval`` counts epochs, or iterations.
        save_best: Name of the score whose best checkpoint is kept as ``best_<name>_epoch_<n>.pth``;
            ``"auto"`` is the first score; None keeps none.
        rule: Whether greater or smaller values are better; guessed from the name by default.
        test_fn: Function ``(model, dataloader) -> results``. If it has arguments ``progress``, ``losses``,
            ``metrics`` and ``keep``, they are as for ``single_gpu_test``; with metrics it needs that argument.
        greater_keys: Names, or parts of names, of scores for which greater values are better.
        less_keys: The same for smaller values.
        out_dir: A path or URI where the best checkpoint goes, as for ``CheckpointHook``.
        file_client_args: Arguments of ``FileClient`` for ``out_dir``.
        metrics: Metrics, each its name, its config or an object; see ``cfgtrain.metrics.build_metrics``.
        eval_kwargs: More arguments of ``evaluate``.

    Attributes:
        score_rules: Selects a score, and knows whether greater or smaller values are better.
        metrics: The metrics, a ``MetricSet``, or None.
        scores: The newest scores that are numbers, without the losses; saved with the run.
        newest: All scores and losses of the newest evaluation of this process.
        losses: Mean losses of the newest evaluation, by name; empty if they are unknown. Saved with the run.
        evaluations: Number of evaluations so far; saved with the run.
        evaluated_iters: Complete training iterations at the newest evaluation of this process.
    """

    _default_greater_keys: Sequence[str] = GREATER_KEYS
    _default_less_keys: Sequence[str] = LESS_KEYS

    def __init__(
        self,
        dataloader: Any,
        start: int | None = None,
        interval: int = 1,
        by_epoch: bool = True,
        save_best: str | None = None,
        rule: Rule | None = None,
        test_fn: Callable[..., Any] | None = None,
        greater_keys: str | Sequence[str] | None = None,
        less_keys: str | Sequence[str] | None = None,
        out_dir: str | None = None,
        file_client_args: Mapping[str, Any] | None = None,
        metrics: Sequence[Any] | None = None,
        **eval_kwargs: Any,
    ) -> None:
        check_integer("interval", interval, 1)
        if start is not None:
            check_integer("start", start, 0)
        if not hasattr(dataloader, "dataset"):
            raise ArgumentTypeError(
                f"An evaluation needs a DataLoader with a dataset that returns scores, not {dataloader!r}."
            )
        if isinstance(dataloader, type):
            raise ArgumentTypeError(
                f"An evaluation needs a DataLoader, not the class {dataloader.__name__} itself."
            )
        check_type("test_fn", test_fn, Callable | None, "a function (model, dataloader) -> results")
        check_type("by_epoch", by_epoch, bool, "True or False")
        check_type("save_best", save_best, str | None, "the name of a score, 'auto' or None")
        if rule not in (None, *COMPARE):  # a KeyError, as in MMCV
            raise UnknownNameError(
                f"rule must be 'greater', 'less' or None, not {rule!r}.",
                near=(str(rule), list(COMPARE)),
                argument="rule",
            )
        self._best = BestCheckpoint(out_dir, file_client_args)
        self.dataloader = dataloader
        self.start = start
        self.interval = interval
        self.by_epoch = by_epoch
        self.metrics = None if metrics is None else build_metrics(metrics)
        self.score_rules = ScoreRules(
            save_best,
            rule,
            self._default_greater_keys if greater_keys is None else greater_keys,
            self._default_less_keys if less_keys is None else less_keys,
            None if self.metrics is None else self.metrics.rule_of,
        )
        self.greater_keys, self.less_keys = self.score_rules.greater_keys, self.score_rules.less_keys
        self.test_fn = test_fn or single_gpu_test
        if self.metrics is not None and not accepted_args(self.test_fn, {"metrics": None}):
            raise ArgumentTypeError(
                "metrics needs a test_fn with an argument metrics, which it updates with each batch.",
                argument="test_fn",
            )
        self.out_dir = out_dir
        self.eval_kwargs = eval_kwargs
        self.scores: dict[str, float] = {}
        self.newest: dict[str, Any] = {}
        self.losses: dict[str, float] = {}
        self.evaluations = 0
        self.evaluated_iters = 0
        self._initial = True
        self._batches = 0  # in the current evaluation
        self._loss_sums = LossSums()  # of the current evaluation
        self.has_losses = True  # as long as the model is not known
        self.set_idle(
            ("before_train_iter", "after_train_iter")
            if by_epoch
            else ("before_train_epoch", "after_train_epoch"),
            EvalHook,
        )
        names = self.score_names()
        if save_best not in (None, "auto") and (names is None or save_best in names):
            _, self.score_rules.rule = self.score_rules.select([str(save_best)])
        # Otherwise check_save_best raises before the run, or the first evaluation determines the rule.

    @property
    def save_best(self) -> str | None:
        """Name of the score whose best checkpoint is kept, ``"auto"`` before the first evaluation, or None."""
        return self.score_rules.name

    @property
    def rule(self) -> Rule | None:
        """Whether greater or smaller values of that score are better, None if not known yet."""
        return self.score_rules.rule

    @property
    def key_indicator(self) -> str | None:
        """``save_best`` (MMCV name)."""
        return self.save_best

    def _init_rule(self, rule: Rule | None, key_indicator: str) -> None:
        """Choose the score of ``save_best`` (MMCV name, which subclasses call)."""
        self.score_rules.name, self.score_rules.rule = self.score_rules.select(
            [key_indicator], key_indicator, rule
        )

    def before_run(self, runner: RunnerView) -> None:
        """Determine where the best checkpoint goes.

        Raises:
            ArgumentTypeError: The loader cannot be iterated over again and again, or there is nothing to score:
                no metrics, no ``evaluate`` of the dataset and no losses.
            ArgumentError: There are no samples to evaluate.
            HookError: ``save_best`` is known not to be one of the scores.
            CheckpointError: The best checkpoint cannot be copied to ``out_dir``.
        """
        self._check_loader()
        self.has_losses = has_forward_with_loss(runner.model) and bool(
            accepted_args(self.test_fn, {"losses": None})
        )
        if not self._computes:
            dataset = self.dataloader.dataset
            check_scorable(
                dataset, self.has_losses, self.metrics, self.eval_kwargs, "The dataset of the evaluation"
            )
        # Of several processes, one may have no share of a small dataset.
        if num_batches(self.dataloader) == 0 and runner.world_size == 1:
            raise empty_loader_error(self.dataloader)
        self.check_save_best()
        if self.save_best is not None:
            self._best.begin(runner)
        unit, total = ("epochs", runner.max_epochs) if self.by_epoch else ("iterations", runner.max_iters)
        first = self.start or self.interval
        if total is not None and first > total:
            runner.logger.warning(
                "The first evaluation is due after %d %s, but the run has only %d: it will not be evaluated.",
                first,
                unit,
                total,
            )

    def before_train_epoch(self, runner: RunnerView) -> None:
        """Evaluate once before training, if the run starts at or after ``start``."""
        if self.by_epoch and self._is_start(runner.epoch):
            self.after_train_epoch(runner)
        self._initial = False

    def before_train_iter(self, runner: RunnerView) -> None:
        """Evaluate once before training, if the run starts at or after ``start``."""
        if not self.by_epoch and self._initial:
            if self._is_start(runner.iter):
                self.after_train_iter(runner)
            self._initial = False

    def after_train_epoch(self, runner: RunnerView) -> None:
        """Evaluate by epoch."""
        if self.by_epoch and self._should_evaluate(runner):
            self._evaluate(runner)

    def after_train_iter(self, runner: RunnerView) -> None:
        """Evaluate by iteration, after logging the pending training values."""
        if not self.by_epoch and self._should_evaluate(runner):
            runner.flush_logs()
            started = perf_counter()
            self._evaluate(runner)
            runner.exclude_time(perf_counter() - started)

    def state_dict(self) -> dict[str, Any]:
        """Return the newest scores, whether the initial evaluation is still due, and the best checkpoint."""
        return {
            "initial": self._initial,
            "scores": self.scores,
            "losses": self.losses,
            "evaluations": self.evaluations,
            **self._best.state_dict(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore the state."""
        self._initial = state["initial"]
        self.scores, self.losses = state.get("scores", {}), state.get("losses", {})
        self.evaluations = state.get("evaluations", 0)
        self._best.load_state_dict(state)

    def evaluate(self, runner: RunnerView, results: Any) -> dict[str, Any]:
        """Return the scores of predictions, and log them."""
        scores = dataset_scores(
            self.dataloader.dataset, results, runner.logger, self.metrics, self.eval_kwargs
        )
        # What metrics return besides numbers, such as a confusion matrix, is not for the loggers.
        logged = {name: score for name, score in scores.items() if self.metrics is None or is_number(score)}
        runner.log_buffer.output.update(logged)
        runner.log_buffer.mode = "val"
        runner.log_buffer.iters = runner.completed_iters
        runner.log_buffer.ready = True
        return scores

    def predict(self, runner: RunnerView, offered: Mapping[str, Any]) -> Any:
        """Return the results of ``test_fn``, called with those arguments of ``offered`` that it accepts."""
        # All evaluations use the same data, also if a val flow uses the loader, too.
        set_epoch(self.dataloader, 0)
        return self.test_fn(runner.model, self.dataloader, **accepted_args(self.test_fn, offered))

    def score(self, runner: RunnerView, results: Any) -> dict[str, Any]:
        """Return the scores of the results, and log the number of batches; ``losses`` are those of this evaluation."""
        length = num_batches(self.dataloader)
        if length is None and not results and not self._batches:
            raise empty_loader_error(self.dataloader)
        batches = self._batches or len(results)  # if test_fn does not report batches, one per result
        runner.log_buffer.output["eval_iter_num"] = batches if length is None else length
        found: Any = self.evaluate(runner, results)
        if isinstance(found, Mapping):
            scores = dict(found)
        else:  # a subclass for MMCV returns the score of save_best, or None
            scores = {} if found is None else {str(self.save_best): found}
        self.losses = {name: mean for name, mean in self._loss_sums.means().items() if name not in scores}
        return scores

    def _check_loader(self) -> None:
        loader, kind = self.dataloader, type(self.dataloader).__name__
        if self.test_fn in (single_gpu_test, multi_gpu_test):  # a custom test_fn may read it in another way
            if not hasattr(loader, "__iter__") and not hasattr(loader, "__getitem__"):
                raise ArgumentTypeError(
                    f"An evaluation needs a DataLoader, and {kind} cannot be iterated over."
                )
            if hasattr(loader, "__next__"):
                raise ArgumentTypeError(
                    f"An evaluation needs a DataLoader that yields all batches each time, and {kind} is an iterator."
                )

    @property
    def _computes(self) -> bool:
        """Whether a subclass computes the scores in another way."""
        return type(self).evaluate is not EvalHook.evaluate

    def _evaluate(self, runner: RunnerView) -> None:
        if type(self)._do_evaluate is EvalHook._do_evaluate:
            self._do_evaluate(runner)
        else:  # a subclass for MMCV predicts with the model itself
            with runner.evaluation_context():
                self._do_evaluate(runner)

    def _do_evaluate(self, runner: RunnerView) -> None:
        """Predict, score, and keep the best checkpoint (MMCV name, which subclasses override)."""
        self._batches = 0

        def progress(done: int) -> None:
            self._batches += 1
            if self.by_epoch:  # a resumed run repeats it; between iterations the evaluation is completed
                runner.check_interrupt()

        self._loss_sums = LossSums()
        if self.metrics is not None:
            self.metrics.reset()
        keep = self._computes or uses_evaluate(self.dataloader.dataset, self.metrics, self.eval_kwargs)
        offered = {"progress": progress, "losses": self._loss_sums, "metrics": self.metrics, "keep": keep}
        with runner.evaluation_context():
            results = self.predict(runner, offered)
        scores = self.score(runner, results)
        runner.log_buffer.output.update(self.losses)
        self.evaluated_iters = runner.completed_iters
        self.newest = {**scores, **self.losses}
        self.scores = {name: float(score) for name, score in scores.items() if is_number(score)}
        self.evaluations += 1
        if self.save_best is not None and keep and not scores and self.save_best not in self.losses:
            runner.logger.warning("eval_res is empty: saving the best checkpoint is skipped this time.")
        elif self.save_best is not None:
            self._keep_best(runner, self.newest)

    def _keep_best(self, runner: RunnerView, scores: dict[str, Any]) -> None:
        name, rule = self.score_rules.select(scores)
        self.score_rules.name, self.score_rules.rule = name, rule
        self._save_ckpt(runner, scores[name])

    def _save_ckpt(self, runner: RunnerView, key_score: Any) -> None:
        """Save the best checkpoint if a score is the best one (MMCV name, which subclasses call and override).

        Args:
            runner: The runner.
            key_score: The score, or all scores as ``evaluate`` returns them.
        """
        if isinstance(key_score, Mapping):
            if key_score:
                self._keep_best(runner, dict(key_score))
            return
        name, rule = self.score_rules.select([self.score_rules.name or "score"])
        self.score_rules.name, self.score_rules.rule = name, rule
        self._best.finish(runner)
        score, best = float(key_score), (runner.meta or {})["hook_msgs"].get("best_score")
        if not math.isfinite(score):
            runner.logger.warning("The score %r is %s: it is never the best one.", name, score)
        elif best is None or COMPARE[rule](score, best):
            unit, done = ("epoch", runner.epoch + 1) if self.by_epoch else ("iter", runner.iter + 1)
            self._best.replace(runner, name, score, unit, done)

    def score_names(self) -> list[str] | None:
        """Return the names of the scores if they are known before the first evaluation, or None.

        The losses, whose names are not known, are not among them.
        """
        known: list[str] = []
        dataset = self.dataloader.dataset
        if self.metrics is not None:
            names = self.metrics.score_names()
            if names is None:
                return None
            known += names
        if self.metrics is None or self.eval_kwargs:
            of_dataset = getattr(dataset, "score_names", None)
            if of_dataset is None:
                return None
            known += of_dataset(**self.eval_kwargs)
        return known

    def check_score(
        self, name: str | None = None, rule: Rule | None = None, owner: str = "save_best"
    ) -> None:
        """Raise if a score is known not to be one of the evaluation.

        Args:
            name: Name of the score; None is that of ``save_best``, or else the first one.
            rule: Whether greater or smaller values of it are better, if that is given.
            owner: Who needs the score, for messages.

        Raises:
            HookError: There is no such score.
            ArgumentError: The rule cannot be guessed from the name.
        """
        names = self.score_names()
        if names is None:
            return
        if self.has_losses:  # all of them have "loss" in their name
            wanted = name or self.save_best or ""
            names += [
                each for each in dict.fromkeys(["loss", wanted]) if "loss" in each and each not in names
            ]
        self.score_rules.select(names, name, rule, owner)

    def check_save_best(self) -> None:
        """Raise if ``save_best`` is known not to be one of the scores.

        Raises:
            HookError: There is no such score.
            ArgumentError: The rule cannot be guessed from the name.
        """
        if self.save_best is not None:
            self.check_score()

    def _is_start(self, done: int) -> bool:
        return self._initial and self.start is not None and done >= self.start

    def _should_evaluate(self, runner: RunnerView) -> bool:
        """Return whether an evaluation is due (MMCV name, which subclasses call and override)."""
        since = (runner.epoch if self.by_epoch else runner.iter) + 1 - (self.start or 0)
        return since >= 0 and since % self.interval == 0
