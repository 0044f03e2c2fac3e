"""Write the tables of docs/layers.md: every layer type that a config can name, with its arguments and its source.

The text before the first table stays as it is.

python scripts/layer_tables.py
"""

from __future__ import annotations

import inspect
import re
import sys
from pathlib import Path
from typing import Any

import cfgtrain.cnn  # registers the layers
import cfgtrain.models  # registers the networks
from cfgtrain import registries
from cfgtrain.introspection.signatures import parameters_of

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "layers.md"
LEFT_OUT = ("device", "dtype")  # of PyTorch's layers

# Title, registry, the functions that build from it, and what the calling code passes.
SECTIONS = [
    ("Convolutions", "CONV_LAYERS", "`build_conv_layer(cfg, *args, **kwargs)`; None is `Conv2d`"),
    ("Normalizations", "NORM_LAYERS", "`build_norm_layer(cfg, num_features, postfix='')` returns (name, layer)"),
    ("Activations", "ACTIVATION_LAYERS", "`build_activation_layer(cfg)`"),
    ("Padding", "PADDING_LAYERS", "`build_padding_layer(cfg, padding)`"),
    ("Upsampling", "UPSAMPLE_LAYERS", "`build_upsample_layer(cfg, *args, **kwargs)`"),
    ("Plugins", "PLUGIN_LAYERS", "`build_plugin_layer(cfg, postfix='', **kwargs)` returns (name, layer)"),
    ("Dropout", "DROPOUT_LAYERS", "`build_dropout(cfg)`"),
    ("Attention", "ATTENTION", "`build_attention(cfg)`"),
    ("Feed-forward networks", "FEEDFORWARD_NETWORK", "`build_feedforward_network(cfg)`"),
    ("Positional encodings", "POSITIONAL_ENCODING", "`build_positional_encoding(cfg)`"),
    ("Transformer layers", "TRANSFORMER_LAYER", "`build_transformer_layer(cfg)`"),
    ("Sequences of transformer layers", "TRANSFORMER_LAYER_SEQUENCE", "`build_transformer_layer_sequence(cfg)`"),
    ("Networks", "MODELS", "`build_model_from_cfg(cfg, MODELS)`, and `model` in a config"),
    ("Weight initializers", "INITIALIZERS", "`initialize(module, init_cfg)`, and `init_cfg` of a module"),
]  # fmt: skip

# What the classes of PyTorch are, and their sources.
TORCH = {
    "Conv1d": ("Convolution of (N, C, L)", ""),
    "Conv2d": ("Convolution of (N, C, H, W)", ""),
    "Conv3d": ("Convolution of (N, C, D, H, W)", ""),
    "ConvTranspose2d": ("Transposed convolution of (N, C, H, W)", ""),
    "ConvTranspose3d": ("Transposed convolution of (N, C, D, H, W)", ""),
    "BatchNorm1d": ("Batch normalization of (N, C) or (N, C, L)", "Ioffe & Szegedy 2015"),
    "BatchNorm2d": ("Batch normalization of (N, C, H, W)", "Ioffe & Szegedy 2015"),
    "BatchNorm3d": ("Batch normalization of (N, C, D, H, W)", "Ioffe & Szegedy 2015"),
    "SyncBatchNorm": ("Batch normalization over all processes", "Ioffe & Szegedy 2015"),
    "GroupNorm": ("Normalization of groups of channels; requires `num_groups`", "Wu & He 2018"),
    "LayerNorm": ("Normalization of the last dimensions", "Ba et al. 2016"),
    "InstanceNorm1d": ("Normalization of each channel of (N, C, L)", "Ulyanov et al. 2016"),
    "InstanceNorm2d": ("Normalization of each channel of (N, C, H, W)", "Ulyanov et al. 2016"),
    "InstanceNorm3d": ("Normalization of each channel of (N, C, D, H, W)", "Ulyanov et al. 2016"),
    "ReLU": ("max(x, 0)", "Nair & Hinton 2010"),
    "LeakyReLU": ("x, or a multiple of x if it is negative", "Maas et al. 2013"),
    "PReLU": ("LeakyReLU with a learned slope", "He et al. 2015"),
    "RReLU": ("LeakyReLU with a random slope in training", "Xu et al. 2015"),
    "ReLU6": ("min(max(x, 0), 6)", "Krizhevsky 2010"),
    "ELU": ("x, or alpha * (exp(x) - 1) if it is negative", "Clevert et al. 2016"),
    "Sigmoid": ("1 / (1 + exp(-x))", ""),
    "Tanh": ("Hyperbolic tangent", ""),
    "GELU": ("x times the normal distribution function of x", "Hendrycks & Gimpel 2016"),
    "SiLU": ("x * sigmoid(x)", "Elfwing et al. 2017"),
    "Mish": ("x * tanh(softplus(x))", "Misra 2019"),
    "Hardswish": ("x * ReLU6(x + 3) / 6", "Howard et al. 2019"),
    "ZeroPad2d": ("Pads with zeros", ""),
    "ReflectionPad2d": ("Pads with the mirrored image", ""),
    "ReplicationPad2d": ("Pads with the pixels of the border", ""),
    "Upsample": ("Interpolation to a size or by a factor", ""),
}  # fmt: skip
SOURCE = re.compile(r"\s*\(([^()]*\b(?:19|20)\d\d)\)")
NAMED = re.compile(r'\b(?:From|of) ([A-Z][\w& -]* et al\., "[^"]*", (?:19|20)\d\d)')

HEADER = ["| type | arguments | what it is | source |", "|---|---|---|---|"]

# Classes without a registered name, whose type in a config is an import path.
UNREGISTERED = (
    cfgtrain.cnn.DepthwiseSeparableConvModule,
    cfgtrain.cnn.LayerNorm2d,
    cfgtrain.cnn.Scale,
    cfgtrain.cnn.Linear,
    cfgtrain.cnn.MaxPool2d,
    cfgtrain.cnn.MaxPool3d,
    cfgtrain.cnn.PatchEmbed,
    cfgtrain.cnn.PatchMerging,
    cfgtrain.cnn.AdaptivePadding,
)


def arguments(kind: Any) -> str:
    """Return the arguments of a class with their defaults, those of its base class included if it passes them on."""
    parameters = parameters_of(kind)
    if (
        parameters is None or "args" in inspect.signature(kind).parameters
    ):  # a class without arguments of its own
        return ""
    texts = [
        f"{name}={parameters.defaults[name]!r}" if name in parameters.defaults else name
        for name in parameters.names
        if name not in LEFT_OUT
    ]
    return f"`{', '.join(texts)}`" if texts else ""


def described(kind: Any) -> tuple[str, str]:
    """Return what a class is, in a few words, and its source."""
    if kind.__name__ in TORCH and kind.__module__.startswith(("torch.", "cfgtrain.cnn.bricks.wrappers")):
        return TORCH[kind.__name__]
    text = (inspect.getdoc(kind) or "").partition("\nArgs:")[0]
    first = " ".join(text.split("\n\n")[0].split()).replace("``", "`")
    whole = " ".join(text.split())
    sources = SOURCE.findall(first) + NAMED.findall(whole) + SOURCE.findall(whole)
    return SOURCE.sub("", first).rstrip("."), sources[0] if sources else ""


def row(kind: Any, types: list[str]) -> str:
    """Return a row of a table."""
    what, source = described(kind)
    cells = (", ".join(f"`{each}`" for each in types), arguments(kind), what, source)
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"


def main() -> int:
    """Write the page."""
    introduction = PAGE.read_text(encoding="utf-8").partition(f"## {SECTIONS[0][0]}\n")[0]
    lines = [introduction.rstrip("\n"), ""]
    for title, name, builder in SECTIONS:
        lines += [f"## {title}", "", f"Registry `{name}`; {builder}.", ""]
        lines += HEADER
        by_class: dict[tuple[Any, str], list[str]] = {}
        registry = getattr(registries, name)
        for key, kind in registry.module_dict.items():
            by_class.setdefault((kind, key if kind.__name__ == "Upsample" else ""), []).append(key)
        for (kind, _), keys in by_class.items():
            lines.append(row(kind, keys))
        lines.append("")
    lines += ["## Layers without a registered name", ""]
    lines += ["Code imports them from `cfgtrain.cnn`. In a config, the type is an import path.", "", *HEADER]
    lines += [row(kind, [f"cfgtrain.cnn.{kind.__name__}"]) for kind in UNREGISTERED]
    PAGE.write_text("\n".join(lines).rstrip() + "\n", encoding="utf-8")
    print(f"{PAGE.relative_to(ROOT)}: {sum(line.startswith('| `') for line in lines)} types")
    return 0


if __name__ == "__main__":
    sys.exit(main())
