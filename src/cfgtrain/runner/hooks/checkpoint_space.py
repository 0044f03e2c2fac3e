"""Compare the space that the checkpoints of a run need with what is free, before the run."""

from __future__ import annotations

import shutil
from itertools import chain
from pathlib import Path
from typing import NamedTuple

from torch.nn.parameter import UninitializedBuffer, UninitializedParameter

from cfgtrain.optim.optimizers import optimizers_of
from cfgtrain.optim.state_size import state_bytes
from cfgtrain.runner.protocol import RunnerView

__all__ = ["Plan", "checkpoint_bytes", "space_problem"]

GIB = 2**30


class Plan(NamedTuple):
    """Which checkpoints a run will write.

    Attributes:
        total: How many in the whole run; None if that is not known.
        done: How many of them were written before the run was resumed.
        keep: How many are kept at a time; -1 keeps all.
        best: Whether the best one is kept too.
    """

    total: int | None
    done: int
    keep: int
    best: bool

    @staticmethod
    def of(length: int | None, trained: int, interval: int, save_last: bool, keep: int, best: bool) -> Plan:
        """Return the plan of a run of ``length`` epochs or iterations, of which some are trained already."""
        if interval < 1:
            return Plan(int(save_last), 0, keep, best)
        ends = save_last and length is not None and length % interval > 0
        total = None if length is None else length // interval + ends
        return Plan(total, trained // interval, keep, best)

    def files(self, keep: int) -> int | None:
        """Return how many files will be added at most if ``keep`` are kept: an old one is removed after the new one."""
        if keep == -1:
            return None if self.total is None else max(self.total - self.done, 0) + self.best
        most = keep + 1 if self.total is None else min(self.total, keep + 1)
        return max(most - min(self.done, keep), 0) + self.best


def checkpoint_bytes(runner: RunnerView, save_optimizer: bool) -> int:
    """Return the estimated size of a checkpoint: parameters, buffers, extra weights of hooks and optimizer state.

    The state of an optimizer that cannot be estimated counts as 0, and so do weights of lazy modules, which have no
    shape before the first batch.
    """
    model = runner.model
    extra = chain.from_iterable(hook.extra_weights().values() for hook in runner.hooks)
    storages = {
        each.untyped_storage()._cdata: each.untyped_storage().nbytes()
        for each in chain(model.parameters(), model.buffers(), extra)
        if not isinstance(each, UninitializedParameter | UninitializedBuffer)
    }
    size = int(sum(storages.values()))
    if save_optimizer and runner.optimizer is not None:
        size += sum(state_bytes(each) or 0 for each in optimizers_of(runner.optimizer).values())
    return size


def space_problem(folder: Path, size: int, plan: Plan) -> str | None:
    """Return why the checkpoints of a run do not fit into the folder, with what helps, or None if they fit.

    Args:
        folder: Where they are written; it need not exist yet.
        size: Bytes of a checkpoint.
        plan: Which ones are written.
    """
    existing = next(each for each in (folder, *folder.parents) if each.exists())
    try:
        free = shutil.disk_usage(existing).free
    except OSError:
        return None
    files = plan.files(plan.keep)
    if files is None or files * size <= free:
        return None
    fitting = [
        keep
        for keep in range(1, plan.keep if plan.keep > 0 else 1000)
        if (plan.files(keep) or 0) * size <= free
    ]
    keep = min(max(fitting), 3) if fitting else None
    advice = (
        f"With max_keep_ckpts={keep}, they would fit."
        if keep is not None
        else "Choose another folder with --work-dir or out_dir."
    )
    return (
        f"The checkpoints of this run will need about {size * files / GIB:.2f} GiB in {folder} ({files} of "
        f"{size / GIB:.2f} GiB each), but only {free / GIB:.2f} GiB are free. {advice}"
    )
