"""The base of all hooks."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from torch import Tensor

from cfgtrain.data.loader import num_batches
from cfgtrain.errors import HookError
from cfgtrain.origin import describe, where
from cfgtrain.runner.protocol import RunnerView

__all__ = ["GENERIC_STAGES", "STAGES", "Hook", "stage_method"]

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
    """Something that happens at named stages of a run.

    A hook overrides the methods of the stages it cares about; the others cost nothing. The
    epoch runner calls them like this::

        hook.before_run(runner)
        for epoch in range(max_epochs):
            hook.before_train_epoch(runner)
            for batch in loader:
                hook.before_train_iter(runner)
                runner.outputs = runner.model.train_step(batch, runner.optimizer)
                hook.after_train_iter(runner)      # the optimizer hook steps here
            hook.after_train_epoch(runner)         # counters advance after the hooks
        hook.after_run(runner)                     # whatever happened before

    and the same with ``val`` for a ``("val", n)`` flow. An iteration runner has no train or
    val epochs; it calls ``before_epoch`` and ``after_epoch`` once, around the whole run.
    ``before_epoch``, ``before_iter`` and their kin stand for the stage of either mode.

    Attributes:
        idle_stages: Stages at which this instance, as it is set up, has nothing to do though
            its class has a method for them: it is not called there.
    """

    stages = STAGES
    default_priority: int | str = "NORMAL"
    idle_stages: Collection[str] = ()
    _configs: tuple[Any, ...] = ()  # that hold the settings it was built from, for messages

    def before_run(self, runner: RunnerView) -> None:
        """Run once, before the first batch."""

    def after_run(self, runner: RunnerView) -> None:
        """Run once at the end, after an error too."""

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
        """Say whether the current epoch is an n-th one; never for n < 1."""
        return n > 0 and (runner.epoch + 1) % n == 0

    def every_n_iters(self, runner: RunnerView, n: int) -> bool:
        """Say whether the current iteration is an n-th one of the run; never for n < 1."""
        return n > 0 and (runner.iter + 1) % n == 0

    def every_n_inner_iters(self, runner: RunnerView, n: int) -> bool:
        """Say whether the current iteration is an n-th one of its epoch; never for n < 1."""
        return n > 0 and (runner.inner_iter + 1) % n == 0

    def end_of_epoch(self, runner: RunnerView) -> bool:
        """Say whether the current iteration is the last one of its epoch.

        Raises:
            HookError: The loader has no length to tell.
        """
        length = num_batches(runner.data_loader)
        if length is None:
            raise HookError(
                f"{type(self).__name__} needs to know where an epoch ends, and the data loader has no length."
            )
        return runner.inner_iter + 1 == length

    def is_last_epoch(self, runner: RunnerView) -> bool:
        """Say whether the current epoch is the last one of the run."""
        return runner.epoch + 1 == runner.max_epochs

    def is_last_iter(self, runner: RunnerView) -> bool:
        """Say whether the current iteration is the last one of the run."""
        return runner.iter + 1 == runner.max_iters

    def place_of(self, setting: str) -> str:
        """Return the name of a setting for a message, with its key path and line if it is from a config."""
        places = (describe(cfg, setting) for cfg in self._configs if where(cfg, setting) is not None)
        return next(places, setting)

    def get_triggered_stages(self) -> list[str]:
        """Return the stages at which this hook does something, in order."""
        return [stage for stage in self.stages if stage_method(self, stage) is not None]

    def before_load_checkpoint(self, runner: RunnerView, state_dict: Mapping[str, Any]) -> None:
        """Run before a checkpoint with these weights is loaded into the model to be gone on from."""

    def evaluation_context(self, runner: RunnerView) -> AbstractContextManager[None]:
        """Return what is to be entered while the model is evaluated or saved; averages of weights go in here."""
        return nullcontext()

    def extra_weights(self) -> Mapping[str, Tensor]:
        """Return tensors that lie in the model beside its weights and are saved with them: a ruined one is not saved."""
        return {}

    def state_dict(self) -> dict[str, Any]:
        """Return what a resumed run needs, as plain types; saved with every checkpoint."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take over what ``state_dict`` returned; called after ``before_run``."""


def stage_method(hook: Hook, stage: str) -> Any:
    """Return the method that ``hook`` really has for ``stage``, or None.

    A method counts when the class or the instance overrides it. The generic
    ``before_epoch`` stands for ``before_train_epoch`` unless that is overridden itself.
    """
    if stage in hook.idle_stages:
        return None
    for name in (stage, stage.replace("_train_", "_").replace("_val_", "_")):
        if name in vars(hook) or getattr(type(hook), name, None) is not getattr(Hook, name, None):
            return getattr(hook, name)
    return None
