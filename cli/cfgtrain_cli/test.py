"""``cfgtrain test``: score a trained model on the test dataset."""

from __future__ import annotations

import json
import math
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cfgtrain.config.config import Config
from cfgtrain.errors import ArgumentError
from cfgtrain.filesystem.atomic import atomic_write
from cfgtrain.origin import Origin
from cfgtrain_cli.console import echo, print_json, styled
from cfgtrain_cli.loading import load_project
from cfgtrain_cli.options import CfgOptions, Compat, ConfigCommand, Device, TrustCheckpoint, repeat_words

if TYPE_CHECKING:
    from collections.abc import Callable

    from cfgtrain.test import TestResult

FLAG = "--metrics"


class TestCommand(ConfigCommand):
    """A command whose ``--metrics`` takes any number of words."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Repeat the flag before each of its words, as the parser expects."""
        missing = f"{FLAG} needs the names of metrics, such as Accuracy F1; cfgtrain list metrics shows them."
        return super().parse_args(ctx, list(repeat_words(args, FLAG, _is_path, missing)))


def _is_path(word: str) -> bool:
    return "/" in word or word.endswith(".pth") or Path(word).exists()


def test(
    config: Annotated[
        Path, typer.Argument(help="Config file, or the work directory of the run.", show_default=False)
    ],
    checkpoint: Annotated[
        str | None,
        typer.Argument(
            help="Checkpoint with the weights of the model. \\[default: the best one in the work_dir, or else the last]",
            show_default=False,
        ),
    ] = None,
    metrics: Annotated[
        list[str] | None,
        typer.Option(
            FLAG,
            metavar="NAME...",
            help="Metrics in place of those of the config, such as [b]Accuracy F1[/b].",
        ),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(metavar="FILE", help="JSON file for the scores, also those of each class.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    work_dir: Annotated[
        str | None,
        typer.Option(metavar="PATH", help="Work directory of the run. \\[default: that of the config]"),
    ] = None,
    device: Device = None,
    trust_checkpoint: TrustCheckpoint = False,
    cfg_options: CfgOptions = None,
    compat: Compat = None,
) -> None:
    """Score a trained model on the test dataset, or on the val dataset if there is no other.

    The scores are those of the config's evaluation. The training data does not have to exist.
    """
    from cfgtrain.experiment.work_dir import config_file

    if out is not None and out.is_dir():
        raise ArgumentError(f"--out is a file, such as {out / 'results.json'}, and {out} is a folder.")
    if work_dir is None and config.expanduser().is_dir():
        work_dir = str(config)  # that of its config may be relative to another folder, or the run was moved
    cfg = load_project(config_file(config), cfg_options, {"work_dir": work_dir, "device": device})
    if metrics:
        _use_metrics(cfg, metrics)
    from cfgtrain.test import test as run  # imports torch; mistakes in the config are reported first

    result = _with_progress(run, cfg, checkpoint, trust_checkpoint)
    document = _as_document(result, cfg)
    if out is not None:
        out.parent.mkdir(parents=True, exist_ok=True)
        with atomic_write(out) as file:
            file.write((json.dumps(document, indent=2, ensure_ascii=False) + "\n").encode())
    if as_json:
        print_json(document)
    else:
        _print(result, out)


def _use_metrics(cfg: Config, metrics: list[str]) -> None:
    """Replace the evaluation of a config by the metrics of the command line."""
    origin = Origin(None, None, shlex.join([FLAG, *metrics]))
    if cfg.get("evaluation") is not None:
        del cfg["evaluation"]
    cfg.merge_from_dict({"evaluation": {"metrics": metrics}}, origin=lambda *_: origin)


def _with_progress(
    run: Callable[..., TestResult], cfg: Config, checkpoint: str | None, trusted: bool
) -> TestResult:
    """Run the test, and show its progress on a terminal."""
    if not sys.stderr.isatty():
        return run(cfg, checkpoint, trusted=trusted)
    from cfgtrain.terminal import LiveProgress  # imports rich, which pipes do not need

    bars: list[LiveProgress] = []

    def progress(done: int, total: int | None) -> None:
        if not bars:
            bars.append(LiveProgress(total))
        bars[0].update(done, "test", {})

    try:
        return run(cfg, checkpoint, progress, trusted)
    finally:
        for bar in bars:
            bar.stop()


def _as_document(result: TestResult, cfg: Config) -> dict[str, Any]:
    """Return the result as plain types; a value that is not finite is null."""
    size = max(map(len, result.per_class.values()), default=0)
    names = [result.classes[i] if i < len(result.classes) else str(i) for i in range(size)]
    return {
        "config": cfg.filename,
        "checkpoint": result.checkpoint,
        "epoch": result.meta.get("epoch"),
        "iter": result.meta.get("iter"),
        "dataset": result.part,
        "samples": result.samples,
        "seconds": round(result.seconds, 3),
        "scores": {name: _plain(value) for name, value in result.scores.items()},
        "classes": [
            {"name": name, **{key: _plain(values[i]) for key, values in result.per_class.items()}}
            for i, name in enumerate(names)
        ],
    }


def _plain(value: Any) -> Any:
    if isinstance(value, list):
        return [_plain(each) for each in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value if isinstance(value, str | int) or value is None else str(value)


def _print(result: TestResult, out: Path | None) -> None:
    scores = {name: value for name, value in result.scores.items() if not isinstance(value, list)}
    width = max(map(len, scores), default=0)
    for name, value in scores.items():
        number = f"{value:.4f}" if isinstance(value, float) else str(value)
        echo(f"{styled(name.ljust(width), bold=True)}  {number}")
    if result.table:
        echo(f"\n{result.table}" if scores else result.table)
    if any(isinstance(value, list) for value in result.scores.values()) and "predicted" not in result.table:
        echo("\nThe confusion matrix is too wide to print; --out and --json have it.")
    which = f", the {result.kind} one" if result.kind else ""
    echo(
        f"\nTested {Path(result.checkpoint).name}{which}, on the {result.samples:,} samples of data.{result.part}."
    )
    if result.part == "val":
        echo("There is no data.test.")
    if out is not None:
        echo(f"The results are in {out}.")
