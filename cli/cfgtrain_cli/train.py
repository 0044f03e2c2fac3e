"""``cfgtrain train``: train a model and say what came out."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cfgtrain_cli.command import CfgOptions
from cfgtrain_cli.loading import import_custom_modules, load_config

if TYPE_CHECKING:
    from cfgtrain.train import TrainResult


def train(
    config: Annotated[Path, typer.Argument(help="A .py, .yaml or .json config.", show_default=False)],
    work_dir: Annotated[
        Path | None, typer.Option(help="Where everything is written. \\[default: work_dirs/<config name>]")
    ] = None,
    load_from: Annotated[Path | None, typer.Option(help="Checkpoint whose weights to begin with.")] = None,
    resume: Annotated[
        str | None,
        typer.Option(
            metavar="auto|PATH",
            help="Go on from a checkpoint, or with [b]auto[/b] from the newest whole one in the work_dir.",
        ),
    ] = None,
    seed: Annotated[
        int | None, typer.Option(min=0, help="Of everything random. \\[default: the config's, or drawn]")
    ] = None,
    deterministic: Annotated[
        bool | None, typer.Option("--deterministic", help="Use deterministic algorithms throughout.")
    ] = None,
    device: Annotated[str | None, typer.Option(help="Such as cpu, cuda:0 or auto. \\[default: auto]")] = None,
    cfg_options: CfgOptions = None,
) -> None:
    """Train the model a config describes, and test what came out."""
    settings = {
        "work_dir": work_dir,
        "load_from": load_from,
        "resume_from": resume,
        "seed": seed,
        "deterministic": deterministic,
        "device": device,
    }
    cfg = load_config(config, cfg_options, settings)
    from cfgtrain_cli.console import log_to_terminal  # loads rich, which other commands do without

    log_to_terminal()
    import_custom_modules(cfg)
    from cfgtrain.train import train as run  # loads torch, after everything that can be wrong without it

    try:
        result = run(cfg, progress=True)
    except KeyboardInterrupt:
        if cfg.get("work_dir") and any(Path(cfg.work_dir).glob("*.pth")):
            print(f"Ended at once. To go on from the last checkpoint:\n  {resuming_command(sys.argv[1:])}")
        raise
    if result.runner.interrupted and result.runner.last_saved is None:
        raise KeyboardInterrupt  # in the final test of a run that saves nothing
    if result.runner.interrupted:
        print(how_to_go_on(result, sys.argv[1:]))
        raise typer.Exit(STOPPED)
    print(summary(result, config))
    if unsaved(result):
        raise typer.Exit(1)


STOPPED = 75  # stopped early, with a checkpoint to go on from


def how_to_go_on(result: TrainResult, words: list[str]) -> str:
    """Return the last lines of a run that was interrupted: what is saved, and the command that goes on."""
    saved = result.runner.last_saved
    return "\n".join(
        [
            f"Stopped by {result.runner.stop_reason} after {result.runner.iter} iterations; saved as {saved[0] if saved else '-'}.",
            "To go on, to the last bit as if nothing had happened:",
            f"  {resuming_command(words)}",
        ]
    )


def resuming_command(words: list[str]) -> str:
    """Return the command that goes on with a run that was started with ``words``."""
    kept = [word for i, word in enumerate(words) if "--resume" not in (word, words[i - 1] if i else "")]
    kept = [word for word in kept if not word.startswith("--resume=")]
    at = kept.index("train") + 1 if "train" in kept else len(kept)
    return shlex.join(["cfgtrain", *kept[:at], "--resume", "auto", *kept[at:]])


def unsaved(result: TrainResult) -> str | None:
    """Return why the end of the run could not be saved, if it could not."""
    failures = (getattr(hook, "failed", None) for hook in result.runner.hooks)
    return next(filter(None, failures), None)


def summary(result: TrainResult, config: Path) -> str:
    """Return the last lines of a training: how good, how long, where, what next."""
    lines = [f"Done in {result.seconds:.1f} s."]
    if result.scores:
        which = Path(result.best_checkpoint).name if result.best_checkpoint else "the last weights"
        scores = ", ".join(f"{name} {_score(value)}" for name, value in result.scores.items())
        lines.insert(0, f"Test: {scores} on {result.test_samples} samples not used before, with {which}.")
    if unsaved(result):
        lines.insert(0, f"The end of the run is NOT saved. {unsaved(result)}")
    shown = _shown(result.work_dir)
    merged = shown / f"{config.stem}.merged.py"
    merged = merged if merged.exists() else shown / f"{config.stem}.py"
    lines += [
        f"Everything is in {shown}: checkpoints, logs, and the merged config {merged.name}.",
        "Next, for example:",
        "  "
        + shlex.join(
            [
                "cfgtrain",
                "train",
                str(config),
                "--work-dir",
                f"{shown.absolute()}_2" if str(shown) == "." else f"{shown}_2",
                "--seed",
                "1",
            ]
        ),
        "  " + shlex.join(["cfgtrain", "print-config", str(merged)]),
    ]
    return "\n".join(lines)


def _score(value: object) -> str:
    return f"{value:.4f}" if isinstance(value, float) else str(value)


def _shown(folder: Path) -> Path:
    return folder.relative_to(Path.cwd()) if folder.is_relative_to(Path.cwd()) else folder
