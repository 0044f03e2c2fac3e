"""``cfgtrain predict``: use a trained model on images, tables and texts."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import typer

from cfgtrain.exit_codes import ExitCode
from cfgtrain_cli.console import echo, print_json
from cfgtrain_cli.loading import load_project
from cfgtrain_cli.options import CfgOptions, Compat, Device, TrustCheckpoint


def predict(
    config: Annotated[
        Path, typer.Argument(help="Config file, or the work directory of the run.", show_default=False)
    ],
    checkpoint: Annotated[
        str, typer.Argument(help="Checkpoint with the weights of the model.", show_default=False)
    ],
    inputs: Annotated[
        list[str],
        typer.Argument(
            metavar="INPUT",
            help="Images, folders of images and patterns such as 'photos/**/*.jpg'; tables or texts if the model was "
            "trained on one.",
            show_default=False,
        ),
    ],
    topk: Annotated[int, typer.Option(min=1, help="Number of classes to list.")] = 5,
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Folder for predictions.json, predictions.csv and, of images, pictures with their class.",
        ),
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace the predictions of an earlier call in --out.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    device: Device = None,
    batch_size: Annotated[int, typer.Option(min=1, help="Number of inputs that are predicted at once.")] = 32,
    length: Annotated[
        int, typer.Option(min=0, help="Number of characters or bytes that a language model adds to a text.")
    ] = 200,
    trust_checkpoint: TrustCheckpoint = False,
    cfg_options: CfgOptions = None,
    compat: Compat = None,
) -> None:
    """Use a trained model: predict for images or tables, or continue texts.

    The inputs are prepared by the pipeline of data.test, without labels. No dataset has to exist.
    Inputs that cannot be read are listed at the end, and the others are predicted.
    """
    from cfgtrain.experiment.work_dir import config_file

    cfg = load_project(config_file(config), cfg_options)
    from cfgtrain.predict import load_model, make_inputs, predict_each  # imports torch
    from cfgtrain_cli.image.quiet import quiet_libraries
    from cfgtrain_cli.image.report import failed_files
    from cfgtrain_cli.prediction_output import OutputFolder, as_document, summary, table
    from cfgtrain_cli.progress import with_progress

    begin = time.perf_counter()
    folder = None if out is None else OutputFolder(out, overwrite)
    model = load_model(cfg, checkpoint, device, trusted=trust_checkpoint)
    given = make_inputs(model, inputs, exclude=out)
    if folder is not None:
        folder.create()
    todo = predict_each(model, given, topk, batch_size, length)
    predictions = []
    with quiet_libraries():
        for i, each in enumerate(
            with_progress(todo, len(given.dataset), lambda each: Path(each.source).name)
        ):
            predictions.append(each)
            if folder is not None and given.names and each.error is None:
                folder.add_picture(each, given.dataset.inputs[i], given.names[i])
    if folder is not None:
        folder.write(predictions, model)
    failed = [(each.source, each.error) for each in predictions if each.error is not None]
    if as_json:
        print_json(as_document(predictions, model))
    else:
        if len(failed) < len(predictions):
            echo(table(predictions))
        kind = "image" if given.names else "input"
        echo(summary(predictions, model, kind, given.num_ignored, out, time.perf_counter() - begin))
        if failed:
            echo(failed_files(failed, kind), err=True)
    if failed:
        raise typer.Exit(ExitCode.FAILED)
