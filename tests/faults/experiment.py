"""A training that takes a fraction of a second, and functions that read its results.

It has everything that could make a resumed run differ: dropout, a random transform, momentum,
warm-up, gradient accumulation, averaged weights, an evaluation that keeps the best checkpoint,
and epochs of six batches with a checkpoint every seven iterations, so within an epoch.
"""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from cfgtrain.checkpoint import read_checkpoint
from cfgtrain.checkpoint.find import find_checkpoint

PARTS = '''
"""Parts of the experiment, and faults at places of one's choice."""

import json
import logging
import os
import random
import signal
import sys
import time
from collections import Counter
from pathlib import Path

import numpy as np
import torch
from torch import nn

from cfgtrain.cnn import MODELS
from cfgtrain.data import DATASETS, PIPELINES
import cfgtrain.checkpoint.save
from cfgtrain.runner import HOOKS, Hook
from cfgtrain.runner.hooks.loggers import text

# FAULTS is a list of PLACE:COUNT:ACTION: at the COUNT-th time at PLACE, do ACTION.
PLAN = [word.split(":") for word in os.environ.get("FAULTS", "").split()]
# Of the processes of a launch, only the one of this rank has faults, and not after a restart.
if os.environ.get("RANK") != os.environ.get("FAULTS_RANK", os.environ.get("RANK")) or "1" == os.environ.get(
    "TORCHELASTIC_RESTART_COUNT"
):
    PLAN = []
SESSION = os.environ.get("SESSION", "first")
times = Counter()


def reach(place, count=None):
    """Perform the planned action for a place; ``count`` is by default how often it was reached."""
    times[place] += 1
    count = times[place] if count is None else count
    for where, when, action in PLAN:
        if where == place and when in (str(count), "*"):
            act(place, action)


def act(place, action):
    if action == "hold":  # until the test creates the file "go"
        Path(f"held-{place}-{os.getpid()}").touch()
        deadline = time.monotonic() + 60
        while not Path("go").exists() and time.monotonic() < deadline:
            time.sleep(0.005)
    elif action == "raise":
        raise ValueError("this one is broken")
    elif action == "full":
        raise OSError(28, "No space left on device")
    elif action == "group-SIGTERM":
        os.killpg(0, signal.SIGTERM)
    else:
        os.kill(os.getpid(), getattr(signal, action))


def note(name, line):
    """Append a line to a file of this session: one write, so that processes do not mix."""
    with open(f"{name}-{SESSION}.txt", "a") as file:
        file.write(line + "\\n")


def watch(owner, name, place):
    """Make a place of a function that is about to be called."""
    function = getattr(owner, name)

    def watched(*args, **kwargs):
        reach(place)
        return function(*args, **kwargs)

    setattr(owner, name, watched)


PLACES = {
    "fsync": (os, "fsync"),
    "rename": (Path, "replace"),
    "remove": (Path, "unlink"),
    "save": (torch, "save"),
    "json": (text, "append_whole"),
    "log": (logging.FileHandler, "flush"),
    "digest": (sys.modules["cfgtrain.checkpoint.save"], "append_digest"),
}
for _, place in {(0, where) for where, _, _ in PLAN if where in PLACES}:
    watch(*PLACES[place], place)


@PIPELINES.register_module()
class Shake:
    """Noise from all three generators."""

    def __call__(self, results):
        noise = random.random() + np.random.rand() + torch.rand(8)
        return {**results, "x": results["x"] + 0.1 * noise}


@DATASETS.register_module()
class Marks:
    """Vectors of eight numbers of three classes."""

    def __init__(self, size, pipeline=(), part="train", broken=None):
        generator = torch.Generator().manual_seed(size)
        self.x = torch.randn(size, 8, generator=generator)
        self.y = torch.randint(3, (size,), generator=generator)
        self.pipeline = [PIPELINES.build(step) for step in pipeline]
        self.part = part
        if broken is not None:
            self.x[broken] = float("nan")

    def __len__(self):
        return len(self.y)

    def source(self, index):
        return f"marks/{index}.bin"

    def __getitem__(self, index):
        note(f"read-{self.part}", str(index))
        reach(f"{self.part}-sample", index)
        reach(f"{self.part}-read")
        sample = {"x": self.x[index], "y": self.y[index]}
        for step in self.pipeline:
            sample = step(sample)
        return sample

    def evaluate(self, results, logger=None):
        right = sum(int(scores.argmax()) == int(label) for scores, label in zip(results, self.y))
        return {"accuracy": right / len(self)}


@MODELS.register_module()
class Net(nn.Module):
    """One layer behind a batch norm and a dropout."""

    def __init__(self, dropout=0.3, ballast=0):
        super().__init__()
        self.norm = nn.BatchNorm1d(8)
        self.dropout = nn.Dropout(dropout)
        self.layer = nn.Linear(8, 3)
        self.ballast = nn.Parameter(torch.zeros(ballast))

    def forward(self, x, y=None, return_loss=True):
        scores = self.layer(self.dropout(self.norm(x)))  # (B, 3)
        return nn.functional.cross_entropy(scores, y) if return_loss else scores

    def train_step(self, data, optimizer=None):
        loss = self(**data) + 0 * self.ballast.sum()
        return {"loss": loss, "log_vars": {"loss": loss.detach()}, "num_samples": len(data["y"])}

    val_step = train_step


@HOOKS.register_module()
class Probe(Hook):
    """Notes every iteration to the last bit, and makes places of the stages."""

    def before_run(self, runner):
        note("begun", f"{runner.epoch} {runner.iter} {runner.position.batches_done}")
        reach("before-run")

    def before_train_iter(self, runner):
        reach("before-iter", runner.iter + 1)

    def after_train_iter(self, runner):
        loss = runner.outputs["loss"].item().hex()
        lr = runner.current_lr()[0].hex()
        note("iterations", json.dumps([runner.iter + 1, runner.epoch, runner.inner_iter, loss, lr]))
        reach("iter", runner.iter + 1)

    def after_train_epoch(self, runner):
        reach("epoch", runner.epoch + 1)

    def after_run(self, runner):
        reach("after-run")
'''

CONFIG = """
custom_imports = dict(imports=['parts'])
model = dict(type='Net', dropout=0.3, ballast=0)
data = dict(
    samples_per_gpu=4,
    workers_per_gpu=0,
    train=dict(type='Marks', size=22, pipeline=[dict(type='Shake')]),
    val=dict(type='Marks', size=9, part='val'),
    test=dict(type='Marks', size=7, part='test'))
optimizer = dict(type='SGD', lr=0.05, momentum=0.9, weight_decay=0.001)
optimizer_config = dict(cumulative_iters=2, grad_clip=dict(max_norm=1.0))
lr_config = dict(policy='CosineAnnealing', min_lr=0, warmup='linear', warmup_iters=5)
runner = dict({runner})
dry_run = False  # it would read samples too, which the faults count
checkpoint_config = dict(interval=7, by_epoch=False)
log_config = dict(interval=2, hooks=[dict(type='TextLoggerHook')])
evaluation = dict(interval={evaluated}, save_best='accuracy')
custom_hooks = [dict(type='EMAHook', momentum=0.7, warm_up=0), dict(type='Probe', priority='LOWEST')]
device = 'cpu'
seed = 3
"""

EPOCHS, BATCHES = 4, 6
ITERATIONS = EPOCHS * BATCHES
RUNNERS = {
    "epoch": {"runner": f"type='EpochBasedRunner', max_epochs={EPOCHS}", "evaluated": 1},
    "iter": {"runner": f"type='IterBasedRunner', max_iters={ITERATIONS}", "evaluated": 5},
}
# Due every seventh iteration, written when a window of two closes.
SAVED_AT = (8, 14, 22, 24)
DEADLINE = 60.0

CONFIGS = {f"{kind}.py": CONFIG.format(**runner) for kind, runner in RUNNERS.items()}


def write_experiment(folder: Path) -> None:
    """Write the module and a config for each runner, ``epoch.py`` and ``iter.py``."""
    for name, text in {"parts.py": PARTS, **CONFIGS}.items():
        (folder / name).write_text(text, encoding="utf-8")


def wait_for(what: Callable[[], Any], why: str, seconds: float = DEADLINE) -> Any:
    """Wait until ``what`` returns a true value, and return it."""
    deadline = time.monotonic() + seconds
    while True:
        found = what()
        if found:
            return found
        if time.monotonic() > deadline:
            raise TimeoutError(f"Waited {seconds:.0f} s for {why}.")
        time.sleep(0.005)


class Command:
    """A forked command."""

    def __init__(self, forker: Forker, pid: int, out: Path) -> None:
        self._forker = forker
        self.pid = pid
        self.out = out
        self._code: int | None = None

    @property
    def code(self) -> int | None:
        """The exit code, negative for a signal, or None while the command runs."""
        return self._wait(0.0)

    @property
    def text(self) -> str:
        """The output so far, of stdout and stderr."""
        return self.out.read_text(encoding="utf-8") if self.out.exists() else ""

    def send(self, number: int) -> None:
        """Send a signal, unless the command has ended."""
        if self.code is None:
            os.kill(self.pid, number)

    def end(self, seconds: float = DEADLINE) -> int:
        """Wait for the command and return its exit code."""
        code = self._wait(seconds)
        if code is None:
            self.send(signal.SIGKILL)
            raise TimeoutError(f"Waited {seconds:.0f} s for a command to end. It printed:\n{self.text}")
        return code

    def _wait(self, seconds: float) -> int | None:
        if self._code is None:
            self._code = self._forker.ask({"wait": self.pid, "seconds": seconds})
        return self._code


class Forker:
    """The process that forks commands; see ``forker.py``."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("forker.py"))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            bufsize=1,
            env={**os.environ, "OMP_NUM_THREADS": "1", "NO_COLOR": "1"},
        )
        self._started = 0
        self._read()

    def _read(self) -> str:
        assert self._process.stdout is not None
        ready, _, _ = select.select([self._process.stdout], [], [], 2 * DEADLINE)
        line = self._process.stdout.readline() if ready else ""
        if not line:
            raise RuntimeError("The process that forks commands does not answer.")
        return line

    def ask(self, request: Mapping[str, Any]) -> Any:
        """Send a request and return the answer."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(request) + "\n")
        return json.loads(self._read())

    def start(self, *words: object, cwd: Path | None = None, own_group: bool = False, **env: str) -> Command:
        """Start ``cfgtrain`` with these arguments; upper-case keywords are its environment variables."""
        self._started += 1
        cwd = cwd or Path.cwd()
        out = cwd / f"out-{self._started}.txt"
        request = {
            "words": [str(word) for word in words],
            "cwd": str(cwd),
            "out": str(out),
            "env": env,
            "own_group": own_group,
        }
        return Command(self, self.ask(request), out)

    def run(self, *words: object, code: int = 0, **env: Any) -> str:
        """Run a command that must end with this exit code; return its output."""
        command = self.start(*words, **env)
        assert command.end() == code, command.text
        return command.text

    def close(self) -> None:
        """Stop the process; commands that still run are not stopped."""
        if self._process.stdin is not None and self._process.poll() is None:
            # Its input may not end when it is closed here: a process that a test forked has a copy of it.
            self._process.stdin.write("quit\n")
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                stream.close()
        self._process.wait(30)


@contextmanager
def forking() -> Iterator[Forker]:
    """Return a context with a forker."""
    forker = Forker()
    try:
        yield forker
    finally:
        forker.close()


def options(workers: int = 0, *more: str) -> list[str]:
    """Return the arguments for a number of workers, and for more overrides."""
    return ["--cfg-options", f"data.workers_per_gpu={workers}", *more]


def lines(name: str, session: str, folder: Path = Path()) -> list[str]:
    """Return what the experiment recorded in a session."""
    file = folder / f"{name}-{session}.txt"
    return file.read_text(encoding="utf-8").splitlines() if file.exists() else []


def iterations(session: str, folder: Path = Path()) -> list[list[Any]]:
    """Return every iteration of a session: [iteration, epoch, batch, loss, learning rate], without rounding."""
    return [json.loads(line) for line in lines("iterations", session, folder)]


def logged(work_dir: Path) -> list[dict[str, Any]]:
    """Return the lines of all JSON logs in order, without times; of repeated lines only the last."""
    by_place: dict[Any, dict[str, Any]] = {}
    for file in sorted(work_dir.glob("*.log.json"), key=lambda file: file.stat().st_mtime_ns):
        for line in file.read_text(encoding="utf-8").splitlines()[1:]:
            values = {k: v for k, v in json.loads(line).items() if k not in ("time", "data_time")}
            if "epoch" not in values:  # an event, which is no line of the training or an evaluation
                continue
            by_place[values["mode"], values["epoch"], values["iter"], values["lr"]] = values
    return sorted(by_place.values(), key=lambda line: (line["epoch"], line["mode"] == "val", line["iter"]))


def newest(work_dir: Path) -> dict[str, Any]:
    """Return the checkpoint that ``--resume auto`` would resume from."""
    found = find_checkpoint(work_dir)
    assert found.checkpoint is not None, f"no checkpoint in {work_dir}: {found.skipped}"
    return found.checkpoint


def end_of(work_dir: Path) -> dict[str, Any]:
    """Return everything in the last checkpoint of a run except times and names."""
    checkpoint = read_checkpoint(work_dir / "latest.pth")
    state = checkpoint["resume"]
    clock = ("time", "data_time")
    buffer = {
        key: {name: each for name, each in value.items() if name not in clock}
        for key, value in state["log_buffer"].items()
        if isinstance(value, dict)
    }
    return {
        "weights": checkpoint["state_dict"],
        "optimizer": checkpoint["optimizer"],
        "random": state["random"],
        "position": state["position"],
        "log_buffer": buffer,
        "epoch": checkpoint["meta"]["epoch"],
        "iter": checkpoint["meta"]["iter"],
        "best_score": checkpoint["meta"]["hook_msgs"].get("best_score"),
        "logged": logged(work_dir),
    }
