"""``cfgtrain train``: train a model, and report the result."""

from __future__ import annotations

import os
import shlex
import signal
import sys
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cfgtrain.config.config import Config
from cfgtrain.errors import CfgTrainError, OptionError, ProcessError
from cfgtrain.exit_codes import ExitCode
from cfgtrain.experiment.work_dir import new_run_id
from cfgtrain.signals import SIGNALS, handle_signals
from cfgtrain_cli.console import echo
from cfgtrain_cli.failures import print_exit
from cfgtrain_cli.launch import STARTED, in_rank, launch, launch_folder, note
from cfgtrain_cli.loading import load_config, load_project
from cfgtrain_cli.options import COMPAT, CfgOptions, Compat, ConfigFile

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
    nproc: Annotated[
        int | None,
        typer.Option(min=1, metavar="N", help="Train with N processes on this machine, such as one per GPU."),
    ] = None,
    max_restarts: Annotated[
        int,
        typer.Option(
            min=0,
            metavar="N",
            help="With --nproc: how often to restart and resume after a process has failed.",
        ),
    ] = 0,
    launcher: Annotated[
        str | None,
        typer.Option(
            metavar="none|pytorch|slurm|mpi",
            help="What has started this process as one of several. \\[default: found in the environment]",
        ),
    ] = None,
    cfg_options: CfgOptions = None,
    compat: Compat = None,
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
    if max_restarts and nproc is None:
        raise OptionError("--max-restarts needs --nproc: without it, there are no processes to restart.")
    if nproc is not None and launcher not in (None, "pytorch"):
        raise OptionError(
            f"--nproc starts the processes itself, so --launcher {launcher} cannot be combined with it."
        )
    if nproc is not None and launch_folder() is None:
        if "RANK" in os.environ and "WORLD_SIZE" in os.environ:
            raise OptionError(
                "--nproc starts several processes, but this process is already one of several that another launcher "
                "has started. Leave --nproc out."
            )
        load_config(config, cfg_options, settings)  # to report mistakes once
        raise typer.Exit(launch(sys.argv[1:], nproc, max_restarts, new_run_id()))
    with in_rank():
        _train(config, cfg_options, settings, trust_checkpoint, launcher, compat)


def _train(
    config: Path,
    cfg_options: list[str] | None,
    settings: dict[str, Any],
    trust_checkpoint: bool,
    launcher: str | None,
    compat: str | None,
) -> None:
    """Train in this process, which may be one of several."""
    cfg = _load(config, cfg_options, settings)
    from cfgtrain.parallel.coordinator import BEFORE_EXIT, is_under_agent
    from cfgtrain.parallel.stacks import FOLDER as STACKS_FOLDER
    from cfgtrain.train import CHECKPOINT_NOTE  # imports torch; mistakes in the config are reported first
    from cfgtrain.train import train as run

    folder = launch_folder()
    if folder is not None:
        os.environ[STACKS_FOLDER] = str(folder)  # it is removed at the end of the launch, also after a kill
        BEFORE_EXIT.append(lambda: note("reported"))
    if int(os.environ.get("TORCHELASTIC_RESTART_COUNT", "0")) > 0 and STARTED in os.environ:
        from cfgtrain.experiment.resume import has_checkpoint_since

        if has_checkpoint_since(cfg, os.environ[STARTED]):
            cfg.resume_from = "auto"
    try:
        result = run(cfg, progress=True, trust_checkpoint=trust_checkpoint, launcher=launcher)
    except KeyboardInterrupt:
        from cfgtrain.checkpoint.sharded import checkpoints_in

        if os.environ.get("RANK", "0") == "0" and cfg.get("work_dir") and checkpoints_in(Path(cfg.work_dir)):
            echo(
                f"Stopped immediately. To resume from the last checkpoint:\n  {resume_command(sys.argv[1:])}"
            )
        raise
    except (Exception, SystemExit) as error:
        if any(note.startswith(CHECKPOINT_NOTE) for note in getattr(error, "__notes__", ())):
            error.add_note(f"To resume from it, once the cause is mended: {resume_command(sys.argv[1:])}")
        if isinstance(error, SystemExit):
            print_exit(error)
            note("reported")
        raise
    if result.runner.interrupted and result.runner.last_saved is None:
        raise KeyboardInterrupt  # in the final test of a run that saves no checkpoints
    if result.runner.interrupted:
        handle_signals(SIGNALS, signal.SIG_IGN)  # all is saved: a second Ctrl-C is too late
        if result.runner.rank == 0:
            echo(stopped_message(result, sys.argv[1:]))
            note("stopped")
        # An elastic agent would count any other code as a failure, and start new processes.
        raise typer.Exit(ExitCode.DONE if is_under_agent() else ExitCode.STOPPED)
    if result.runner.rank != 0:
        return
    echo(summary(result, config, overridden=bool(cfg_options), compat=compat))
    if save_failure(result):
        note("reported")
        raise typer.Exit(ExitCode.FAILED)


def _load(config: Path, cfg_options: list[str] | None, settings: dict[str, Any]) -> Config:
    """Load the config; of several processes on a machine, the first one reports what is wrong with it."""
    if os.environ.get("LOCAL_RANK", "0") == "0":
        return load_project(config, cfg_options, settings)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return load_project(config, cfg_options, settings)
    except Exception as error:
        reported = ProcessError(str(error), is_reported=True)
        reported.exit_code = error.exit_code if isinstance(error, CfgTrainError) else ExitCode.FAILED
        raise reported from error


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
    return shlex.join([*_launcher_words(), "cfgtrain", *kept[:at], "--resume", "auto", *kept[at:]])


def _launcher_words() -> list[str]:
    """Return the words before ``cfgtrain`` of a command that starts as many processes as this run has."""
    if launch_folder() is not None:
        return []  # --nproc is one of the arguments
    from cfgtrain.parallel.launch import find_launcher, is_under_agent  # imports torch, as the run has

    launcher = find_launcher()
    if launcher == "slurm":
        return ["srun"]
    if launcher == "mpi":
        return ["mpirun", "-n", os.environ["OMPI_COMM_WORLD_SIZE"]]
    if not is_under_agent():
        return []
    nodes = os.environ.get("GROUP_WORLD_SIZE", "1")
    several = [] if nodes == "1" else ["--nnodes", nodes]
    return ["torchrun", *several, "--nproc-per-node", os.environ["LOCAL_WORLD_SIZE"], "-m"]


def save_failure(result: TrainResult) -> str | None:
    """Return why the final state of the run could not be saved, or None if it was saved."""
    failures = (getattr(hook, "failed", None) for hook in result.runner.hooks)
    return next(filter(None, failures), None)


def summary(result: TrainResult, config: Path, overridden: bool = False, compat: str | None = None) -> str:
    """Return the last lines of a run: scores, duration, output and example commands.

    Args:
        result: The result of the run.
        config: The config file.
        overridden: Whether the command line changed the config: then the examples use the merged config.
        compat: The value of ``--compat``, which the examples need too.
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
    uses += [
        ["cfgtrain", "train", str(config), "--work-dir", another, "--seed", "1"],
        ["cfgtrain", "print-config", str(merged)],
    ]
    options = [] if compat is None else [COMPAT, compat]
    lines += [
        f"Checkpoints, logs and the merged config {merged.name} are in {folder}.",
        "Next, for example:",
        *("  " + shlex.join([*words, *options]) for words in uses),
    ]
    return "\n".join(lines)


def _score(value: object) -> str:
    return f"{value:.4f}" if isinstance(value, float) else str(value)


def _relative(folder: Path) -> Path:
    return folder.relative_to(Path.cwd()) if folder.is_relative_to(Path.cwd()) else folder
