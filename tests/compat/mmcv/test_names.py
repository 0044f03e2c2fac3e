"""Every module and public name of MMCV 1.7.2 under the alias.

The list, ``tests/data/mmcv_1_7_2_names.json``, was made by parsing the files of MMCV 1.7.2; its key ``about`` says
what it contains. It has names only.
"""

from __future__ import annotations

import copy
import doctest
import importlib
import inspect
import json
import logging
import pickle
import pkgutil
import pydoc
import runpy
import warnings
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from unittest.mock import patch

import pytest
import torch

import cfgtrain.compat.mmcv.alias as alias
from cfgtrain.compat.mmcv.missing import MISSING_NAMES
from cfgtrain.compat.mmcv.names import MOVED, NAMED_LIKE_MODULES, UNCHANGED
from cfgtrain.errors import CompatError

LIST = json.loads((Path(__file__).parents[2] / "data" / "mmcv_1_7_2_names.json").read_text(encoding="utf-8"))
NAMES = LIST["modules"]
MODULES = sorted(alias._SOURCES)


@pytest.mark.parametrize("module", NAMES)
def test_every_public_name_of_mmcv_is_there(module: str) -> None:
    """A name is the object that one of the listed modules of cfgtrain has, or it has a reason in the table."""
    aliased = importlib.import_module(module)
    missing = MISSING_NAMES.get(module.removeprefix("mmcv").removeprefix("."), {})
    for name in NAMES[module]:
        value = getattr(aliased, name)
        assert name in aliased.__all__
        if name in missing:
            with pytest.raises(ImportError, match="is not in cfgtrain"):
                value()
            continue
        found = [
            getattr(importlib.import_module(source.path), source.own(name))
            for source in alias._SOURCES[module]
            if name in source.names()
        ]
        assert any(value is each for each in found)
        assert not isinstance(value, type(alias))


def test_modules_of_the_list_are_those_of_the_tables() -> None:
    """Each module of the list is in one of the tables, and none is in both."""
    listed = {name.removeprefix("mmcv").removeprefix(".") for name in NAMES}
    assert listed <= {*UNCHANGED, *MOVED}
    assert set(UNCHANGED) & set(MOVED) == set()


@pytest.mark.parametrize("module", MODULES)
def test_every_exported_name_exists(module: str) -> None:
    """Every name in ``__all__`` and ``dir`` of an aliased module can be read."""
    aliased = importlib.import_module(module)
    assert [name for name in {*aliased.__all__, *dir(aliased)} if not hasattr(aliased, name)] == []


def test_functions_named_like_their_module_are_listed() -> None:
    """``mmcv.parallel.collate`` is the function, and the list of such names is complete."""
    found = set()
    for full in MODULES:
        package, _, name = full.rpartition(".")
        if package and any(name in source.names() for source in alias._SOURCES[package]):
            found.add(full.removeprefix("mmcv."))
    assert found == set(NAMED_LIKE_MODULES)
    importlib.import_module("mmcv.parallel.collate")
    mmcv = importlib.import_module("mmcv")
    assert inspect.isfunction(mmcv.parallel.collate)
    assert inspect.isfunction(mmcv.ops.nms)


def test_version() -> None:
    """Version checks of programs see MMCV 1.7.2."""
    mmcv = importlib.import_module("mmcv")
    assert mmcv.__version__ == importlib.import_module("mmcv.version").__version__ == "1.7.2"
    assert mmcv.version_info == (1, 7, 2)
    assert mmcv.digit_version(mmcv.__version__) >= mmcv.digit_version("1.3.17")
    assert torch.__version__ == mmcv.TORCH_VERSION
    assert torch.cuda.is_available() == mmcv.IS_CUDA_AVAILABLE


def test_a_patched_name_reaches_the_real_module() -> None:
    """``patch`` replaces a name where cfgtrain's code looks it up, and restores it."""
    real = importlib.import_module("cfgtrain.runner.hooks.optimizer")
    before = real.clip_grad
    with patch("mmcv.runner.hooks.optimizer.clip_grad") as patched:
        assert real.clip_grad is patched
    assert real.clip_grad is before


def test_a_name_in_several_modules_is_patched_in_each() -> None:
    """A function that several modules of cfgtrain use is replaced in all of them."""
    load, schemes = (importlib.import_module(f"cfgtrain.checkpoint.{name}") for name in ("load", "schemes"))
    before = schemes.CheckpointLoader
    assert load.CheckpointLoader is before
    with patch("mmcv.runner.checkpoint.CheckpointLoader") as patched:
        assert load.CheckpointLoader is schemes.CheckpointLoader is patched
    assert load.CheckpointLoader is schemes.CheckpointLoader is before


def test_a_missing_name_can_be_patched() -> None:
    """A test of a project may replace an operator that cfgtrain does not have, and gets the stand-in back."""
    ops = importlib.import_module("mmcv.ops")
    with patch("mmcv.ops.RoIAlign") as patched:
        assert ops.RoIAlign is patched
    with pytest.raises(CompatError):
        ops.RoIAlign(7)


def test_tools_can_inspect_what_is_missing() -> None:
    """``help``, ``inspect`` and doctest read modules with missing names."""
    cnn = importlib.import_module("mmcv.cnn")
    assert "RFSearchHook" in pydoc.render_doc(cnn)
    assert inspect.isclass(dict(inspect.getmembers(cnn))["RFSearchHook"])
    finder = doctest.DocTestFinder()
    assert isinstance(finder.find(cnn), list)
    assert isinstance(doctest.testmod(importlib.import_module("mmcv.ops")).failed, int)


def test_what_is_installed() -> None:
    """``importlib.metadata`` knows the version of the alias; a distribution that is not installed stays unknown."""
    assert metadata.version("mmcv") == "1.7.2"
    assert "mmcv" in {each.name for each in metadata.distributions()}
    with pytest.raises(metadata.PackageNotFoundError):
        metadata.version("mmcv-full")


def test_modules_are_copied_and_pickled_by_their_names() -> None:
    """A copy of an aliased module, or an unpickled one, is the module."""
    runner = importlib.import_module("mmcv.runner")
    assert copy.deepcopy(runner) is pickle.loads(pickle.dumps(runner)) is runner


def test_a_module_has_no_code_to_run() -> None:
    """``python -m mmcv.version`` says so."""
    with (
        pytest.raises(ImportError, match="No code object"),
        warnings.catch_warnings(action="ignore", category=RuntimeWarning),  # it is imported already
    ):
        runpy.run_module("mmcv.version")
    loader = importlib.import_module("mmcv").__loader__
    assert loader.is_package("mmcv.runner")
    assert loader.get_filename("mmcv.version").endswith("version.py")


def test_setting_and_deleting(monkeypatch: pytest.MonkeyPatch) -> None:
    """A new name is set on the first module; deleting it removes it there."""
    mmcv_runner = importlib.import_module("mmcv.runner")
    real = importlib.import_module("cfgtrain.runner")
    monkeypatch.setattr(mmcv_runner, "answer", 42, raising=False)
    assert real.answer == 42
    del mmcv_runner.answer
    assert not hasattr(real, "answer")
    with pytest.raises(AttributeError, match="answer"):
        del mmcv_runner.answer
    mmcv_runner.answer = 42  # monkeypatch deletes it


def test_unknown_names_and_modules() -> None:
    """A name that MMCV does not have is an error as with any module."""
    mmcv = importlib.import_module("mmcv")
    assert not hasattr(mmcv.ops, "RoiAlignn")
    with pytest.raises(AttributeError, match="has no attribute"):
        _ = mmcv.Confg
    with pytest.raises(ModuleNotFoundError, match=r"mmcv\.nothing"):
        importlib.import_module("mmcv.nothing")
    assert find_spec("mmcv._ext") is None


def test_missing_operators_raise_on_use() -> None:
    """A missing operator can be imported and inherited from; using it says what to do."""
    ops = importlib.import_module("mmcv.ops")
    assert importlib.import_module("mmcv.ops.roi_align").RoIAlign is ops.RoIAlign
    assert not isinstance(1, ops.RoIAlign)
    with pytest.raises(ImportError, match=r"mmcv.ops.RoIAlign is not.*type='torchvision.ops.RoIAlign'"):
        ops.RoIAlign(7, 1.0)
    own = type("Own", (ops.Voxelization,), {})
    with pytest.raises(CompatError, match="compiled operator"):
        own()
    with pytest.raises(CompatError, match="compiled operator"):
        ops.Voxelization.apply(1)


def test_names_that_a_module_of_mmcv_only_imports() -> None:
    """Projects import some names from where MMCV itself imports them; they are the same objects."""
    for module, names in {
        "cnn.bricks.transformer": "build_dropout TRANSFORMER_LAYER BaseModule ConfigDict",
        "image.io": "is_str",
        "runner.hooks.lr_updater": "HOOKS Hook",
        "runner.hooks.logger.wandb": "LoggerHook master_only",
        "utils": "CUDA_HOME",
    }.items():
        aliased = importlib.import_module(f"mmcv.{module}")
        assert [name for name in names.split() if not hasattr(aliased, name)] == []
    real = importlib.import_module("cfgtrain.cnn.bricks.drop")
    assert importlib.import_module("mmcv.cnn.bricks.transformer").build_dropout is real.build_dropout


def test_wrappers_of_layers_in_ops() -> None:
    """``mmcv.ops`` has the wrappers of layers too, also under their deprecated names."""
    ops, cnn = importlib.import_module("mmcv.ops"), importlib.import_module("mmcv.cnn")
    deprecated = importlib.import_module("mmcv.ops.deprecated_wrappers")
    for name in ("Conv2d", "ConvTranspose2d", "Linear", "MaxPool2d"):
        assert getattr(ops, name) is getattr(cnn, name) is getattr(deprecated, f"{name}_deprecated")


def test_loggers_that_are_set_up() -> None:
    """``logger_initialized`` has the names of the loggers with handlers."""
    module = importlib.import_module("mmcv.utils.logging")
    assert "of-this-test" not in module.logger_initialized
    module.get_logger("of-this-test")
    assert module.logger_initialized["of-this-test"] is True
    assert "of-this-test" in list(module.logger_initialized)
    logging.getLogger("of-this-test").handlers.clear()
    assert len(module.logger_initialized) == len(list(module.logger_initialized))
    with pytest.raises(KeyError):
        module.logger_initialized["of-this-test"]


def test_compiled_extensions_are_absent() -> None:
    """A module that loads an extension can be imported; calling a function of it says that there is none."""
    loader = importlib.import_module("mmcv.utils.ext_loader")
    assert loader.check_ops_exist() is False
    extension = loader.load_ext("_ext", ["roi_align_forward"])
    with pytest.raises(ImportError, match=r"mmcv\._ext\.roi_align_forward is compiled"):
        extension.roi_align_forward(1, 2)


def test_objects_are_the_same_under_both_names() -> None:
    """Classes, registries and scopes hold across both names, and objects can be pickled."""
    cnn, real = importlib.import_module("mmcv.cnn"), importlib.import_module("cfgtrain.cnn")
    assert cnn.MODELS is real.MODELS
    layer = cnn.PLUGIN_LAYERS.build(
        {"type": "mmcv.ConvModule", "in_channels": 1, "out_channels": 1, "kernel_size": 1}
    )
    assert type(layer) is real.ConvModule
    assert isinstance(pickle.loads(pickle.dumps(layer)), type(layer))
    hook = pickle.loads(b"cmmcv.runner.hooks.hook\nHook\n.")
    assert hook is importlib.import_module("cfgtrain.runner").Hook


def test_modules_are_ordinary_modules() -> None:
    """Reloading, listing and inspecting work, and ``import *`` gives the public names."""
    runner = importlib.import_module("mmcv.runner")
    assert importlib.reload(runner) is runner
    mmcv = importlib.import_module("mmcv")
    names = {each.name for each in pkgutil.walk_packages(mmcv.__path__, "mmcv.")}
    assert {"mmcv.runner", "mmcv.runner.hooks.logger.text"} <= names
    assert find_spec("mmcv.cnn").origin == importlib.import_module("cfgtrain.cnn").__file__
    hook = importlib.import_module("mmcv.runner.hooks.hook")
    assert "class Hook" in inspect.getsource(hook)
    found: dict[str, object] = {}
    exec("from mmcv import *", found)
    assert {"Config", "imread", "FileClient", "VideoReader"} <= set(found)


def test_small_functions_of_mmcv() -> None:
    """The functions that only the alias has return what their docstrings say."""
    updater = importlib.import_module("mmcv.runner.hooks.lr_updater")
    assert updater.get_position_from_periods(10, [5, 10, 20]) == 2
    with pytest.raises(ValueError, match="after the end"):
        updater.get_position_from_periods(20, [20])
    sgd = torch.optim.SGD([torch.zeros(1)], lr=1)
    assert updater.format_param("lr", sgd, 0.5) == [0.5]
    assert updater.annealing_linear(1, 3, 0.5) == 2
    resnet, vgg = importlib.import_module("mmcv.cnn.resnet"), importlib.import_module("mmcv.cnn.vgg")
    assert resnet.conv3x3(2, 3, stride=2)(torch.zeros(1, 2, 8, 8)).shape == (1, 3, 4, 4)
    assert resnet.conv3x3(2, 3).bias is None
    assert vgg.conv3x3(2, 3, 2)(torch.zeros(1, 2, 8, 8)).shape == (1, 3, 8, 8)
    assert vgg.conv3x3(2, 3).bias is not None
    block = torch.nn.Sequential(torch.nn.Linear(1, 1), torch.nn.Linear(1, 1))
    importlib.import_module("mmcv.cnn.bricks.context_block").last_zero_init(block)
    assert block[1].weight == 0
    assert block[0].weight != 0
    handler = importlib.import_module("mmcv.fileio.handlers.json_handler")
    assert handler.set_default({1}) == [1]
    with pytest.raises(TypeError):
        handler.set_default(object())
    device = importlib.import_module("mmcv.device")
    assert device.get_device() in ("cpu", "cuda", "mps")
    utils = importlib.import_module("mmcv.utils")
    assert utils.jit(coderize=True)(len) is len
    wrappers = importlib.import_module("mmcv.cnn.bricks.wrappers")
    assert wrappers.obsolete_torch_version("1.4.1", (1, 4))
    assert not wrappers.obsolete_torch_version((2, 6, 0), (1, 4))
    empty = torch.zeros(0, 2, requires_grad=True)
    wrappers.NewEmptyTensorOp.apply(empty, (0, 5)).sum().backward()
    assert empty.grad.shape == (0, 2)
