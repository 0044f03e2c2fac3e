"""Measure loading, printing and reading a config, relative to the least work that each requires.

- Loading a Python config: at most 2 times ``exec(compile(open().read()))`` of the same files, or 6 times if the origin
  of every value is requested.
- Loading a tree of hundreds of Python configs that inherit from each other and contain ``{{ fileDirname }}``: at most
  1.8 times ``exec(compile(open().read()))``, where a base that two configs share counts twice.
- Loading a YAML config: at most 2 times PyYAML's safe loader in C.
- ``pretty_text``: at most 15 times ``repr`` of the same dict.
- Attribute access: at most as much as ``addict.Dict``.

These budgets are upper limits. Below them, simple code is preferred to fast code.

Run it with the Python in which cfgtrain is installed: ``python benchmarks/config.py``.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import addict
import yaml
from paired import compare

from cfgtrain.config.config import Config

PAIRS = 40
SECONDS = 0.05  # CPU seconds for which each side of a pair is repeated


def main() -> None:
    """Print every ratio with its budget."""
    with tempfile.TemporaryDirectory() as folder:
        for name, budget, ours, least in cases(Path(folder)):
            result = compare(timer(ours), timer(least), pairs=PAIRS)
            met = "met" if result.ratio <= budget else "EXCEEDED"
            times = f"{result.a * 1e6:10.2f} us against {result.b * 1e6:10.2f} us"
            print(f"{name:44} {times}  ratio {result}, budget {budget}: {met}")


def cases(folder: Path) -> Iterator[tuple[str, float, Callable[[], object], Callable[[], object]]]:
    """Yield (name, maximum ratio, function to measure, function to compare with) for each case."""
    (single := folder / "single.py").write_text(SINGLE)
    chain = write_chain(folder)
    many = folder / "many.yaml"
    many.write_text("".join(YAML_ITEM.format(i=i) for i in range(500)))
    tree = Config.fromfile(chain[-1])._cfg_dict
    plain = addict.Dict(optimizer={"lr": 0.1})
    ours = Config({"optimizer": {"lr": 0.1}})._cfg_dict

    yield "load, 60 lines", 2.0, partial(Config.fromfile, single), partial(run, [single])
    yield (
        "load, 60 lines, every origin",
        6.0,
        partial(origins, single, list(leaves(Config.fromfile(single)._cfg_dict))),
        partial(run, [single]),
    )
    yield "load, 4 levels, 400 keys", 2.0, partial(Config.fromfile, chain[-1]), partial(run, chain)
    yield (
        "load, 4 levels, 400 keys, every origin",
        6.0,
        partial(origins, chain[-1], list(leaves(tree))),
        partial(run, chain),
    )
    shared = write_tree(folder / "tree")
    yield (
        f"load, tree of {len(shared)} bases",
        1.8,
        partial(Config.fromfile, shared[-1]),
        partial(run, shared),
    )
    yield "load, YAML of 5,000 keys", 2.0, partial(Config.fromfile, many), partial(read_yaml, many)
    yield (
        "pretty_text, 60 lines",
        15.0,
        partial(pretty, Config.fromfile(single)),
        partial(repr, Config.fromfile(single)._cfg_dict),
    )
    yield "pretty_text, 400 keys", 15.0, partial(pretty, Config(tree)), partial(repr, tree)
    yield "attribute access", 1.0, partial(attributes, ours), partial(attributes, plain)


def timer(work: Callable[[], object]) -> Callable[[], float]:
    """Return a function that runs ``work`` for ``SECONDS`` and returns the CPU seconds of one run."""
    start = time.process_time()
    work()
    number = max(1, int(SECONDS / max(time.process_time() - start, 1e-6)))

    def timed() -> float:
        start = time.process_time()
        for _ in range(number):
            work()
        return (time.process_time() - start) / number

    return timed


def run(files: list[Path]) -> None:
    """Execute the files directly, without a config library."""
    for file in files:
        with open(file, encoding="utf-8") as text:  # noqa: PTH123  # faster than Path.read_text
            exec(compile(text.read(), str(file), "exec"), {})


def read_yaml(file: Path) -> Any:
    """Read a YAML file with PyYAML."""
    with open(file, encoding="utf-8") as text:  # noqa: PTH123
        return yaml.load(text.read(), Loader=yaml.CSafeLoader)


def origins(file: Path, keys: list[str]) -> None:
    """Load a config and compute the origins of ``keys``."""
    cfg = Config.fromfile(file)
    for key in keys:
        cfg.origin(key)


def leaves(tree: dict[str, Any], prefix: str = "") -> Iterator[str]:
    """Yield the dotted key of every value that is not a dict."""
    for key, value in tree.items():
        if isinstance(value, dict):
            yield from leaves(value, f"{prefix}{key}.")
        else:
            yield prefix + key


def pretty(cfg: Config) -> str:
    """Return the text of a config."""
    return cfg.pretty_text


def attributes(tree: Any) -> None:
    """Read a nested attribute a hundred times."""
    for _ in range(100):
        tree.optimizer.lr  # noqa: B018


def write_chain(folder: Path) -> list[Path]:
    """Write four configs with 400 keys in total, each the base of the next, and return their paths in order."""
    files = []
    for level in range(4):
        lines = [f"_base_ = 'level{level - 1}.py'"] if level else []
        for part in range(10):
            lines.append(f"part{level}_{part} = dict(")
            lines.append(f"    type='Part{part}', depth={part}, rate=0.{part + 1}, frozen=True,")
            lines.append(
                f"    inner=dict(type='Inner', size=({part}, {level}), names=['a', 'b'], scale=1e-{part + 1},"
            )
            lines.append("        act=dict(type='ReLU', inplace=True)))")
            if level:
                lines.append(f"part{level - 1}_{part} = dict(depth={part + 50}, inner=dict(scale=0.5))")
        files.append(folder / f"level{level}.py")
        files[-1].write_text("\n".join(lines) + "\n")
    return files


def write_tree(folder: Path, width: int = 6, levels: int = 3) -> list[Path]:
    """Write configs with ``width`` bases each, and return the paths that a loader reads, in order.

    All configs of the lowest level inherit from the same file, whose path is therefore in the list once for each.
    """
    folder.mkdir()
    (imports := folder / "imports.py").write_text("custom_imports = dict(imports=['json'])\n")

    def write(name: str, level: int) -> list[Path]:
        children = [f"{name}_{i}" for i in range(width)] if level < levels else []
        read = [file for child in children for file in write(child, level + 1)] or [imports]
        bases = ", ".join(f"'{child}.py'" for child in children) or "'imports.py'"
        overridden = "".join(TREE_OVERRIDE.format(child=child, level=level) for child in children)
        (path := folder / f"{name}.py").write_text(
            f"_base_ = [{bases}]\n{TREE_ITEM.format(name=name)}{overridden}"
        )
        return [*read, path]

    return write("part", 0)


TREE_ITEM = """\
{name} = dict(
    type='ImageFolder',
    path='{{{{ fileDirname }}}}/data/{name}',
    name='{{{{ fileBasenameNoExtension }}}}',
    size=(224, 224),
    norm=dict(mean=[123.675, 116.28, 103.53], std=[58.395, 57.12, 57.375], to_rgb=True),
    pipeline=[dict(type='LoadImageFromFile'), dict(type='Resize', scale=(256, 256)), dict(type='Collect', keys=['img'])],
)
"""

TREE_OVERRIDE = """\
{child} = dict(size=({level}, 224), norm=dict(to_rgb=False))
"""

YAML_ITEM = """\
layer{i}:
  type: Conv2d
  in_channels: {i}
  out_channels: 64
  kernel: [3, 3]
  bias: false
  norm:
    type: BN
    eps: 1.0e-5
    momentum: 0.1
"""

SINGLE = """\
img_norm_cfg = dict(mean=[123.675, 116.28, 103.53], std=[58.395, 57.12, 57.375], to_rgb=True)
crop_size = (512, 512)
train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations', with_bbox=True),
    dict(type='Resize', img_scale=(1333, 800), keep_ratio=True),
    dict(type='RandomFlip', flip_ratio=0.5),
    dict(type='RandomCrop', crop_size=crop_size, cat_max_ratio=0.75),
    dict(type='Normalize', **img_norm_cfg),
    dict(type='Pad', size_divisor=32),
    dict(type='DefaultFormatBundle'),
    dict(type='Collect', keys=['img', 'gt_bboxes', 'gt_labels']),
]
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(
        type='MultiScaleFlipAug',
        img_scale=(1333, 800),
        flip=False,
        transforms=[
            dict(type='Resize', keep_ratio=True),
            dict(type='Normalize', **img_norm_cfg),
            dict(type='ImageToTensor', keys=['img']),
        ],
    ),
]
model = dict(
    type='ImageClassifier',
    backbone=dict(
        type='ResNet',
        depth=50,
        num_stages=4,
        out_indices=(0, 1, 2, 3),
        frozen_stages=1,
        norm_cfg=dict(type='BN', requires_grad=True),
        style='pytorch',
        init_cfg=dict(type='Pretrained', checkpoint='resnet50.pth'),
    ),
    neck=dict(type='GlobalAveragePooling'),
    head=dict(
        type='LinearClsHead',
        num_classes=1000,
        in_channels=2048,
        loss=dict(type='CrossEntropyLoss', loss_weight=1.0),
        topk=(1, 5),
    ),
)
data = dict(
    samples_per_gpu=32,
    workers_per_gpu=2,
    train=dict(type='ImageNet', data_prefix='data/imagenet/train', pipeline=train_pipeline),
    val=dict(type='ImageNet', data_prefix='data/imagenet/val', pipeline=test_pipeline),
    test=dict(type='ImageNet', data_prefix='data/imagenet/val', pipeline=test_pipeline),
)
optimizer = dict(type='SGD', lr=0.1, momentum=0.9, weight_decay=0.0001)
lr_config = dict(policy='step', step=[30, 60, 90], warmup='linear', warmup_iters=500)
runner = dict(type='EpochBasedRunner', max_epochs=100)
checkpoint_config = dict(interval=1)
log_config = dict(interval=50, hooks=[dict(type='TextLoggerHook'), dict(type='TensorboardLoggerHook')])
"""


if __name__ == "__main__":
    main()
