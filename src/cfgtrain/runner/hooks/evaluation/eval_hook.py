"""Evaluate during training, and keep the best."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Collection, Mapping, Sequence
from numbers import Real
from time import perf_counter
from typing import Any, Literal

from cfgtrain.data.loader import num_batches, set_epoch
from cfgtrain.errors import ArgumentError, ArgumentTypeError, HookError, UnknownNameError
from cfgtrain.evaluation.inference import single_gpu_test
from cfgtrain.introspection.signatures import accepted_args
from cfgtrain.registries import HOOKS
from cfgtrain.runner.hooks.evaluation.best_checkpoint import BestCheckpoint
from cfgtrain.runner.hooks.hook import Hook
from cfgtrain.runner.hooks.loggers.base import LoggerHook
from cfgtrain.runner.hooks.timer import IterTimerHook
from cfgtrain.runner.log_buffer import plain
from cfgtrain.runner.protocol import RunnerView

__all__ = ["BETTER", "EvalHook", "Rule"]

Rule = Literal["greater", "less"]

BETTER: dict[str, Callable[[float, float], bool]] = {"greater": operator.gt, "less": operator.lt}


@HOOKS.register_module()
class EvalHook(Hook):
    """Runs the model over a data set at intervals and scores it there.

    The scores come from ``dataloader.dataset.evaluate(results, logger=..., **eval_kwargs)``,
    a dict of numbers by name. A data set class with a static or class method
    ``score_names(**eval_kwargs)`` tells which they are, so that a misspelt name is found before
    the run. Evaluating changes neither the
    model's mode nor the random state of the training.

    Args:
        dataloader: Over the data set, in order.
        start: First epoch or iteration to evaluate after; it and the following ones count
            from there. None begins with the first interval.
        interval: How often.
        by_epoch: Whether ``interval`` counts epochs, or iterations.
        save_best: Name of the score whose best value is kept as ``best_<name>_epoch_<n>.pth``;
            ``"auto"`` takes the first one; None keeps none.
        rule: Whether a greater or a smaller score is better; guessed from the name by default.
        test_fn: ``(model, dataloader) -> results``.
        greater_keys: Names, or parts of names, of scores that are better when greater.
        less_keys: The same for smaller.
        out_dir: A path or URI: where the best goes, as with ``CheckpointHook``.
        file_client_args: Arguments of ``FileClient`` for ``out_dir``.
        eval_kwargs: For ``evaluate``.

    Attributes:
        scores: The newest, those that are numbers.
        evaluations: How many there have been; both are saved with the run.
    """

    _default_greater_keys: Sequence[str] = (
        "acc", "top", "AR@", "auc", "precision", "mAP", "mDice", "mIoU", "mAcc", "aAcc",
    )  # fmt: skip
    _default_less_keys: Sequence[str] = ("loss",)

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
        **eval_kwargs: Any,
    ) -> None:
        if interval <= 0:
            raise ArgumentError(f"interval is positive, not {interval!r}.", argument="interval")
        if start is not None and start < 0:
            raise ArgumentError(f"start is not negative, as {start!r} is.", argument="start")
        if not hasattr(dataloader, "dataset"):
            raise ArgumentTypeError(
                f"An evaluation needs a DataLoader, whose dataset knows the scores, not {dataloader!r}."
            )
        if not isinstance(by_epoch, bool):
            raise ArgumentError(f"by_epoch is True or False, not {by_epoch!r}.", argument="by_epoch")
        if not isinstance(save_best, str | None):
            raise ArgumentError(
                f"save_best is the name of a score, 'auto' or None, not {save_best!r}.", argument="save_best"
            )
        if rule not in (None, *BETTER):
            raise UnknownNameError(
                f"rule is 'greater', 'less' or None, not {rule!r}.",
                near=(str(rule), list(BETTER)),
                argument="rule",
            )
        self._best = BestCheckpoint(out_dir, file_client_args)
        self.dataloader = dataloader
        self.start = start
        self.interval = interval
        self.by_epoch = by_epoch
        self.save_best = save_best
        self.rule = rule
        self.test_fn = test_fn or single_gpu_test
        self.greater_keys = _as_keys(greater_keys, self._default_greater_keys)
        self.less_keys = _as_keys(less_keys, self._default_less_keys)
        self.out_dir = out_dir
        self.eval_kwargs = eval_kwargs
        self.scores: dict[str, float] = {}
        self.evaluations = 0
        self._initial = True
        self._batches = 0  # of this evaluation
        idle = (
            ("before_train_iter", "after_train_iter")
            if by_epoch
            else ("before_train_epoch", "after_train_epoch")
        )
        # But for those that a subclass has made its own.
        self.idle_stages = [stage for stage in idle if getattr(type(self), stage) is getattr(EvalHook, stage)]
        known = self.score_names()
        if save_best not in (None, "auto") and (
            known is None or save_best in known
        ):  # else see check_save_best
            self.rule = rule or self.guess_rule(str(save_best))

    def before_run(self, runner: RunnerView) -> None:
        """Settle where the best goes.

        Raises:
            HookError: ``save_best`` is known to be none of the scores.
            CheckpointError: The best cannot be copied to ``out_dir``.
        """
        self.check_save_best()
        if self.save_best is not None:
            self._best.begin(runner)
        unit, total = ("epochs", runner.max_epochs) if self.by_epoch else ("iterations", runner.max_iters)
        first = self.start or self.interval
        if total is not None and first > total:
            runner.logger.warning(
                "The first evaluation is due after %d %s, and the run has %d: there will be none.",
                first,
                unit,
                total,
            )

    def before_train_epoch(self, runner: RunnerView) -> None:
        """Evaluate once before training, when the run begins at or after ``start``."""
        if self.by_epoch and self._is_start(runner.epoch):
            self.after_train_epoch(runner)
        self._initial = False

    def before_train_iter(self, runner: RunnerView) -> None:
        """Evaluate once before training, when the run begins at or after ``start``."""
        if not self.by_epoch and self._initial:
            if self._is_start(runner.iter):
                self.after_train_iter(runner)
            self._initial = False

    def after_train_epoch(self, runner: RunnerView) -> None:
        """Evaluate by epoch."""
        if self.by_epoch and self._is_due(runner.epoch + 1):
            self._evaluate(runner)

    def after_train_iter(self, runner: RunnerView) -> None:
        """Evaluate by iteration; what the loggers hold of the training is logged first."""
        if not self.by_epoch and self._is_due(runner.iter + 1):
            for hook in runner.hooks:
                if isinstance(hook, LoggerHook):
                    hook.after_train_iter(runner)
            runner.log_buffer.clear()
            began = perf_counter()
            self._evaluate(runner)
            for hook in runner.hooks:
                if isinstance(hook, IterTimerHook):
                    hook.leave_out(perf_counter() - began)

    def state_dict(self) -> dict[str, Any]:
        """Return the newest scores, whether the evaluation before training is still to come, and of the best."""
        return {
            "initial": self._initial,
            "scores": self.scores,
            "evaluations": self.evaluations,
            **self._best.state_dict(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take it over."""
        self._initial = state["initial"]
        self.scores, self.evaluations = state.get("scores", {}), state.get("evaluations", 0)
        self._best.load_state_dict(state)

    def evaluate(self, runner: RunnerView, results: Any) -> dict[str, Any]:
        """Return the scores of predictions, and put them into the log."""
        scores = self.dataloader.dataset.evaluate(results, logger=runner.logger, **self.eval_kwargs)
        if not isinstance(scores, Mapping):
            raise ArgumentTypeError(f"evaluate() of a data set returns a dict of scores, not {scores!r}.")
        scores = {name: plain(value) for name, value in scores.items()}
        runner.log_buffer.output.update(scores)
        runner.log_buffer.mode = "val"
        runner.log_buffer.ready = True
        return scores

    def predict(self, runner: RunnerView, offered: Mapping[str, Any]) -> Any:
        """Return what ``test_fn`` makes of the model and the data, with as much of ``offered`` as it takes."""
        set_epoch(self.dataloader, 0)  # each evaluation is the same, whatever flow has read of the loader
        return self.test_fn(runner.model, self.dataloader, **accepted_args(self.test_fn, offered))

    def score(self, runner: RunnerView, results: Any) -> dict[str, Any]:
        """Evaluate what was predicted, and say in the log of how many batches it is."""
        length = num_batches(self.dataloader)
        batches = self._batches or len(results)  # where test_fn does not tell, one each
        runner.log_buffer.output["eval_iter_num"] = batches if length is None else length
        return self.evaluate(runner, results)

    def _evaluate(self, runner: RunnerView) -> None:
        self._batches = 0

        def progress(done: int) -> None:
            self._batches += 1
            if self.by_epoch:  # it can be broken off and done again; within an epoch it is waited for
                runner.check_interrupt()

        with runner.evaluation_context():
            results = self.predict(runner, {"progress": progress})
        scores = self.score(runner, results)
        self.scores = {name: float(score) for name, score in scores.items() if _is_number(score)}
        self.evaluations += 1
        if self.save_best is not None:
            self._keep_best(runner, scores)

    def _keep_best(self, runner: RunnerView, scores: dict[str, Any]) -> None:
        if not scores:
            runner.logger.warning("eval_res is empty: saving the best checkpoint is skipped this time.")
            return
        self.save_best, self.rule = self.choose(self.scores)
        score, best = self.scores[self.save_best], (runner.meta or {})["hook_msgs"].get("best_score")
        if not math.isnan(score) and (best is None or BETTER[self.rule](score, best)):
            unit, done = ("epoch", runner.epoch + 1) if self.by_epoch else ("iter", runner.iter + 1)
            self._best.replace(runner, self.save_best, score, unit, done)

    def score_names(self) -> list[str] | None:
        """Return the names of the scores, where the data set knows them before the first evaluation."""
        tell = getattr(self.dataloader.dataset, "score_names", None)
        return None if tell is None else list(tell(**self.eval_kwargs))

    def check_save_best(self) -> None:
        """Refuse a ``save_best`` that is none of the scores, if their names are known before."""
        names = self.score_names()
        if names is not None and self.save_best is not None:
            self.choose(names)

    def choose(
        self,
        names: Collection[str],
        monitor: str | None = None,
        rule: Rule | None = None,
        who: str = "save_best",
    ) -> tuple[str, Rule]:
        """Return the name of the score that is meant, and its rule.

        Args:
            names: Of the scores.
            monitor: The one that is wanted; None is the one of ``save_best``, or else the first.
            rule: Of it, if it is stated.
            who: What wants it, for the message.

        Raises:
            HookError: There is no score of that name.
            ArgumentError: Whether a greater one is better cannot be guessed.
        """
        kept = next(iter(names), "") if self.save_best in (None, "auto") else str(self.save_best)
        name = monitor or kept
        if name not in names:
            listed = ", ".join(names) or "none"
            message = f"{who} goes by {name!r}, and the scores are {listed}."
            raise HookError(message, near=(name, list(names)))
        return name, rule or (self.rule if name == kept else None) or self.guess_rule(name)

    def _is_start(self, done: int) -> bool:
        return self._initial and self.start is not None and done >= self.start

    def _is_due(self, done: int) -> bool:
        since = done - (self.start or 0)
        return since >= 0 and since % self.interval == 0

    def guess_rule(self, name: str) -> Rule:
        """Return whether a greater or a less value of the score ``name`` is better, going by the name.

        Raises:
            ArgumentError: The name does not tell.
        """
        greater, less = ([key.lower() for key in keys] for keys in (self.greater_keys, self.less_keys))
        lower = name.lower()
        if lower in greater or (lower not in less and any(key in lower for key in greater)):
            return "greater"
        if lower in less or any(key in lower for key in less):
            return "less"
        raise ArgumentError(
            f"Whether a greater {name!r} is better cannot be guessed: set rule='greater' or 'less'.",
            argument="rule",
        )


def _as_keys(keys: str | Sequence[str] | None, default: Sequence[str]) -> Sequence[str]:
    return default if keys is None else (keys,) if isinstance(keys, str) else keys


def _is_number(score: Any) -> bool:
    return isinstance(score, Real) or getattr(score, "ndim", None) == 0  # of NumPy or PyTorch
