"""The commands ``cfgtrain checkpoint ...``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cfgtrain.errors import ArgumentError, CheckpointError, CheckpointNotFoundError
from cfgtrain.exit_codes import ExitCode
from cfgtrain_cli.console import echo, print_json

if TYPE_CHECKING:
    from cfgtrain.checkpoint.publish import Written

app = typer.Typer(
    help="Look at checkpoints, verify them, and strip, average, compare or convert them.",
    no_args_is_help=True,
)

Checkpoint = Annotated[str, typer.Argument(metavar="FILE", help="Path or URI.", show_default=False)]
Output = Annotated[
    Path, typer.Option("--output", "-o", metavar="FILE", help="File to write.", show_default=False)
]
Overwrite = Annotated[
    bool, typer.Option("--overwrite", help="Replace an existing file. Inputs are never replaced.")
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@app.command(no_args_is_help=True)
def info(
    file: Checkpoint,
    depth: Annotated[
        int | None,
        typer.Option(
            "--depth",
            "-d",
            min=0,
            help="Levels of modules that are distinguished. \\[default: as few as can be]",
        ),
    ] = None,
    config: Annotated[
        bool, typer.Option("--config", help="Print the config of the run, and nothing else.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Show what is in a checkpoint: its run, scores, config and weights, and whether it is sound.

    Code in the file is not run. Exit codes: 0 if it is sound, 1 if not.
    """
    from cfgtrain.checkpoint.describe import State, describe  # imports torch
    from cfgtrain.checkpoint.schemes import local_checkpoint
    from cfgtrain_cli.checkpoint.tables import as_dict, info_text

    with local_checkpoint(file) as path:
        found = describe(path, file, depth)
    if config:
        if found.config is None:
            raise CheckpointError(found.problem or f"{file} has no config.")
        echo(found.config.rstrip("\n"))
    elif as_json:
        print_json(as_dict(found))
    else:
        echo(info_text(found))
    if found.state is not State.SOUND:
        raise typer.Exit(ExitCode.FAILED)


@app.command("list", no_args_is_help=True)
def list_checkpoints(
    folder: Annotated[Path, typer.Argument(metavar="WORK_DIR", help="Folder of a run.", show_default=False)],
    as_json: Json = False,
) -> None:
    """List the checkpoints in a folder: progress, best score so far, size, time and state.

    Code in the files is not run. Exit codes: 0 if all of them are sound, 1 if not.
    """
    from cfgtrain.checkpoint.describe import State, checkpoint_files, describe  # imports torch
    from cfgtrain_cli.checkpoint.tables import as_dict, list_text, marks

    files = checkpoint_files(_folder(folder))
    if not files:
        raise CheckpointNotFoundError(f"There is no checkpoint in {folder}.")
    found = [describe(path) for path in files]
    found.sort(key=lambda each: (each.iteration is None, each.iteration or 0, each.file.startswith("best_")))
    if as_json:
        print_json([{**as_dict(each), "marks": marks(each, found, folder)} for each in found])
    else:
        echo(list_text(found, folder))
    if any(each.state is not State.SOUND for each in found):
        raise typer.Exit(ExitCode.FAILED)


@app.command(no_args_is_help=True)
def verify(
    files: Annotated[
        list[str],
        typer.Argument(metavar="FILE...", help="Checkpoints, or folders of them.", show_default=False),
    ],
    as_json: Json = False,
) -> None:
    """Read checkpoints completely and say which ones are sound.

    A file is sound if it is what was written and contains only weights and plain data. Code in the
    files is not run. Exit codes: 0 if all of them are sound, 1 if not.
    """
    from cfgtrain.checkpoint.describe import State, checkpoint_files, examine  # imports torch
    from cfgtrain.checkpoint.schemes import local_checkpoint
    from cfgtrain.checkpoint.sharded import has_shards
    from cfgtrain_cli.checkpoint.tables import verified_text

    names: list[str] = []
    for each in files:
        is_work_dir = Path(each).is_dir() and not has_shards(each)
        inside = [str(path) for path in checkpoint_files(Path(each))] if is_work_dir else [each]
        if not inside:
            raise CheckpointNotFoundError(f"There is no checkpoint in {each}.")
        names += inside
    results = []
    for name in names:
        with local_checkpoint(name) as path:
            state, problem, has_digest, _ = examine(path, name)
        results.append((name, state, problem, has_digest))
        if not as_json:
            echo(verified_text(*results[-1]))
    if as_json:
        keys = ("file", "state", "problem", "has_digest")
        print_json([dict(zip(keys, each, strict=True)) for each in results])
    if any(state is not State.SOUND for _, state, *_ in results):
        raise typer.Exit(ExitCode.FAILED)


@app.command(no_args_is_help=True)
def strip(
    file: Checkpoint,
    output: Output,
    ema: Annotated[
        bool | None,
        typer.Option(
            "--ema/--no-ema",
            help="Take the averages of EMAHook, or the weights themselves. \\[default: those under the names of "
            "the weights, which are the averages in a checkpoint of cfgtrain]",
        ),
    ] = None,
    rename: Annotated[
        list[str] | None,
        typer.Option(
            metavar="OLD=NEW",
            help="Replace the beginning of names, such as [b]backbone.=[/b] to remove it; may be repeated.",
        ),
    ] = None,
    with_hash: Annotated[
        bool, typer.Option("--hash", help="Append the beginning of the SHA-256 to the name of the file.")
    ] = False,
    overwrite: Overwrite = False,
) -> None:
    """Write the weights alone to a smaller file, for publishing.

    The optimizer, the state of the run, and what the meta says of the machine are left out.
    """
    renames = [_rename(each) for each in rename or []]
    from cfgtrain.checkpoint.publish import strip_checkpoint  # imports torch

    _report(
        strip_checkpoint(
            file, output, averages=ema, renames=renames, with_hash=with_hash, overwrite=overwrite
        )
    )


@app.command(no_args_is_help=True)
def average(
    files: Annotated[
        list[str], typer.Argument(metavar="FILE...", help="Two or more checkpoints.", show_default=False)
    ],
    output: Output,
    overwrite: Overwrite = False,
) -> None:
    """Write the mean of the weights of several checkpoints of one model.

    Integers, such as the counters of batch normalization, are taken from the last one.
    """
    if len(files) < 2:
        raise typer.BadParameter("Two or more checkpoints are needed for a mean.")
    from cfgtrain.checkpoint.publish import average_checkpoints  # imports torch

    _report(average_checkpoints(files, output, overwrite=overwrite))


@app.command(no_args_is_help=True)
def diff(
    a: Annotated[str, typer.Argument(metavar="A", help="Checkpoint.", show_default=False)],
    b: Annotated[str, typer.Argument(metavar="B", help="The one to compare it with.", show_default=False)],
    as_json: Json = False,
) -> None:
    """Compare two checkpoints: which tensors differ, by how much, and the meta.

    Exit codes: 0 if the weights are equal, 1 if they differ.
    """
    from cfgtrain.checkpoint.compare import compare_checkpoints  # imports torch
    from cfgtrain_cli.checkpoint.tables import diff_as_dict, diff_text

    found = compare_checkpoints(a, b)
    if as_json:
        print_json(diff_as_dict(a, b, found))
    else:
        echo(diff_text(a, b, found))
    if found.tensors:
        raise typer.Exit(ExitCode.FAILED)


@app.command(no_args_is_help=True)
def convert(file: Checkpoint, output: Output, overwrite: Overwrite = False) -> None:
    """Write the weights in the format of the output's suffix: .safetensors, or .pth for torch.save.

    A checkpoint in shards, a folder, becomes a .pth file with everything that it contains, from which a
    run resumes.
    """
    from cfgtrain.checkpoint.publish import convert_checkpoint  # imports torch

    _report(convert_checkpoint(file, output, overwrite=overwrite))


def _folder(folder: Path) -> Path:
    if not folder.is_dir():
        kind = "a file" if folder.exists() else "not there"
        raise ArgumentError(f"WORK_DIR is a folder; {folder} is {kind}.")
    return folder


def _rename(text: str) -> tuple[str, str]:
    old, separator, new = text.partition("=")
    if not separator:
        raise typer.BadParameter(f"--rename is OLD=NEW, such as backbone.=encoder., not {text!r}.")
    return old, new


def _report(written: Written) -> None:
    from cfgtrain_cli.checkpoint.tables import written_text  # imports torch

    echo(written_text(written))
