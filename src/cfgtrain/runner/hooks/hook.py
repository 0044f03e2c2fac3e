"""The base of all hooks."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from torch import Tensor

from cfgtrain.data.loader import num_batches
from cfgtrain.errors import HookError
from cfgtrain.origin import describe, where
from cfgtrain.runner.protocol import RunnerView

__all__ = ["Hook"]

STAGES = (
    "before_run",
    "before_train_epoch",
    "before_train_iter",
    "after_train_iter",
    "after_train_epoch",
    "before_val_epoch",
    "before_val_iter",
    "after_val_iter",
    "after_val_epoch",
    "after_run",
)
GENERIC_STAGES = ("before_epoch", "after_epoch", "before_iter", "after_iter")  # of either mode


class Hook:
    """Code that runs at named stages of a run.

    A hook overrides the methods of the stages that it needs; the others cost nothing. The
    epoch runner calls them like this::

        hook.before_run(runner)
        for epoch in range(max_epochs):
            hook.before_train_epoch(runner)
            for batch in loader:
                hook.before_train_iter(runner)
                runner.outputs = runner.model.train_step(batch, runner.optimizer)
                hook.after_train_iter(runner)      # the optimizer hook steps here
            hook.after_train_epoch(runner)         # counters advance after the hooks
        hook.after_run(runner)                     # after an error, too

    and the same with ``val`` for a ``("val", n)`` flow. An iteration runner has no train or
    val epochs; it calls ``before_epoch`` and ``after_epoch`` once, around the whole run.
    ``before_epoch``, ``after_epoch``, ``before_iter`` and ``after_iter`` are for both modes.

    Attributes:
        idle_stages: Stages that this instance does not need with its settings, although its class
            has a method for them: it is not called there. See ``set_idle``.
    """

    stages = STAGES
    default_priority: int | str = "NORMAL"
    idle_stages: Collection[str] = ()
    _configs: tuple[Any, ...] = ()  # that hold the settings it was built from, for messages

    def before_run(self, runner: RunnerView) -> None:
        """Run once, before the first batch."""

    def after_run(self, runner: RunnerView) -> None:
        """Run once at the end, also after an error."""

    def before_epoch(self, runner: RunnerView) -> None:
        """Run before each epoch of either mode."""

    def after_epoch(self, runner: RunnerView) -> None:
        """Run after each epoch of either mode."""

    def before_iter(self, runner: RunnerView) -> None:
        """Run before each batch of either mode."""

    def after_iter(self, runner: RunnerView) -> None:
        """Run after each batch of either mode."""

    def before_train_epoch(self, runner: RunnerView) -> None:
        """Run before each training epoch."""
        self.before_epoch(runner)

    def before_val_epoch(self, runner: RunnerView) -> None:
        """Run before each pass of a val flow."""
        self.before_epoch(runner)

    def after_train_epoch(self, runner: RunnerView) -> None:
        """Run after each training epoch."""
        self.after_epoch(runner)

    def after_val_epoch(self, runner: RunnerView) -> None:
        """Run after each pass of a val flow."""
        self.after_epoch(runner)

    def before_train_iter(self, runner: RunnerView) -> None:
        """Run before each training step."""
        self.before_iter(runner)

    def before_val_iter(self, runner: RunnerView) -> None:
        """Run before each step of a val flow."""
        self.before_iter(runner)

    def after_train_iter(self, runner: RunnerView) -> None:
        """Run after each training step."""
        self.after_iter(runner)

    def after_val_iter(self, runner: RunnerView) -> None:
        """Run after each step of a val flow."""
        self.after_iter(runner)

    def every_n_epochs(self, runner: RunnerView, n: int) -> bool:
        """Return whether the current epoch is an n-th one; False for n < 1."""
        return n > 0 and (runner.epoch + 1) % n == 0

    def every_n_iters(self, runner: RunnerView, n: int) -> bool:
        """Return whether the current iteration is an n-th one of the run; False for n < 1."""
        return n > 0 and (runner.iter + 1) % n == 0

    def every_n_inner_iters(self, runner: RunnerView, n: int) -> bool:
        """Return whether the current iteration is an n-th one of its epoch; False for n < 1."""
        return n > 0 and (runner.inner_iter + 1) % n == 0

    def end_of_epoch(self, runner: RunnerView) -> bool:
        """Return whether the current iteration is the last one of its epoch.

        Raises:
            HookError: The loader has no length.
        """
        length = num_batches(runner.data_loader)
        if length is None:
            raise HookError(
                f"{type(self).__name__} needs the end of the epoch, but the data loader has no length."
            )
        return runner.inner_iter + 1 == length

    def is_last_epoch(self, runner: RunnerView) -> bool:
        """Return whether the current epoch is the last one of the run."""
        return runner.epoch + 1 == runner.max_epochs

    def is_last_iter(self, runner: RunnerView) -> bool:
        """Return whether the current iteration is the last one of the run."""
        return runner.iter + 1 == runner.max_iters

    def place_of(self, setting: str) -> str:
        """Return the name of a setting for a message, with its key path and line if it is from a config."""
        places = (describe(cfg, setting) for cfg in self._configs if where(cfg, setting) is not None)
        return next(places, setting)

    def get_triggered_stages(self) -> list[str]:
        """Return the stages at which this hook is called, in order."""
        return [stage for stage in self.stages if stage_method(self, stage) is not None]

    def set_idle(self, stages: Iterable[str], cls: type[Hook]) -> None:
        """Do not call this instance at some stages, except where a subclass of ``cls`` overrides them.

        Args:
            stages: The stages that it does not need with its settings.
            cls: The class whose methods are not needed.
        """
        self.idle_stages = [stage for stage in stages if getattr(type(self), stage) is getattr(cls, stage)]

    def before_load_checkpoint(self, runner: RunnerView, state_dict: Mapping[str, Any]) -> None:
        """Run when a run is resumed, before the weights of its checkpoint are loaded into the model."""

    def evaluation_context(self, runner: RunnerView) -> AbstractContextManager[None]:
        """Return a context manager that is active while the model is evaluated or saved.

        In it a hook can give the model other weights, such as averages.
        """
        return nullcontext()

    def step_context(self, runner: RunnerView) -> AbstractContextManager[None]:
        """Return a context manager that is active during each training step of the model.

        The step is the call of ``train_step``: neither the backward pass nor other hooks or val flows
        are in it. Mixed precision is enabled here.
        """
        return nullcontext()

    def flush_logs(self, runner: RunnerView) -> None:
        """Log the pending training values before something else is logged; for logger hooks."""

    def exclude_time(self, seconds: float) -> None:
        """Do not count the last ``seconds``, as of an evaluation between iterations; for timer hooks."""

    def extra_weights(self) -> Mapping[str, Tensor]:
        """Return extra tensors that are saved with the weights, by name; saving fails if any is not finite."""
        return {}

    def state_dict(self) -> dict[str, Any]:
        """Return the state that a resumed run needs, of plain types; it is saved with every checkpoint."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore the state that ``state_dict`` returned; called after ``before_run``."""


def stage_method(hook: Hook, stage: str) -> Any:
    """Return the method of a hook for a stage, or None if the hook does nothing there.

    A method counts if the class or the instance overrides it. For ``before_train_epoch`` that is also
    ``before_epoch``, unless ``before_train_epoch`` itself is overridden; likewise for other stages.
    """
    if stage in hook.idle_stages:
        return None
    for name in (stage, stage.replace("_train_", "_").replace("_val_", "_")):
        if name in vars(hook) or getattr(type(hook), name, None) is not getattr(Hook, name, None):
            return getattr(hook, name)
    return None
