"""Use a trained model: predict for files, folders, tables and arrays."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from torch import nn

from cfgtrain.amp import inference_autocast
from cfgtrain.arguments import check_choice, check_integer
from cfgtrain.check import check_model
from cfgtrain.config.config import Config
from cfgtrain.data.batches import call_problem
from cfgtrain.data.builder import collate_function, loader_settings
from cfgtrain.data.collation import merge_samples
from cfgtrain.data.seeded import merge_function
from cfgtrain.errors import ArgumentError, CfgTrainError, SampleError
from cfgtrain.evaluation.inference import predict_batches
from cfgtrain.experiment.prediction_input import ImageInputs, image_pipeline, prediction_source
from cfgtrain.experiment.predictions import ClassScore, OutputReader, Prediction
from cfgtrain.experiment.trained_model import TrainedModel, load_trained_model, read_config
from cfgtrain.image_files.search import FileSearch
from cfgtrain.introspection.signatures import accepted_args
from cfgtrain.parallel.data import unpack_containers
from cfgtrain.parallel.data_container import DataContainer
from cfgtrain.parallel.wrappers import unwrap_model
from cfgtrain.random_state import derive_seed, isolated_random_state, seed_sample

__all__ = [
    "ClassScore",
    "Inputs",
    "Prediction",
    "TrainedModel",
    "load_model",
    "make_inputs",
    "predict",
    "predict_each",
]

Input = str | Path | np.ndarray[Any, Any]


class Inputs(NamedTuple):
    """What a model predicts for.

    Attributes:
        dataset: Makes a sample of each input; its ``source(index)`` names the input.
        names: Of each image, its path below the folder or pattern that was given; empty if the inputs are
            not images.
        num_ignored: Number of files in folders and matches of patterns that are not images.
        merge: Merges samples into a batch; None for ``merge_samples``.
    """

    dataset: Any
    names: list[Path]
    num_ignored: int = 0
    merge: Callable[[list[Any]], Any] | None = None


def load_model(
    config: str | Path | Config, checkpoint: str | Path, device: str | None = None, *, trusted: bool = False
) -> TrainedModel:
    """Return the trained model of a config, to predict with.

    No dataset is built or has to exist: the names of the classes are in the checkpoint.

    Args:
        config: Path of a config, or of the work directory of a run, or a config.
        checkpoint: Path or URI of the checkpoint.
        device: Name of the device; by default that of the config, or else CUDA if it is available, else the CPU.
        trusted: Whether the checkpoint may run code while it is loaded; see ``load_checkpoint``.

    Raises:
        CfgTrainError: The model of the config is wrong.
        CheckpointError: The checkpoint cannot be read, or its weights do not match the model exactly.
    """
    cfg = read_config(config)
    check_model(cfg)
    return load_trained_model(cfg, checkpoint, device, trusted=trusted)


def predict(
    model: TrainedModel,
    inputs: Input | Sequence[Input],
    topk: int = 5,
    batch_size: int = 32,
    length: int = 200,
    on_error: Literal["raise", "return"] = "raise",
) -> list[Prediction]:
    """Predict for images, for the rows of tables, or what follows after texts.

    Args:
        model: As ``load_model`` returns it.
        inputs: One or several files, folders of images, patterns such as ``photos/**/*.jpg``, and images as arrays:
            (H, W, 3) uint8 with the channels in the order BGR, or (H, W).
        topk: Number of classes in ``Prediction.top``.
        batch_size: Number of inputs that the model gets at once.
        length: Number of tokens that a language model adds to a text; see ``Prediction.text``.
        on_error: What an input does that cannot be read or predicted: ``raise`` an error, or ``return`` it as
            ``Prediction.error``.

    Returns:
        One prediction for each file, row or array, in the order of the inputs.

    Raises:
        ArgumentError: An input does not exist, or a table lacks a column, or an argument is not valid.
        SampleError: An input cannot be read or predicted.
    """
    check_choice("on_error", on_error, ["raise", "return"])
    predictions = []
    for prediction in predict_each(model, make_inputs(model, inputs), topk, batch_size, length, on_error):
        if prediction.error is not None and on_error == "raise":
            raise SampleError(f"{prediction.source}: {prediction.error}")
        predictions.append(prediction)
    return predictions


def make_inputs(model: TrainedModel, inputs: Input | Sequence[Input], exclude: Path | None = None) -> Inputs:
    """Find the inputs of a prediction, without reading images.

    Args:
        model: As ``load_model`` returns it.
        inputs: See ``predict``.
        exclude: A folder in which files are not found, such as the one that results are written to.

    Raises:
        ArgumentError: An input does not exist, or there is none.
        ConfigError: The config has no dataset that prepares inputs.
    """
    given: list[Any]
    if isinstance(inputs, str | Path | np.ndarray) or not isinstance(inputs, Iterable):
        given = [inputs]
    else:
        given = list(inputs)
    if not given:
        raise ArgumentError("There are no inputs to predict for.", argument="inputs")
    source = prediction_source(model.cfg)
    make = getattr(source.target, "for_prediction", None)
    collate = loader_settings(model.cfg.data, source.part).get("collate_fn")
    merge = None if collate is None else partial(_merged, collate)
    search = FileSearch(exclude) if make is None else FileSearch(exclude, suffixes=None)
    found: list[Input] = []
    names: list[Path] = []
    for each in given:
        if isinstance(each, np.ndarray) and make is None:
            names.append(Path(f"array_{len(found)}"))
            found.append(each)
        elif not isinstance(each, str | Path):
            what = "the path of a file" if make is not None else "a path or an array (H, W, 3)"
            raise ArgumentError(f"An input must be {what}, not {type(each).__name__}.", argument="inputs")
        elif make is not None and Path(each).is_dir():
            raise ArgumentError(
                f"The input {str(each)!r} is a folder, and {source.target.__name__} reads files."
            )
        else:
            for file in search.find(str(each)):
                found.append(file.path)
                names.append(file.relative)
    if not found:
        raise ArgumentError(f"None of the {search.num_ignored} files that match the patterns is an image.")
    if make is not None:
        args = {key: value for key, value in source.node.items() if key != "type"}
        return Inputs(make(found, args, model.metainfo), [], merge=merge)
    dataset = ImageInputs(found, image_pipeline(source, model.model))
    return Inputs(dataset, names, search.num_ignored, merge)


def predict_each(
    model: TrainedModel,
    inputs: Inputs,
    topk: int = 5,
    batch_size: int = 32,
    length: int = 200,
    on_error: Literal["raise", "return"] = "return",
) -> Iterator[Prediction]:
    """Yield the prediction for each input; one that fails has an ``error``, and the others are predicted.

    Args:
        model: As ``load_model`` returns it.
        inputs: As ``make_inputs`` returns them.
        topk: See ``predict``.
        batch_size: See ``predict``.
        length: See ``predict``.
        on_error: What an input does that cannot be read; see ``predict``.

    Raises:
        ArgumentError: An argument is not valid, or the model cannot predict without other inputs.
        SampleError: An input cannot be read, and ``on_error`` is ``raise``.
    """
    check_integer("topk", topk, 1)
    check_integer("batch_size", batch_size, 1)
    check_integer("length", length, 0)
    dataset = inputs.dataset
    generate = getattr(unwrap_model(model.model), "generate", None) if hasattr(dataset, "decode") else None
    reader = OutputReader(model.metainfo, topk, unwrap_model(model.model))
    for start in range(0, len(dataset), batch_size):
        indices = range(start, min(start + batch_size, len(dataset)))
        samples: dict[int, Any] = {}
        done: dict[int, Prediction] = {}
        with isolated_random_state():
            for i in indices:
                try:
                    seed_sample(derive_seed(0, i))  # for pipelines that draw random numbers
                    samples[i] = dataset[i]
                except (CfgTrainError, OSError, MemoryError) as error:
                    if on_error == "raise" and isinstance(error, ArgumentError):
                        raise
                    source = dataset.source(i)
                    reason = _reason(error, source)
                    if on_error == "raise":
                        raise SampleError(f"{source}: {reason}") from error
                    done[i] = Prediction(source, error=reason)
            # A batch has samples of the same shapes.
            for _, group in groupby(samples, key=lambda i: _shapes(samples[i])):
                members = list(group)
                sources = [dataset.source(i) for i in members]
                given = [samples[i] for i in members]
                read = (
                    _predict_batch(model, inputs, given, sources, reader)
                    if generate is None
                    else [
                        _continued(model.model, generate, dataset, *each, length)
                        for each in zip(given, sources, strict=True)
                    ]
                )
                done |= dict(zip(members, read, strict=True))
        yield from (done[i] for i in indices)


def _predict_batch(
    model: TrainedModel, inputs: Inputs, samples: list[Any], sources: list[str], reader: OutputReader
) -> list[Prediction]:
    merge = merge_function(samples, inputs.merge)
    batch = (
        merge_samples(samples, sources.__getitem__) if merge is None else unpack_containers(merge(samples))
    )
    batch = batch if isinstance(batch, Mapping | list | tuple) else (batch,)
    _check_arguments(unwrap_model(model.model), batch)
    try:
        with closing(predict_batches(model.model, [batch])) as predicted:
            outputs = next(predicted).predictions
    except torch.OutOfMemoryError as error:
        error.add_note("A smaller batch size (--batch-size) needs less memory.")
        raise
    except (CfgTrainError, RuntimeError) as error:  # such as other numbers of channels
        text = str(error).partition("\n")[0].rstrip(".")
        problem = f"The model cannot process {_shape_text(samples[0])}: {text}."
        return [Prediction(source, error=problem) for source in sources]
    if hasattr(inputs.dataset, "restore"):
        outputs, _ = inputs.dataset.restore(outputs, None)
    return reader.read(outputs, sources)


def _merged(collate: Any, samples: list[Any]) -> Any:
    """Return the batch that the setting ``collate_fn`` makes of samples."""
    return collate_function(collate, len(samples))(samples)


def _continued(
    model: nn.Module, generate: Any, dataset: Any, sample: Any, source: str, length: int
) -> Prediction:
    """Return a text with what a language model adds to it, which is the same in each call."""
    # A model may have more tokens than the dataset, and after a short training it still predicts them.
    known = accepted_args(generate, {"vocab_size": getattr(dataset, "vocab_size", None)})
    with inference_autocast(unwrap_model(model)):
        tokens = generate(sample["inputs"], length, generator=torch.Generator().manual_seed(0), **known)
    return Prediction(source, text=dataset.decode(tokens.cpu()))


def _check_arguments(model: nn.Module, batch: Any) -> None:
    """Raise if the ``forward`` of a model does not accept a batch without labels.

    Raises:
        ArgumentError: It does not.
    """
    problem = call_problem(model.forward, batch, return_loss=False)
    if problem is not None:
        inputs = ", ".join(map(str, batch)) if isinstance(batch, Mapping) else f"{len(batch)} inputs"
        raise ArgumentError(
            f"{type(model).__name__}.forward cannot be called with {inputs} and return_loss=False: {problem}.",
            hint="Arguments for labels need a default, such as None.",
        )


def _shapes(sample: Any) -> Any:
    """Return the shapes of the tensors and arrays in a sample."""
    if isinstance(sample, DataContainer):
        return _shapes(sample.data)
    if isinstance(sample, Mapping):
        return {key: _shapes(each) for key, each in sample.items()}
    if isinstance(sample, list | tuple):
        return [_shapes(each) for each in sample]
    return tuple(sample.shape) if hasattr(sample, "shape") else ()


def _shape_text(sample: Any) -> str:
    """Return the shapes in a sample for a message."""
    if isinstance(sample, Mapping):
        return ", ".join(f"{key} of shape {_shapes(each)}" for key, each in sample.items())
    return f"an input of shape {_shapes(sample)}"


def _reason(error: Exception, source: str) -> str:
    """Return the text of an error for the list of the inputs that failed, which contains the source."""
    if isinstance(error, OSError) and error.strerror:
        return f"{error.strerror}."
    text = str(error) or type(error).__name__
    if isinstance(error, CfgTrainError) and error.file == source:
        text = " ".join(filter(None, (error.message, error.hint)))  # without the place
    prefix = next(
        (each for each in (f"{source}: ", f"{source}, ", f"{source} ") if text.startswith(each)), ""
    )
    return text.removeprefix(prefix)
