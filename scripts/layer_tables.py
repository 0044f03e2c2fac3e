"""Write docs/layers.md: every layer type that a config can name, with its arguments and its source.

python scripts/layer_tables.py
"""

from __future__ import annotations

import inspect
import re
import sys
from pathlib import Path
from typing import Any

import cfgtrain.cnn  # registers the layers
import cfgtrain.models  # noqa: F401  # registers the networks
from cfgtrain import registries

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "layers.md"
LEFT_OUT = ("device", "dtype")  # of PyTorch's layers

INTRODUCTION = """\
# Layers, initializers and networks

Networks are assembled from configs: `build_conv_layer(dict(type='ConvWS'), 16, 32, 3)`. Each kind of layer has a
build function and a registry in `cfgtrain.cnn`. A `type` is one of the names below, a class, or an import path such as
`torch.nn.Softplus`. A config is never changed, and an unknown type, argument or value is an error that names the
nearest ones. `cfgtrain list` shows the same names on the command line, and `cfgtrain show` what one of them accepts.

```python
import torch

from cfgtrain.cnn import ConvModule, build_norm_layer, build_plugin_layer

block = ConvModule(16, 32, 3, padding=1, norm_cfg=dict(type="GN", num_groups=8), act_cfg=dict(type="Mish"))
name, attention = build_plugin_layer(dict(type="CrissCrossAttention"), in_channels=32)
images = torch.zeros(1, 16, 8, 8)
assert attention(block(images)).shape == (1, 32, 8, 8)
assert name == "criss_cross_attention"
```

Layers work under autocast, `torch.compile`, `channels_last` and `torch.export`. The names, arguments and weight names
are those of MMCV 1.x. The tables are written by `scripts/layer_tables.py`.
"""

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
SOURCE = re.compile(r"\(([^()]*\b(?:19|20)\d\d)\)")
FROM = re.compile(r'\bFrom ([^"]*"[^"]*", (?:19|20)\d\d)')


def arguments(kind: Any) -> str:
    """Return the arguments of a class with their defaults."""
    texts, parameters = [], inspect.signature(kind).parameters
    if "args" in parameters:  # a class without arguments of its own
        return ""
    for name, parameter in parameters.items():
        if name in LEFT_OUT:
            continue
        if parameter.kind is parameter.VAR_KEYWORD:
            texts.append("...")
        else:
            default = "" if parameter.default is parameter.empty else f"={parameter.default!r}"
            texts.append(name + default)
    return f"`{', '.join(texts)}`" if texts else ""


def described(kind: Any) -> tuple[str, str]:
    """Return what a class is, in a few words, and its source."""
    if kind.__name__ in TORCH and kind.__module__.startswith(("torch.", "cfgtrain.cnn.bricks.wrappers")):
        return TORCH[kind.__name__]
    text = inspect.getdoc(kind) or ""
    sources = FROM.findall(text.replace("\n", " ")) + SOURCE.findall(text.replace("\n", " "))
    first = " ".join(text.split("\n\n")[0].split()).replace("``", "`")
    first = SOURCE.sub("", first).replace(" .", ".").replace(" ,", ",").rstrip(".")
    return first, sources[0] if sources else ""


def main() -> int:
    """Write the page."""
    lines = [INTRODUCTION]
    for title, name, builder in SECTIONS:
        lines += [f"## {title}", "", f"Registry `{name}`; {builder}.", ""]
        lines += ["| type | arguments | what it is | source |", "|---|---|---|---|"]
        by_class: dict[tuple[Any, str], list[str]] = {}
        registry = getattr(registries, name)
        for key, kind in registry.module_dict.items():
            by_class.setdefault((kind, key if kind.__name__ == "Upsample" else ""), []).append(key)
        for (kind, _), keys in by_class.items():
            what, source = described(kind)
            cells = (", ".join(f"`{key}`" for key in keys), arguments(kind), what, source)
            lines.append(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |")
        lines.append("")
    PAGE.write_text("\n".join(lines).rstrip() + "\n")
    print(f"{PAGE.relative_to(ROOT)}: {sum(line.startswith('| `') for line in lines)} types")
    return 0


if __name__ == "__main__":
    sys.exit(main())
