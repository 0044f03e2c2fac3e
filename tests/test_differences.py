"""Every entry of docs/differences.md holds: one test for each, in the order of the page, named by its id."""

from __future__ import annotations

import ast
import functools
import io
import json
import logging
import math
import os
import re
import sys
import time
import warnings
from collections import namedtuple
from collections.abc import Callable
from contextlib import redirect_stdout
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from tests.tiny import LOGGER, Scalar, TinyNet
from torch import nn

import cfgtrain
from cfgtrain import Config, FileClient, Registry, build_from_cfg, cnn
from cfgtrain.checkpoint.load import load_checkpoint
from cfgtrain.config.options import parse_value
from cfgtrain.errors import CfgTrainError
from cfgtrain.evaluation import collect
from cfgtrain.experiment.older_keys import apply_process_settings
from cfgtrain.fileio.backends.http import HTTPBackend
from cfgtrain.fileio.handlers import JsonHandler, register_handler
from cfgtrain.fileio.io import dump, load
from cfgtrain.ops import batched_nms
from cfgtrain.parallel import collate, launch
from cfgtrain.runner import (
    BaseModule,
    EMAHook,
    EpochBasedRunner,
    EvalHook,
    Hook,
    IterBasedRunner,
    LogBuffer,
    OptimizerHook,
    auto_fp16,
    build_optimizer,
)
from cfgtrain.schedules import OneCycle
from cfgtrain.utils import requires_executable, track_progress

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "differences.md"
ENTRY = re.compile(r"^\| `([a-z0-9-]+)` \|", re.MULTILINE)

Point = namedtuple("Point", "x y")


def write(name: str, text: str) -> Path:
    (path := Path(name)).write_text(text)
    return path


def epoch_runner(model: nn.Module | None = None, epochs: int = 1, **arguments: Any) -> EpochBasedRunner:
    model = model or Scalar()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    return EpochBasedRunner(model, optimizer=optimizer, logger=LOGGER, max_epochs=epochs, **arguments)


def iter_runner(iters: int = 2, **arguments: Any) -> IterBasedRunner:
    model = Scalar()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    return IterBasedRunner(model, optimizer=optimizer, logger=LOGGER, max_iters=iters, **arguments)


def batches(number: int = 2) -> Any:
    return torch.utils.data.DataLoader(torch.ones(number), batch_size=1)


def test_each_entry_of_the_page_has_a_test() -> None:
    """The page and this file list the same differences in the same order, each once."""
    tree = ast.parse(Path(__file__).read_text())
    tests = [
        each.name for each in tree.body if isinstance(each, ast.FunctionDef) and each.name.startswith("test_")
    ]
    entries = ENTRY.findall(PAGE.read_text())
    assert [f"test_{entry.replace('-', '_')}" for entry in entries] == tests[1:]
    assert len({*entries}) == len(entries) >= 60


# ---------------------------------------------------------------------------- configs


def test_config_real_file() -> None:
    """A config runs under its own path, and sys.path stays as it is."""
    file = write("a.py", "where = __file__\nimport sys\nlength = len(sys.path)\n")
    cfg = Config.fromfile(file)
    assert (cfg.where, cfg.length) == (str(file.absolute()), len(sys.path))


def test_config_private_names() -> None:
    """Names with two underscores are no keys in YAML and JSON either."""
    assert Config.fromfile(write("a.json", '{"__a": 1, "b": 2}')).to_dict() == {"b": 2}


def test_config_imported_names() -> None:
    """Classes, functions and open files of a config are no keys."""
    file = write("a.py", "from pathlib import Path\nfrom os.path import join\nname = join('a', 'b')\n")
    assert Config.fromfile(file).to_dict() == {"name": "a/b"}


def test_config_delete_everywhere() -> None:
    """`_delete_` replaces everything at the root, and is in no result."""
    write("base.py", "a = 1\n")
    assert Config.fromfile(write("b.py", "_base_ = 'base.py'\n_delete_ = True\nb = 2\n")).to_dict() == {
        "b": 2
    }
    assert Config.fromfile(write("c.py", "a = dict(_delete_=True, b=1)\n")).to_dict() == {"a": {"b": 1}}
    assert Config.fromfile(write("d.py", "a = [dict(_delete_=True, b=1)]\n")).to_dict() == {"a": [{"b": 1}]}


def test_config_none_base() -> None:
    """A dict may replace an inherited None."""
    write("base.py", "a = None\n")
    assert Config.fromfile(write("b.py", "_base_ = 'base.py'\na = dict(b=1)\n")).a.b == 1


def test_config_base_values() -> None:
    """A value of the base can be computed with, indexed and put into a string."""
    write("base.py", "size = 4\nnames = ['a', 'b']\n")
    text = (
        "_base_ = 'base.py'\nx = {{ _base_.size }} + 1\ny = {{ _base_.names[1] }}\nz = 'n{{ _base_.size }}'\n"
    )
    cfg = Config.fromfile(write("b.py", text))
    assert (cfg.x, cfg.y, cfg.z) == (5, "b", "n4")


def test_config_base_missing_value() -> None:
    """A value that no base has is an error with the file, the line and the key."""
    write("base.py", "size = 4\n")
    with pytest.raises(KeyError, match=r"(?s)do not define 'sise'.*Did you mean 'size'.*b.py:2"):
        Config.fromfile(write("b.py", "_base_ = 'base.py'\nx = {{ _base_.sise }}\n"))


def test_config_base_forms() -> None:
    """`_base_` may be a tuple, None or a Path; a cycle is an error that names the files."""
    write("base.py", "a = 1\n")
    assert Config.fromfile(write("b.py", "_base_ = ('base.py',)\n")).a == 1
    assert Config.fromfile(write("c.py", "_base_ = None\nb = 1\n")).b == 1
    write("d.py", "_base_ = 'e.py'\n")
    with pytest.raises(CfgTrainError, match=r"cycle: d.py -> e.py -> d.py"):
        Config.fromfile(write("e.py", "_base_ = 'd.py'\n") and "d.py")


def test_config_base_imports() -> None:
    """Two bases may both have custom_imports: the modules of both are imported."""
    write("a.py", "custom_imports = dict(imports=['json'])\n")
    write("b.py", "custom_imports = dict(imports=['math'])\n")
    assert Config.fromfile(write("c.py", "_base_ = ['a.py', 'b.py']\n")).custom_imports.imports == [
        "json",
        "math",
    ]


def test_config_predefined_variables_off() -> None:
    """`use_predefined_variables=False` holds for the bases too."""
    write("base.py", "a = '{{ fileBasename }}'\n")
    cfg = Config.fromfile(write("b.py", "_base_ = 'base.py'\n"), use_predefined_variables=False)
    assert cfg.a == "{{ fileBasename }}"


def test_config_empty_files() -> None:
    """An empty YAML file is an empty config; a list at the root is an error with the file."""
    assert Config.fromfile(write("a.yaml", "")).to_dict() == {}
    with pytest.raises(TypeError, match="this file holds a list"):
        Config.fromfile(write("b.yaml", "- 1\n"))


def test_config_yaml_safe() -> None:
    """YAML never executes code, but keeps tuples."""
    with pytest.raises(CfgTrainError):
        Config.fromfile(write("a.yaml", "a: !!python/object/apply:os.getcwd []\n"))
    assert Config.fromfile(write("b.yaml", "a: !!python/tuple [1, 2]\n")).a == (1, 2)


def test_config_yaml_numbers() -> None:
    """`1e-3` is a number in YAML."""
    assert Config.fromfile(write("a.yaml", "lr: 1e-3\n")).lr == 0.001


def test_config_duplicate_keys() -> None:
    """A key that occurs twice in one mapping is an error."""
    with pytest.raises(KeyError, match="twice"):
        Config.fromfile(write("a.yaml", "a: 1\na: 2\n"))
    with pytest.raises(KeyError, match="twice"):
        Config.fromfile(write("a.json", '{"a": 1, "a": 2}'))


def test_config_dicts_converted() -> None:
    """A dict that is assigned, also in a list, can be read by attributes."""
    cfg = Config({"a": {}})
    cfg.a.b = [{"c": 1}]
    cfg.merge_from_dict({"d": [{"e": 2}]})
    assert (cfg.a.b[0].c, cfg.d[0].e) == (1, 2)


def test_config_namedtuple() -> None:
    """A named tuple is kept as it is."""
    assert Config({"a": Point(1, 2)}).a == Point(1, 2)


def test_config_reserved_keys() -> None:
    """The reserved top-level keys cannot be set later either."""
    cfg = Config({})
    with pytest.raises(KeyError, match="reserved"):
        cfg["filename"] = "a"
    with pytest.raises(KeyError, match="reserved"):
        cfg.merge_from_dict({"text": 1})


def test_config_delete_and_compare() -> None:
    """Keys of a Config can be deleted, and configs are compared by their values."""
    cfg = Config({"a": 1, "b": 2})
    del cfg.a
    assert cfg == Config({"b": 2})


def test_config_merge_items() -> None:
    """Items of lists and tuples can be set by index, also negative ones and scalars."""
    cfg = Config({"a": [1, 2], "b": (1, 2)})
    cfg.merge_from_dict({"a.-1": 5, "b.0": 3})
    assert cfg.to_dict() == {"a": [1, 5], "b": (3, 2)}


def test_config_merge_options_kept() -> None:
    """The options of the caller are not changed."""
    options = {"a": {"_delete_": True, "b": 1}, "a.c": 2}
    cfg = Config({"a": {"d": 0}})
    cfg.merge_from_dict(options)
    assert options == {"a": {"_delete_": True, "b": 1}, "a.c": 2}


def test_config_command_line_strict(run: Callable[..., Any]) -> None:
    """An override of a key that does not exist is an error on the command line, and `+key` adds one."""
    file = str(write("a.py", "optimizer = dict(lr=1)\n"))
    ran = run("print-config", file, "--cfg-options", "optimizer.lrr=2")
    assert ran.code == 2
    assert "Did you mean 'optimizer.lr'" in ran.err + ran.out
    assert run("print-config", file, "--cfg-options", "+optimizer.lrr=2").code == 0
    cfg = Config.fromfile(file)
    cfg.merge_from_dict({"optimizer.lrr": 2})  # the library adds it, as MMCV does
    assert cfg.optimizer.lrr == 2


def test_config_option_quotes() -> None:
    """Quotes protect spaces and commas and make a string; braces are a dict."""
    assert parse_value('"1"') == "1"
    assert parse_value('"x, y"') == "x, y"
    assert parse_value("x y") == "x y"
    assert parse_value("{a: 1, b: [2, 3]}") == {"a": 1, "b": [2, 3]}
    assert parse_value("[1,2],[3,4]") == [[1, 2], [3, 4]]


def test_config_options_repeated() -> None:
    """Options that are given twice add up."""
    import argparse

    parser = argparse.ArgumentParser()
    parser.add_argument("--options", nargs="+", action=cfgtrain.DictAction)
    assert parser.parse_args(["--options", "a=1", "--options", "b=2"]).options == {"a": 1, "b": 2}
    with pytest.raises(SystemExit):
        parser.parse_args(["--options", "novalue"])


def test_config_pretty_text() -> None:
    """Any string, key and number survives `pretty_text`."""
    tree = {"a": 'it\'s\n\\ "quoted"', "class": 1, "b": math.inf, "c d": {"class": 2, 3: (1,)}}
    assert Config.fromstring(Config(tree).pretty_text, ".py").to_dict() == tree


def test_config_dump_values() -> None:
    """A value that cannot be written is an error with its key, and no file is written."""
    with pytest.raises(CfgTrainError, match=r"a\.b"):
        Config({"a": {"b": object()}}).dump("x.json")
    assert not Path("x.json").exists()


def test_config_dump_path() -> None:
    """`dump` takes a Path, and dicts at any depth of lists are written as plain data."""
    Config({"a": [[{"b": 1}]]}).dump(Path("x.yaml"))
    assert Config.fromfile("x.yaml").to_dict() == {"a": [[{"b": 1}]]}


def test_config_fromstring() -> None:
    """A config from a string has no file name, and its text is the string."""
    cfg = Config.fromstring("a = 1\n", ".py")
    assert (cfg.filename, cfg.text) == (None, "a = 1\n")


def test_config_import_errors() -> None:
    """A failing custom import names the module, the key and the line."""
    with pytest.raises(ImportError, match=r"(?s)no_such_module.*custom_imports.imports\[0\] \(a.py:1\)"):
        Config.fromfile(write("a.py", "custom_imports = dict(imports=['no_such_module'])\n"))


def test_config_deprecation_shown() -> None:
    """The warning of `_deprecation_` is shown, since it points to the code of the caller."""
    with pytest.warns(DeprecationWarning, match=r"a.py is deprecated. Use b.py") as found:
        Config.fromfile(write("a.py", "_deprecation_ = dict(expected='b.py')\n"))
    assert found[0].filename == __file__


def test_config_argparser_bools(monkeypatch: pytest.MonkeyPatch) -> None:
    """`auto_argparser` has a switch for a bool and accepts an empty list."""
    file = write("a.py", "flag = True\nsizes = []\n")
    monkeypatch.setattr("sys.argv", ["x", str(file), "--no-flag"])
    parser, cfg = Config.auto_argparser()
    cfg.merge_from_args(parser.parse_args())
    assert cfg.flag is False


# ---------------------------------------------------------------------------- registries


def test_registry_scope() -> None:
    """A scope that contains a dot is an error when the registry is made."""
    with pytest.raises(ValueError, match="dot"):
        Registry("a", scope="b.c")


def test_registry_unknown_scope() -> None:
    """A name in an unknown scope is not found, instead of an AttributeError."""
    registry = Registry("a", scope="b")
    assert registry.get("c.d") is None
    assert "c.d" not in registry


def test_registry_suggestion() -> None:
    """A name that is not registered is an error with the nearest names."""
    with pytest.raises(KeyError, match=r"(?s)LeNet55.*Did you mean 'LeNet5'"):
        build_from_cfg({"type": "LeNet55"}, cfgtrain.models.MODELS)


def test_registry_import_path() -> None:
    """`type` may be an import path."""
    built = build_from_cfg(
        {"type": "torch.nn.Linear", "in_features": 1, "out_features": 2}, cfgtrain.models.MODELS
    )
    assert isinstance(built, nn.Linear)


def test_registry_mmcv_scope() -> None:
    """The scope mmcv is that of cfgtrain."""
    assert cnn.CONV_LAYERS.get("mmcv.Conv2d") is cnn.CONV_LAYERS.get("Conv2d")


def test_registry_config() -> None:
    """A Config can be built from."""
    registry = Registry("a", scope="b")
    registry.register_module(name="dict", module=lambda **k: k)
    assert build_from_cfg(Config({"type": "dict", "x": 1}), registry) == {"x": 1}


def test_registry_atomic_names() -> None:
    """If one of several names is taken, none is registered."""
    registry = Registry("a", scope="b")
    registry.register_module(name="y", module=TinyNet)
    with pytest.raises(KeyError):
        registry.register_module(name=["x", "y"], module=Scalar)
    assert "x" not in registry


def test_registry_exceptions() -> None:
    """An exception of a constructor stays the object that it is, with a note of what was being built."""

    class Odd(Exception):
        def __init__(self, code: int, more: int) -> None:
            super().__init__(code, more)
            self.code = code

    def fail(**kwargs: Any) -> None:
        raise Odd(3, 4)

    registry = Registry("a", scope="b")
    registry.register_module(name="fail", module=fail)
    with pytest.raises(Odd) as found:
        build_from_cfg({"type": "fail"}, registry)
    assert found.value.code == 3


def test_registry_project_names() -> None:
    """The registry of models finds a name of its child without a scope; of two children it needs one."""
    project = Registry("models", parent=cnn.MODELS, scope="differences")
    project.register_module(name="OnlyHere", module=dict)
    assert cnn.MODELS.build({"type": "OnlyHere"}) == {}
    other = Registry("models", parent=cnn.MODELS, scope="others")
    other.register_module(name="OnlyHere", module=list)
    with pytest.raises(KeyError, match=r"differences\.OnlyHere"):
        cnn.MODELS.build({"type": "OnlyHere"})


def test_registry_callables() -> None:
    """Any callable can be registered."""
    registry = Registry("a", scope="b")
    registry.register_module(name="one", module=functools.partial(dict, x=1))
    assert registry.build({"type": "one"}) == {"x": 1}


def test_registry_dotted_names() -> None:
    """A name with a dot is an error."""
    with pytest.raises(ValueError, match="dot"):
        Registry("a", scope="b").register_module(name="c.d", module=dict)


# ---------------------------------------------------------------------------- reading and writing files


def test_fileio_yaml_safe() -> None:
    """`load` executes no code of a YAML file."""
    write("a.yaml", "!!python/object/apply:os.getcwd []\n")
    with pytest.raises(Exception, match="python/object/apply"):
        load("a.yaml")


def test_fileio_atomic(monkeypatch: pytest.MonkeyPatch) -> None:
    """A file keeps its old content if writing the new one fails."""
    dump({"a": 1}, "a.json")
    monkeypatch.setattr(os, "replace", lambda *a, **k: (_ for _ in ()).throw(OSError("full")))
    with pytest.raises(OSError, match="full"):
        dump({"a": 2}, "a.json")
    assert json.loads(Path("a.json").read_text()) == {"a": 1}


def test_fileio_client_args() -> None:
    """Arguments without a backend are those of the backend of the path."""
    assert FileClient.infer_client({}, "http://a/b").name == "HTTPBackend"


def test_fileio_hidden_folders() -> None:
    """Folders whose names begin with a dot are not listed."""
    for name in (".hidden/a.txt", "shown/b.txt"):
        Path(name).parent.mkdir()
        write(name, "")
    assert sorted(FileClient("disk").list_dir_or_file(".", recursive=True)) == ["shown", "shown/b.txt"]


def test_fileio_blank_lines() -> None:
    """`dict_from_file` skips blank lines."""
    write("a.txt", "1 cat\n\n2 dog\n")
    assert cfgtrain.dict_from_file("a.txt") == {"1": "cat", "2": "dog"}


def test_fileio_suffix_case() -> None:
    """The format of a file is found without regard to the case of its suffix."""
    write("a.JSON", "[1]")
    assert load("a.JSON") == [1]


def test_fileio_handler_taken() -> None:
    """A handler is replaced with `force` only."""

    class Other(JsonHandler):
        def load_from_fileobj(self, file: Any, **kwargs: Any) -> Any:
            return 7

    with pytest.raises(CfgTrainError, match="force=True"):
        register_handler("json")(Other)
    register_handler("json", force=True)(Other)
    write("a.json", "1")
    assert load("a.json") == 7


def test_fileio_http() -> None:
    """A download is repeated after a transient failure, and the local copy keeps the extension."""
    asked: list[str] = []

    class Failing(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_response(503 if len(asked) == 1 else 200)
            self.end_headers()
            self.wfile.write(b"" if len(asked) == 1 else b"abc")

        def log_message(self, *args: Any) -> None: ...

    with HTTPServer(("127.0.0.1", 0), Failing) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        backend = HTTPBackend(backoff=0)
        with backend.get_local_path(f"http://127.0.0.1:{server.server_port}/a.json") as path:
            assert (Path(path).suffix, Path(path).read_bytes()) == (".json", b"abc")
        server.shutdown()
    assert len(asked) == 2


def test_fileio_path_mapping(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only the beginning of a path is replaced."""
    asked: list[str] = []
    store = SimpleNamespace(Get=lambda path: asked.append(path) or b"")
    client = SimpleNamespace(Client=lambda *args, **kwargs: store)
    monkeypatch.setitem(sys.modules, "petrel_client", SimpleNamespace(client=client))
    backend = FileClient("petrel", path_mapping={"data/": "s3://b/"})
    backend.get("data/x/data/a")
    backend.get("x/data/a")
    assert asked == ["s3://b/x/data/a", "x/data/a"]


# ---------------------------------------------------------------------------- images

GRAY = np.arange(16, dtype=np.uint8).reshape(4, 4, 1)
IMAGE = np.arange(48, dtype=np.uint8).reshape(4, 4, 3)


def test_image_decode_error() -> None:
    """Bytes that are no image are an error."""
    with pytest.raises(ValueError, match="image"):
        cfgtrain.imfrombytes(b"not an image")


def test_image_axis_kept() -> None:
    """A channel axis of length one is kept."""
    assert cfgtrain.imresize(GRAY, (2, 2)).shape == (2, 2, 1)


def test_image_copies() -> None:
    """The results of `imflip` and `imcrop` share no memory with the image and are contiguous."""
    for result in (cfgtrain.imflip(IMAGE), cfgtrain.imcrop(IMAGE, np.array([0, 0, 1, 1]))):
        assert result.flags.c_contiguous
        assert not np.shares_memory(result, IMAGE)


def test_image_fill_all_channels() -> None:
    """A border value fills every channel."""
    padded = cfgtrain.impad(IMAGE, padding=1, pad_val=7)
    assert padded[0, 0].tolist() == [7, 7, 7]


def test_image_saturated() -> None:
    """`ycbcr2rgb` limits values to their range instead of wrapping around."""
    assert cfgtrain.ycbcr2rgb(np.full((1, 1, 3), 255, np.uint8))[0, 0, 0] == 255


def test_image_crop_outside() -> None:
    """A box outside the image is an error."""
    with pytest.raises(ValueError, match="outside"):
        cfgtrain.imcrop(IMAGE, np.array([10, 10, 12, 12]))


def test_image_backend_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    """A backend that cannot be used is not selected."""
    monkeypatch.setitem(sys.modules, "turbojpeg", None)
    with pytest.raises(ImportError):
        cfgtrain.use_backend("turbojpeg")
    ok, content = cv2.imencode(".png", IMAGE)
    assert ok
    assert cfgtrain.imfrombytes(content.tobytes()).shape == (4, 4, 3)


def test_image_lists() -> None:
    """Lists are accepted for means, boxes and numbers of NumPy."""
    normal = cfgtrain.imnormalize(IMAGE, [1, 2, 3], [1, 1, 1])
    assert normal.dtype == np.float32
    assert cfgtrain.impad(IMAGE, padding=1, pad_val=np.int64(3))[0, 0, 0] == 3


def test_image_flow_warp() -> None:
    """The last row and column are part of the result."""
    flow = np.zeros((4, 4, 2), np.float32)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert np.array_equal(cfgtrain.flow_warp(IMAGE, flow), IMAGE)


def test_image_boxes_drawn_on_copy() -> None:
    """`imshow_bboxes` does not draw into the image of the caller."""
    image = np.zeros((8, 8, 3), np.uint8)
    drawn = cfgtrain.imshow_bboxes(image, np.array([[1, 1, 5, 5]]), show=False)
    assert drawn.any()
    assert not image.any()


def test_image_channel_order() -> None:
    """The order RGB is kept when the orientation is ignored, and a misspelled order is an error."""
    cv2.imwrite("a.png", np.full((4, 4, 3), (200, 0, 0), np.uint8))
    img = cfgtrain.imread("a.png", "color_ignore_orientation", channel_order="rgb")
    assert img[0, 0].tolist() == [0, 0, 200]
    with pytest.raises(ValueError, match="channel_order"):
        cfgtrain.imread("a.png", channel_order="rbg")


def test_image_backend_everywhere() -> None:
    """The backend of the process also resizes."""
    img = np.random.default_rng(0).integers(0, 255, (32, 32, 3), np.uint8)
    expected = cfgtrain.imresize(img, (7, 7), backend="pillow")
    assert not np.array_equal(cfgtrain.imresize(img, (7, 7)), expected)
    cfgtrain.use_backend("pillow")
    try:
        assert np.array_equal(cfgtrain.imresize(img, (7, 7)), expected)
    finally:
        cfgtrain.use_backend("cv2")


def test_image_convert_names() -> None:
    """Any name of OpenCV in any case, and equal spaces, are accepted."""
    expected = cv2.cvtColor(IMAGE, cv2.COLOR_BGR2YCrCb)
    assert np.array_equal(cfgtrain.imconvert(IMAGE, "bgr", "YCrCb"), expected)
    assert np.array_equal(cfgtrain.imconvert(IMAGE, "bgr", "bgr"), IMAGE)


# ---------------------------------------------------------------------------- layers


def test_cnn_circular_padding() -> None:
    """`padding_mode='circular'` pads with the other side."""
    layer = cnn.ConvModule(1, 1, 3, padding=1, padding_mode="circular", act_cfg=None, bias=False)
    expected = nn.functional.conv2d(
        nn.functional.pad(x := torch.rand(1, 1, 4, 4), (1, 1, 1, 1), mode="circular"), layer.conv.weight
    )
    assert torch.allclose(layer(x), expected)


def test_cnn_activation_arguments() -> None:
    """An activation without the argument `inplace`, such as Clip, can be used."""
    assert cnn.ConvModule(1, 1, 1, act_cfg={"type": "Clip"})(torch.ones(1, 1, 2, 2)).shape == (1, 1, 2, 2)


def test_cnn_default_arguments() -> None:
    """The deprecated argument `dropout` of one layer does not change later layers."""
    from cfgtrain.cnn.bricks.transformer import MultiheadAttention

    with pytest.warns(DeprecationWarning):
        MultiheadAttention(4, 2, dropout=0.3)
    assert MultiheadAttention(4, 2).dropout_layer.p == 0


def test_cnn_fuse() -> None:
    """A norm is only folded into the convolution that it directly follows."""
    model = nn.Sequential(nn.Conv2d(1, 1, 1), nn.Sigmoid(), nn.BatchNorm2d(1)).eval()
    model[2].running_mean.fill_(0.3)
    x = torch.rand(1, 1, 3, 3)
    expected = model(x)
    assert torch.allclose(cnn.fuse_conv_bn(model)(x), expected)


def test_cnn_train_returns_self() -> None:
    """`eval()` and `train()` of the networks return the network."""
    assert isinstance(cnn.ResNet(18).eval(), cnn.ResNet)


def test_cnn_complexity_restores() -> None:
    """`get_model_complexity_info` leaves the model as it was, and counts subclasses."""
    model = cnn.ConvWS2d(1, 2, 3).train()
    flops, _ = cnn.get_model_complexity_info(model, (1, 8, 8), print_per_layer_stat=False, as_strings=False)
    assert flops > 0
    assert model.training


def test_cnn_drop_path_all() -> None:
    """A drop probability of 1 gives zeros, not NaN."""
    layer = cnn.bricks.DropPath(1.0).train()
    assert not layer(torch.ones(2, 3)).any()


def test_cnn_hsigmoid_quiet() -> None:
    """HSigmoid does not warn about an old default."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        cnn.HSigmoid()


def test_cnn_padding_sizes() -> None:
    """A pair of paddings, and a 1-d convolution, can be reflected."""
    pair = cnn.ConvModule(1, 1, 3, padding=(1, 2), padding_mode="reflect")
    assert pair(torch.rand(1, 1, 8, 8)).shape == (1, 1, 8, 10)
    line = cnn.ConvModule(1, 1, 3, padding=1, padding_mode="reflect", conv_cfg={"type": "Conv1d"})
    assert line(torch.rand(1, 1, 8)).shape == (1, 1, 8)


def test_cnn_init_containers() -> None:
    """A module inside an `nn.Sequential` is initialized by its own `init_cfg`."""

    class Inner(BaseModule):
        def __init__(self) -> None:
            super().__init__({"type": "Constant", "layer": "Linear", "val": 3})
            self.fc = nn.Linear(1, 1)

    class Outer(BaseModule):
        def __init__(self) -> None:
            super().__init__()
            self.parts = nn.Sequential(nn.ReLU(), nn.ModuleList([Inner()]))

    outer = Outer()
    outer.init_weights()
    assert outer.parts[1][0].fc.weight == 3


def test_ops_batched_nms() -> None:
    """Boxes far from the origin keep their places, and boxes of other classes do not remove each other."""
    boxes = torch.tensor([[0.1, 0, 10, 10], [0.1, 0, 10, 10], [1e7, 1e7, 1e7 + 1, 1e7 + 1]])
    scores, classes = torch.tensor([0.9, 0.8, 0.7]), torch.tensor([0, 1, 1])
    found, kept = batched_nms(boxes, scores, classes, {"type": "nms", "iou_threshold": 0.5})
    assert kept.tolist() == [0, 1, 2]
    assert torch.equal(found[:, :4], boxes)


# ---------------------------------------------------------------------------- runners


def test_runner_no_sleep(monkeypatch: pytest.MonkeyPatch) -> None:
    """The runners do not sleep."""
    monkeypatch.setattr("time.sleep", lambda seconds: pytest.fail("slept"))
    runner = epoch_runner()
    runner.register_hook(OptimizerHook())
    runner.run([batches()], [("train", 1)])
    assert runner.iter == 2


def test_runner_without_train() -> None:
    """A workflow without training is an error instead of an endless loop."""
    with pytest.raises(ValueError, match="train"):
        epoch_runner().run([batches()], [("val", 1)])


def test_runner_after_run_on_error() -> None:
    """`after_run` of the hooks is called after an error too."""
    called = []

    class Seen(Hook):
        def after_train_iter(self, runner: Any) -> None:
            raise RuntimeError("stop")

        def after_run(self, runner: Any) -> None:
            called.append(True)

    runner = epoch_runner()
    runner.register_hook(Seen())
    with pytest.raises(RuntimeError, match="stop"):
        runner.run([batches()], [("train", 1)])
    assert called == [True]


def test_runner_val_step_arguments() -> None:
    """`val_step` gets the optimizer and the arguments of `run` from both runners."""
    got = []

    class Model(Scalar):
        def val_step(self, data: Any, optimizer: Any = None, **kwargs: Any) -> dict[str, Any]:
            got.append((optimizer is not None, kwargs))
            return {}

    model = Model()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    runner = IterBasedRunner(model, optimizer=optimizer, logger=LOGGER, max_iters=1)
    runner.run([batches(), batches()], [("train", 1), ("val", 1)], flag=1)
    assert got == [(True, {"flag": 1})]


def test_runner_by_epoch_under_iterations() -> None:
    """A schedule by epoch under an IterBasedRunner is an error."""
    runner = iter_runner()
    with pytest.raises(CfgTrainError, match="by_epoch"):
        runner.register_lr_hook({"policy": "step", "step": 1, "by_epoch": True})
        runner.run([batches()], [("train", 1)])


def test_runner_configs_kept() -> None:
    """Registering hooks does not change the configs of the caller."""
    cfg = {"policy": "step", "step": 1}
    epoch_runner().register_lr_hook(cfg)
    assert cfg == {"policy": "step", "step": 1}


# ---------------------------------------------------------------------------- hooks


def test_hook_stage_typo() -> None:
    """A hook with a misspelled stage is an error when it is registered."""

    class Wrong(Hook):
        def after_train_epock(self, runner: Any) -> None: ...

    with pytest.raises(CfgTrainError, match="after_train_epoch"):
        epoch_runner().register_hook(Wrong())


def test_hook_policy_case() -> None:
    """The names of policies are not case-sensitive."""
    runner = epoch_runner()
    runner.register_lr_hook({"policy": "cosineannealing", "min_lr": 0})
    assert type(runner.hooks[0]).__name__ == "CosineAnnealingLrUpdaterHook"


def test_hook_one_cycle_start() -> None:
    """A rise without a length is left out."""
    assert OneCycle(pct_start=0.1)(1.0, 0, 10) == 25


def test_hook_restart_periods() -> None:
    """Periods that are too short are an error before the run."""
    runner = iter_runner(iters=10)
    runner.register_lr_hook(
        {
            "policy": "CosineRestart",
            "periods": [5, 2],
            "restart_weights": [1, 1],
            "min_lr": 0,
            "by_epoch": False,
        }
    )
    with pytest.raises(ValueError, match="period"):
        runner.run([batches()], [("train", 1)])
    assert runner.iter == 0


def test_hook_optimizers() -> None:
    """The optimizer hook steps every optimizer of a dict."""
    model = Scalar()
    optimizers = {"a": torch.optim.SGD(model.parameters(), lr=0.1)}
    runner = EpochBasedRunner(model, optimizer=optimizers, logger=LOGGER, max_epochs=1)
    runner.register_hook(OptimizerHook())
    runner.run([batches()], [("train", 1)])
    assert model.w.item() == pytest.approx(0.8)


def test_hook_accumulation_window() -> None:
    """The last accumulation window, if it is shorter, is divided by its own length without a warning each time."""
    runner = epoch_runner()
    runner.register_hook(cfgtrain.runner.GradientCumulativeOptimizerHook(cumulative_iters=2))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        runner.run([batches(3)], [("train", 1)])
    assert runner.model.w.item() == pytest.approx(0.8)


def test_hook_ema_names() -> None:
    """Parameters whose names differ only by a dot and an underscore have averages of their own."""

    class Model(Scalar):
        def __init__(self) -> None:
            super().__init__()
            self.a_b = nn.ParameterDict({"c": nn.Parameter(torch.zeros(1))})
            self.a = nn.ModuleDict({"b": nn.ParameterDict({"c": nn.Parameter(torch.ones(1))})})

    runner = epoch_runner(Model())
    runner.register_hook(EMAHook(warm_up=1))
    runner.register_hook(OptimizerHook())
    runner.run([batches()], [("train", 1)])
    assert [getattr(runner.model, name).tolist() for name in ("ema_a_b_c", "ema_a_b_c_")] == [[0.0], [1.0]]


class Scored(torch.utils.data.Dataset[Any]):
    """One image, and the score of each evaluation."""

    def __init__(self, scores: list[float]) -> None:
        self.scores = iter(scores)

    def __len__(self) -> int:
        return 1

    def __getitem__(self, index: int) -> torch.Tensor:
        return torch.ones(1)

    def evaluate(self, results: Any, logger: Any = None) -> dict[str, float]:
        return {"acc": next(self.scores)}


class Predicting(Scalar):
    """A model that can be evaluated."""

    def forward(self, data: torch.Tensor, return_loss: bool = False) -> torch.Tensor:
        return self.w * data


def evaluated(scores: list[float], **arguments: Any) -> EpochBasedRunner:
    """Run an epoch for each score."""
    runner = epoch_runner(Predicting(), epochs=len(scores), work_dir="work", meta={})
    runner.register_hook(OptimizerHook())
    loader = torch.utils.data.DataLoader(Scored(scores), collate_fn=lambda batch: {"data": batch[0]})
    runner.register_hook(EvalHook(loader, **arguments))
    runner.run([batches()], [("train", 1)])
    return runner


def test_hook_score_zero() -> None:
    """A score of 0 can be the best one."""
    assert evaluated([0.0], save_best="acc").meta["hook_msgs"]["best_score"] == 0
    assert Path("work/best_acc_epoch_1.pth").exists()


def test_hook_mode_after_evaluation() -> None:
    """The model is in training mode again after an evaluation."""
    modes = []

    class Seen(Hook):
        def after_train_epoch(self, runner: Any) -> None:
            modes.append(runner.model.training)

    runner = epoch_runner(Predicting(), meta={})
    runner.register_hook(OptimizerHook())
    loader = torch.utils.data.DataLoader(Scored([1.0]), collate_fn=lambda batch: {"data": batch[0]})
    runner.register_hook(EvalHook(loader))
    runner.register_hook(Seen(), priority="VERY_LOW")
    runner.run([batches()], [("train", 1)])
    assert modes == [True]


def test_hook_registered_evaluation() -> None:
    """EvalHook and DistEvalHook are registered."""
    assert {"EvalHook", "DistEvalHook"} <= {*cfgtrain.runner.HOOKS.module_dict}


def test_hook_loss_scale() -> None:
    """The loss scale may be an integer, and `meta` of the runner None."""
    runner = epoch_runner()
    runner.register_hook(cfgtrain.runner.Fp16OptimizerHook(loss_scale=512))
    runner.run([batches()], [("train", 1)])
    assert runner.iter == 2


def test_hook_log_tensors() -> None:
    """`log_vars` may be tensors, which are fetched at the time of a log line."""
    buffer = LogBuffer()
    buffer.update({"a": torch.tensor(1.0, requires_grad=True)})
    buffer.average(1)
    assert buffer.output["a"] == 1.0


def test_hook_last_line() -> None:
    """An epoch that is shorter than the log interval is logged at its end."""
    logged = []

    class Log(cfgtrain.runner.LoggerHook):
        def log(self, runner: Any) -> None:
            logged.append(dict(runner.log_buffer.output))

    runner = epoch_runner()
    runner.register_hook(OptimizerHook())
    runner.register_hook(Log(interval=10))
    runner.run([batches()], [("train", 1)])
    assert len(logged) == 1


def test_hook_own_logs() -> None:
    """Other files of the work directory stay."""
    runner = epoch_runner(work_dir="work", meta={})
    Path("work/other.py").write_text("")
    Path("work/other.log.json").write_text("")
    runner.timestamp = "now"
    runner.register_logger_hooks(
        {"interval": 1, "hooks": [{"type": "TextLoggerHook", "out_dir": "copies", "keep_local": False}]}
    )
    runner.run([batches()], [("train", 1)])
    left = {each.name for each in Path("work").iterdir()}
    assert {"other.py", "other.log.json"} <= left
    assert "now.log.json" not in left


def test_hook_half_arguments() -> None:
    """All arguments reach the method."""

    class Half(nn.Module):
        fp16_enabled = True

        @auto_fp16(apply_to=("x",))
        def forward(self, x: Any, *rest: Any, last: int = 1) -> Any:
            return x.dtype, rest, last

    assert Half()(torch.ones(1), 2, 3, last=4) == (torch.float16, (2, 3), 4)


# ---------------------------------------------------------------------------- optimizers


def test_optimizer_depthwise() -> None:
    """A convolution with one channel and one group is not depthwise."""
    cfg = {"type": "SGD", "lr": 1.0, "weight_decay": 1.0, "paramwise_cfg": {"dwconv_decay_mult": 7.0}}
    groups = build_optimizer(nn.Sequential(nn.Conv2d(1, 2, 3)), cfg).param_groups
    assert {group["weight_decay"] for group in groups} == {1.0}


def test_optimizer_default_rate() -> None:
    """A multiplier without `lr` applies to the default of the optimizer."""
    cfg = {"type": "Adam", "paramwise_cfg": {"bias_lr_mult": 2.0}}
    rates = {group["lr"] for group in build_optimizer(nn.Sequential(nn.Linear(1, 1)), cfg).param_groups}
    assert rates == {0.001, 0.002}


# ---------------------------------------------------------------------------- checkpoints


def test_checkpoint_no_code() -> None:
    """A checkpoint is read without running code from it."""

    class Evil:
        def __reduce__(self) -> Any:
            return os.mkdir, ("made",)

    torch.save({"state_dict": {}, "meta": Evil()}, "a.pth")
    with pytest.raises(CfgTrainError):
        load_checkpoint(Scalar(), "a.pth")
    assert not Path("made").exists()


def test_checkpoint_nothing_loaded() -> None:
    """Weights that all have other names are an error, with what would make them fit."""
    torch.save(
        {"state_dict": {f"backbone.{name}": each for name, each in TinyNet().state_dict().items()}}, "a.pth"
    )
    with pytest.raises(CfgTrainError, match=r"(?s)do not match at all.*revise_keys"):
        load_checkpoint(TinyNet(), "a.pth", strict=False)


def test_checkpoint_atomic(monkeypatch: pytest.MonkeyPatch) -> None:
    """A save that fails leaves the earlier file as it was."""
    cfgtrain.runner.save_checkpoint(Scalar(), "a.pth")
    before = Path("a.pth").read_bytes()
    monkeypatch.setattr(os, "replace", lambda *a, **k: (_ for _ in ()).throw(OSError("full")))
    with pytest.raises(CfgTrainError, match="full"):
        cfgtrain.runner.save_checkpoint(TinyNet(), "a.pth")
    assert Path("a.pth").read_bytes() == before


def test_checkpoint_digest() -> None:
    """A file that was damaged is refused."""
    cfgtrain.runner.save_checkpoint(Scalar(), "a.pth")
    content = bytearray(Path("a.pth").read_bytes())
    content[len(content) // 2] ^= 1
    Path("a.pth").write_bytes(content)
    with pytest.raises(CfgTrainError):
        load_checkpoint(Scalar(), "a.pth")


def test_checkpoint_meta_kept() -> None:
    """`save_checkpoint` does not change `meta`."""
    meta = {"seed": 1}
    cfgtrain.runner.save_checkpoint(Scalar(), "a.pth", meta=meta)
    assert meta == {"seed": 1}


def test_checkpoint_own_name() -> None:
    """`last_ckpt` in a checkpoint is the file itself."""
    runner = epoch_runner(epochs=2, work_dir="work", meta={})
    runner.register_hook(OptimizerHook())
    runner.register_checkpoint_hook({"interval": 1})
    runner.run([batches()], [("train", 1)])
    meta = torch.load("work/epoch_2.pth", weights_only=True)["meta"]
    assert meta["hook_msgs"]["last_ckpt"].endswith("epoch_2.pth")


def test_checkpoint_kept_number() -> None:
    """`max_keep_ckpts` counts the last checkpoint too."""
    runner = epoch_runner(epochs=7, work_dir="work", meta={})
    runner.register_hook(OptimizerHook())
    runner.register_checkpoint_hook({"interval": 2, "max_keep_ckpts": 2})
    runner.run([batches()], [("train", 1)])
    assert sorted(p.name for p in Path("work").glob("epoch_*.pth")) == ["epoch_6.pth", "epoch_7.pth"]


def test_checkpoint_resume_iterations() -> None:
    """A run by iterations resumes at the next iteration, with `meta` and without CUDA."""
    first = iter_runner(iters=2, work_dir="work", meta={"exp": 1})
    first.register_hook(OptimizerHook())
    first.register_checkpoint_hook({"interval": 2, "by_epoch": False})
    first.run([batches(4)], [("train", 1)])
    second = iter_runner(iters=4, work_dir="work")
    second.resume("work/iter_2.pth")
    assert (second.iter, second.meta["exp"]) == (2, 1)


def test_checkpoint_resume_exact() -> None:
    """A resumed run ends with the same weights, bit for bit, with shuffled data too."""
    from tests.tiny import make_runner, same, squares_loader

    def run(epochs: int, resumed: bool) -> Any:
        torch.manual_seed(0)
        runner = make_runner("epoch", epochs, TinyNet(dropout=0.5), work_dir="work")
        runner.register_hook(OptimizerHook())
        runner.register_checkpoint_hook({"interval": 1})
        if resumed:
            torch.manual_seed(5)
            runner.resume("work/epoch_1.pth")
        runner.run([squares_loader()], [("train", 1)])
        return runner.model.state_dict()

    whole = run(2, False)
    assert same(whole, run(2, True))


def test_checkpoint_extra_state() -> None:
    """`weights_to_cpu` keeps values that are no tensors."""
    assert cfgtrain.runner.weights_to_cpu({"a": torch.ones(1), "b": {"c": 1}})["b"] == {"c": 1}


# ---------------------------------------------------------------------------- data and several processes


def test_parallel_strings() -> None:
    """`collate` merges samples with strings."""
    assert collate([{"name": "a"}, {"name": "b"}]) == {"name": ["a", "b"]}


def test_parallel_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """A process group can be made without CUDA."""
    made: dict[str, Any] = {}
    monkeypatch.setattr(torch.distributed, "init_process_group", lambda **kwargs: made.update(kwargs))
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    for name, value in {
        "RANK": "0",
        "WORLD_SIZE": "1",
        "LOCAL_RANK": "0",
        "MASTER_ADDR": "a",
        "MASTER_PORT": "1",
    }.items():
        monkeypatch.setenv(name, value)
    cfgtrain.runner.init_dist("pytorch")
    assert made["backend"] == "gloo"


def test_parallel_nccl_on_cpu(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    """A run on a CPU sets up gloo."""
    made: dict[str, Any] = {}
    monkeypatch.setattr(
        launch, "join_process_group", lambda launcher, backend, **kwargs: made.update(backend=backend)
    )
    monkeypatch.setattr(launch, "open_store", lambda timeout: SimpleNamespace(set_timeout=lambda each: None))
    for name, value in {"RANK": "0", "WORLD_SIZE": "1", "MASTER_ADDR": "a", "MASTER_PORT": "1"}.items():
        monkeypatch.setenv(name, value)
    with caplog.at_level(logging.INFO, "cfgtrain"):
        launch._set_up("pytorch", torch.device("cpu"), {"backend": "nccl"})
    assert made["backend"] == "gloo"
    assert "nccl" in caplog.text


def test_parallel_each_sample_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of shares of 3 and 2 samples, all 5 are collected, in the order of the samples."""
    monkeypatch.setattr(collect, "gather", lambda value: [[0, 2, 4], [1, 3]])
    assert collect.collect_results_gpu([0, 2, 4], 5) == [0, 1, 2, 3, 4]


def test_parallel_gpu_ids(caplog: pytest.LogCaptureFixture) -> None:
    """The log says that the keys have no effect."""
    with caplog.at_level(logging.INFO):
        apply_process_settings(Config({"gpu_ids": [1], "device_ids": [1]}), LOGGER)
    assert caplog.text.count("has no effect") == 2


def test_parallel_deterministic(monkeypatch: pytest.MonkeyPatch) -> None:
    """With both keys, cuDNN does not try its algorithms."""
    monkeypatch.setattr(torch.backends.cudnn, "benchmark", False)
    apply_process_settings(Config({"deterministic": True, "cudnn_benchmark": True}), LOGGER)
    assert not torch.backends.cudnn.benchmark
    apply_process_settings(Config({"cudnn_benchmark": True}), LOGGER)
    assert torch.backends.cudnn.benchmark


# ---------------------------------------------------------------------------- utilities


def test_utils_timer(monkeypatch: pytest.MonkeyPatch) -> None:
    """A timer does not depend on the clock of the system, which may be set back."""
    timer = cfgtrain.Timer()
    monkeypatch.setattr("time.time", lambda: 0.0)
    assert 0 <= timer.since_start() < 100


def test_utils_timer_block(capsys: pytest.CaptureFixture[str]) -> None:
    """The time of the block is printed, also if a part of it was measured."""
    with cfgtrain.Timer(print_tmpl="{:.2f}") as timer:
        time.sleep(0.02)
        timer.since_last_check()
    assert float(capsys.readouterr().out) >= 0.02


def test_utils_child_logger(capsys: pytest.CaptureFixture[str]) -> None:
    """A logger whose name only begins with that of another one has handlers of its own."""
    cfgtrain.get_logger("abc-differences")
    assert cfgtrain.get_logger("abc-differencesd").handlers
    for name in ("abc-differences", "abc-differencesd"):
        logging.getLogger(name).handlers.clear()


def test_utils_versions() -> None:
    """`parse_version_info` reads post releases."""
    assert cfgtrain.parse_version_info("1.2.3.post1")[:3] == (1, 2, 3)


def test_utils_git_hash(tmp_path: Path) -> None:
    """Outside a repository, `get_git_hash` returns the fallback."""
    assert cfgtrain.get_git_hash(fallback="none") == "none"


def test_utils_progress_tasks() -> None:
    """A tuple of two tasks is one of two tasks, and tasks with their number are that."""
    quiet = io.StringIO()
    assert track_progress(abs, (5, -6), file=quiet) == [5, 6]
    assert track_progress(abs, ([5, -6], 2), file=quiet) == [5, 6]


def test_utils_progress_stream() -> None:
    """A redirected output gets the bar."""
    with redirect_stdout(io.StringIO()) as shown:
        track_progress(abs, [1])
    assert "1/1" in shown.getvalue()


def test_utils_executables_quiet(capfd: pytest.CaptureFixture[str]) -> None:
    """Nothing is printed about a program that is there."""

    @requires_executable(Path(sys.executable).name)
    def answer() -> int:
        return 42

    assert answer() == 42
    assert capfd.readouterr().out == ""
