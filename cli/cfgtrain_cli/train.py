"""``cfgtrain train``: train a model, and report the result."""

from __future__ import annotations

import shlex
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cfgtrain.exit_codes import ExitCode
from cfgtrain.signals import SIGNALS, handle_signals
from cfgtrain_cli.console import echo
from cfgtrain_cli.failures import print_exit
from cfgtrain_cli.loading import load_project
from cfgtrain_cli.options import CfgOptions, ConfigFile

if TYPE_CHECKING:
    from cfgtrain.train import TrainResult


def train(
    config: ConfigFile,
    work_dir: Annotated[
        str | None,  # a Path would turn an empty one into the current folder
        typer.Option(
            metavar="PATH", help="Directory for checkpoints and logs. \\[default: work_dirs/<config name>]"
        ),
    ] = None,
    load_from: Annotated[
        str | None, typer.Option(metavar="PATH", help="Checkpoint to load the initial weights from.")
    ] = None,
    resume: Annotated[
        str | None,
        typer.Option(
            metavar="auto|PATH",
            help="Resume from a checkpoint, or with [b]auto[/b] from the newest intact one in the work_dir.",
        ),
    ] = None,
    trust_checkpoint: Annotated[
        bool,
        typer.Option(
            "--trust-checkpoint",
            help="Load checkpoints of --load-from and --resume that contain more than weights and plain data. "
            "They can run any code, so only use it for files whose origin you trust.",
        ),
    ] = False,
    seed: Annotated[
        int | None, typer.Option(min=0, help="Random seed. \\[default: the config's seed, or a random one]")
    ] = None,
    deterministic: Annotated[
        bool | None, typer.Option("--deterministic", help="Use deterministic algorithms only.")
    ] = None,
    dry_run: Annotated[
        bool | None,
        typer.Option(
            "--dry-run/--no-dry-run", help="Try one batch of each dataset before the run. \\[default: on]"
        ),
    ] = None,
    device: Annotated[
        str | None, typer.Option(help="Device to train on, such as cpu or cuda:0. \\[default: auto]")
    ] = None,
    cfg_options: CfgOptions = None,
) -> None:
    """Train a model from a config file, then test it."""
    settings = {
        "work_dir": work_dir,
        "load_from": load_from,
        "resume_from": resume,
        "seed": seed,
        "deterministic": deterministic,
        "dry_run": dry_run,
        "device": device,
    }
    cfg = load_project(config, cfg_options, settings)
    from cfgtrain.train import CHECKPOINT_NOTE  # imports torch; mistakes in the config are reported first
    from cfgtrain.train import train as run

    try:
        result = run(cfg, progress=True, trust_checkpoint=trust_checkpoint)
    except KeyboardInterrupt:
        if cfg.get("work_dir") and any(Path(cfg.work_dir).glob("*.pth")):
            echo(
                f"Stopped immediately. To resume from the last checkpoint:\n  {resume_command(sys.argv[1:])}"
            )
        raise
    except (Exception, SystemExit) as error:
        if any(note.startswith(CHECKPOINT_NOTE) for note in getattr(error, "__notes__", ())):
            error.add_note(f"To resume from it, once the cause is mended: {resume_command(sys.argv[1:])}")
        if isinstance(error, SystemExit):
            print_exit(error)
        raise
    if result.runner.interrupted and result.runner.last_saved is None:
        raise KeyboardInterrupt  # in the final test of a run that saves no checkpoints
    if result.runner.interrupted:
        handle_signals(SIGNALS, signal.SIG_IGN)  # all is saved: a second Ctrl-C is too late
        echo(stopped_message(result, sys.argv[1:]))
        raise typer.Exit(ExitCode.STOPPED)
    echo(summary(result, config, overridden=bool(cfg_options)))
    if save_failure(result):
        raise typer.Exit(ExitCode.FAILED)


def stopped_message(result: TrainResult, words: list[str]) -> str:
    """Return the last lines of a run that was stopped early: what was saved, and how to resume."""
    saved = result.runner.last_saved
    return "\n".join(
        [
            f"Stopped by {result.runner.stop_reason} after {result.runner.iter} iterations; saved {saved[0] if saved else '-'}.",
            "To resume, with the same results as an uninterrupted run:",
            f"  {resume_command(words)}",
        ]
    )


def resume_command(words: list[str]) -> str:
    """Return the command that resumes a run that was started with the arguments ``words``."""
    kept = [word for i, word in enumerate(words) if "--resume" not in (word, words[i - 1] if i else "")]
    kept = [word for word in kept if not word.startswith("--resume=")]
    at = kept.index("train") + 1 if "train" in kept else len(kept)
    return shlex.join(["cfgtrain", *kept[:at], "--resume", "auto", *kept[at:]])


def save_failure(result: TrainResult) -> str | None:
    """Return why the final state of the run could not be saved, or None if it was saved."""
    failures = (getattr(hook, "failed", None) for hook in result.runner.hooks)
    return next(filter(None, failures), None)


def summary(result: TrainResult, config: Path, overridden: bool = False) -> str:
    """Return the last lines of a run: scores, duration, output and example commands.

    Args:
        result: The result of the run.
        config: The config file.
        overridden: Whether the command line changed the config: then the examples use the merged config.
    """
    lines = [f"Done in {result.seconds:.1f} s."]
    if result.scores:
        weights = Path(result.best_checkpoint).name if result.best_checkpoint else "the last weights"
        shown = {name: value for name, value in result.scores.items() if not isinstance(value, list)}
        scores = ", ".join(f"{name} {_score(value)}" for name, value in shown.items())
        lines.insert(0, f"Test: {scores} on {result.test_samples} samples, with {weights}.")
    if save_failure(result):
        lines.insert(0, f"The final state of the run was NOT saved. {save_failure(result)}")
    folder = _relative(result.work_dir)
    merged = folder / f"{config.stem}.merged.py"
    merged = merged if merged.exists() else folder / f"{config.stem}.py"
    another = f"{folder.absolute()}_2" if str(folder) == "." else f"{folder}_2"
    saved = result.best_checkpoint or (result.runner.last_saved or (None,))[0]
    model = [str(merged if overridden else config), "" if saved is None else str(_relative(Path(saved)))]
    uses = [["cfgtrain", "test", *model], ["cfgtrain", "predict", *model, "INPUT"]] if saved else []
    lines += [
        f"Checkpoints, logs and the merged config {merged.name} are in {folder}.",
        "Next, for example:",
        *("  " + shlex.join(words) for words in uses),
        "  " + shlex.join(["cfgtrain", "train", str(config), "--work-dir", another, "--seed", "1"]),
        "  " + shlex.join(["cfgtrain", "print-config", str(merged)]),
    ]
    return "\n".join(lines)


def _score(value: object) -> str:
    return f"{value:.4f}" if isinstance(value, float) else str(value)


def _relative(folder: Path) -> Path:
    return folder.relative_to(Path.cwd()) if folder.is_relative_to(Path.cwd()) else folder
