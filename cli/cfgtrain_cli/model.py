"""``cfgtrain model``: the layers of a model with their shapes, parameters, multiply-adds and memory."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cfgtrain_cli.console import echo, print_json, styled
from cfgtrain_cli.loading import load_project
from cfgtrain_cli.numbers import count_text, size_text
from cfgtrain_cli.options import CfgOptions, Compat, ConfigFile

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cfgtrain.cnn.tools.measurement import Layer, Measurement
    from cfgtrain.model_summary import ModelSummary


def model(
    config: ConfigFile,
    shape: Annotated[
        str | None,
        typer.Option(
            metavar="C,H,W",
            help="Shape of the input of one sample, such as 3,224,224. \\[default: a sample of the test dataset]",
        ),
    ] = None,
    depth: Annotated[
        int | None, typer.Option("--depth", "-d", min=0, help="Levels of the tree. \\[default: all]")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    cfg_options: CfgOptions = None,
    compat: Compat = None,
) -> None:
    """Show the layers of a model with their output shapes, parameters, multiply-adds and memory.

    The model is not trained, and its weights are not loaded. It is built on the meta device, where nothing is computed,
    or on the CPU if it cannot run there.
    """
    sizes = None if shape is None else _sizes(shape)
    cfg = load_project(config, cfg_options)
    from cfgtrain.model_summary import summarize_model  # imports torch

    summary = summarize_model(cfg, sizes)
    if as_json:
        print_json(_as_json(summary, depth))
    else:
        _print(summary, depth)


def _sizes(shape: str) -> list[int]:
    parts = re.split(r"[,x]", shape.strip("()[] "))
    sizes = [int(part) for part in parts if part.strip().isdecimal()]
    if len(sizes) != len(parts) or 0 in sizes:
        raise typer.BadParameter(f"--shape is positive numbers such as 3,224,224, not {shape!r}.")
    return sizes


def _children(measured: Measurement, name: str) -> list[str]:
    prefix = f"{name}." if name else ""
    return [
        path
        for path in measured.layers
        if path and path.startswith(prefix) and "." not in path[len(prefix) :]
    ]


def _as_json(summary: ModelSummary, depth: int | None) -> dict[str, Any]:
    return {
        "inputs": [each._asdict() for each in summary.inputs],
        "sample_of": summary.part,
        "weight_bytes": summary.weight_bytes,
        "model": _layer_as_json(summary.measured, "", depth),
    }


def _layer_as_json(measured: Measurement, name: str, depth: int | None) -> dict[str, Any]:
    layer = measured.total(name)
    inside = _children(measured, name) if depth is None or depth > 0 else []
    return {
        "name": name,
        "type": type(layer.module).__name__,
        "calls": layer.calls,
        "output_shapes": layer.outputs,
        "params": layer.params,
        "trainable_params": layer.trainable,
        "multiply_adds": layer.flops,
        "activation_bytes": layer.memory,
        "layers": [_layer_as_json(measured, each, None if depth is None else depth - 1) for each in inside],
    }


def _print(summary: ModelSummary, depth: int | None) -> None:
    total = summary.measured.total()
    header = ("layer", "output", "params", "mult-adds", "memory")
    rows = [header, *_rows(summary.measured, depth)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for i, (name, *numbers) in enumerate(rows):
        cells = [name.ljust(widths[0]), *map(str.rjust, numbers, widths[1:])]
        echo(styled("  ".join(cells).rstrip(), **({"bold": True} if i == 0 else {})))
    source = f", a sample of data.{summary.part}" if summary.part else ""
    inputs = ", ".join(f"{each.name} {each.shape}".strip() for each in summary.inputs)
    trained = "all" if total.trainable == total.params else f"{total.trainable:,}"
    echo("")
    echo(f"Input:       {inputs}{source}")
    echo(f"Parameters:  {total.params:,}, {trained} trained; {size_text(summary.weight_bytes)} with buffers")
    echo(f"Mult-adds:   {total.flops:,} per sample")
    echo(f"Memory:      {size_text(total.memory)} per sample, which training keeps for the backward pass")


def _rows(
    measured: Measurement, depth: int | None, name: str = "", indent: str = "", branch: str = ""
) -> Iterator[tuple[str, str, str, str, str]]:
    """Yield the cells of a module, and of those inside it down to ``depth`` levels."""
    layer = measured.total(name)
    kind = type(layer.module).__name__
    label = f"{indent}{branch}{name.rpartition('.')[2]} ({kind})" if name else kind
    output = _output(layer) if measured.is_used(name) else "not called"
    yield label, output, count_text(layer.params), count_text(layer.flops), size_text(layer.memory)
    if depth == 0:
        return
    inside = _children(measured, name)
    below = indent + {"": "", "├─ ": "│  ", "└─ ": "   "}[branch]
    for i, each in enumerate(inside):
        branch_below = "└─ " if i == len(inside) - 1 else "├─ "
        yield from _rows(measured, None if depth is None else depth - 1, each, below, branch_below)


def _output(layer: Layer) -> str:
    """Return the shape of the first output without a batch dimension of 1, and the number of others."""
    if not layer.outputs:  # a container whose layers are called one by one has none, either
        return "-"
    first, more = layer.outputs[0], len(layer.outputs) - 1
    sizes = first[1:] if len(first) > 1 and first[0] == 1 else first
    return ("x".join(map(str, sizes)) or "1") + (f" +{more}" if more else "")
