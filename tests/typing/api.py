"""The promised names and their types; checked by mypy, never run."""

from __future__ import annotations

from pathlib import Path
from typing import Any, assert_type

import numpy as np
from torch import Tensor, nn

import cfgtrain
from cfgtrain import (
    Config,
    ConfigDict,
    DictAction,
    Registry,
    build_from_cfg,
    dump,
    imflip,
    imread,
    imrescale,
    imresize,
    imwrite,
    load,
)
from cfgtrain.cnn import ConvModule, build_conv_layer, build_norm_layer, build_plugin_layer, drop_path
from cfgtrain.fileio import BaseStorageBackend, FileClient, dict_from_file, list_from_file
from cfgtrain.origin import Origin
from cfgtrain.runner import HOOKS, Hook, PolyLrUpdaterHook, RunnerView
from cfgtrain.train import TrainResult, train

cfg = Config.fromfile("config.py")
assert_type(cfg, Config)
assert_type(FileClient.infer_client(uri="s3://bucket/key"), FileClient)
assert_type(FileClient("disk").client, BaseStorageBackend)
assert_type(FileClient().get_text("a.txt"), str)
assert_type(list_from_file("a.txt"), list[str])
assert_type(dict_from_file("a.txt", int), dict[int, str | list[str]])
assert_type(cfg.origin("optimizer.lr"), Origin | None)
assert_type(cfg.history("optimizer.lr"), list[Origin])
assert_type(cfg.pretty_text, str)
assert_type(train(cfg), TrainResult)
assert_type(train(cfg).work_dir, Path)
assert_type(HOOKS, Registry)
assert_type(PolyLrUpdaterHook(power=2.0), PolyLrUpdaterHook)
assert_type(imresize(imread("a.png"), (4, 3)), np.ndarray[Any, Any])
assert_type(imrescale(imread("a.png"), 0.5, return_scale=True), tuple[np.ndarray[Any, Any], float])
assert_type(imwrite(imflip(imread("a.png")), "b.png"), bool)
assert_type(cfgtrain.__version__, str)
assert_type(build_conv_layer(None, 3, 8, 3), nn.Module)
assert_type(build_norm_layer({"type": "BN"}, 8), tuple[str, nn.Module])
assert_type(build_plugin_layer(ConfigDict(type="ContextBlock"), in_channels=8), tuple[str, nn.Module])
assert_type(ConvModule(3, 8, 3, norm_cfg=ConfigDict(type="BN")).norm, nn.Module | None)
assert_type(drop_path(Tensor(), 0.1, training=True), Tensor)
assert_type(cfgtrain.Registry("name").build({"type": "X"}), Any)


class Mine(Hook):
    """A hook is written against the view of the runner that hooks have."""

    def after_train_iter(self, runner: RunnerView) -> None:
        """Read what a hook may read."""
        assert_type(runner.iter, int)
        assert_type(runner.max_epochs, int | None)


promised = (ConfigDict, DictAction, build_from_cfg, dump, imresize, load)
