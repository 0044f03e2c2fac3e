"""What every test is given: a clean process state, one thread, and the command line in-process."""

from __future__ import annotations

import importlib
import logging
import multiprocessing
import random
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from fsspec.implementations.memory import MemoryFileSystem

import cfgtrain.registry.registry as registry_module
from cfgtrain.fileio.client import FileClient
from cfgtrain.fileio.handlers import file_handlers
from cfgtrain.registries import DATASETS, MODELS
from cfgtrain.terminal import log_console

torch.set_num_threads(1)
signal.signal(
    signal.SIGINT, signal.default_int_handler
)  # a shell in the background hands on that it is ignored
for _home in ("cfgtrain.data", "cfgtrain.models", "cfgtrain.optim", "cfgtrain.runner"):
    importlib.import_module(_home)  # fills the registries, which only a first import can do

ROOT = Path(__file__).parent.parent


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip tests that are marked ``gpu`` where there is no CUDA device."""
    if item.get_closest_marker("gpu") and not torch.cuda.is_available():
        pytest.skip("there is no CUDA device")


@pytest.fixture(autouse=True)
def restored(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """Give each test its own folder, and put back what a test may change for the whole process."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NO_COLOR", "1")
    for each in (MODELS, DATASETS):  # a test of the alias of MMCV may have been imported
        monkeypatch.setattr(each, "projects_first", False)
    entries = {
        registry: (dict(registry.module_dict), dict(registry.children))
        for registry in list(registry_module._registries)
    }
    formats = dict(file_handlers)
    backends, prefixes = dict(FileClient._backends), dict(FileClient._prefix_to_backends)
    FileClient._instances.clear()
    MemoryFileSystem.store.clear()
    MemoryFileSystem.pseudo_dirs[:] = [""]
    path, modules = list(sys.path), set(sys.modules)
    root, own = logging.getLogger(), logging.getLogger("cfgtrain")
    handlers, level, own_level = list(root.handlers), root.level, own.level
    start_method = multiprocessing.get_start_method(allow_none=True)
    python, numpy, torch_state = random.getstate(), np.random.get_state(), torch.get_rng_state()
    yield
    for registry, (held, children) in entries.items():
        _restore(registry.module_dict, held)
        _restore(registry.children, children)
    _restore(file_handlers, formats)
    _restore(FileClient._backends, backends)
    _restore(FileClient._prefix_to_backends, prefixes)
    sys.path[:] = path
    for name in set(sys.modules) - modules:
        if Path(getattr(sys.modules[name], "__file__", None) or "/").is_relative_to(tmp_path):
            del sys.modules[name]
    for registry in [each for each in registry_module._registries if each not in entries]:
        # Those of the test itself; a module that remains imported keeps what it has registered.
        _restore(
            registry.module_dict,
            {name: each for name, each in registry.module_dict.items() if _is_in_its_module(each)},
        )
    if multiprocessing.get_start_method(allow_none=True) != start_method:  # init_dist() sets it
        multiprocessing.set_start_method(start_method, force=True)
    root.handlers[:] = handlers
    root.setLevel(level)
    own.setLevel(own_level)
    random.setstate(python)
    np.random.set_state(numpy)
    torch.set_rng_state(torch_state)


def _is_in_its_module(entry: Any) -> bool:
    module = sys.modules.get(getattr(entry, "__module__", ""))
    return getattr(module, getattr(entry, "__name__", ""), None) is entry


def _restore(table: dict[str, Any], held: dict[str, Any]) -> None:
    table.clear()
    table.update(held)


class Ran(NamedTuple):
    """What a command line came to."""

    code: int
    out: str
    err: str


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Callable[..., Ran]:
    """Run ``cfgtrain`` in this process, as its entry point does."""
    from cfgtrain_cli.app import main

    def call(*words: object) -> Ran:
        log_console.cache_clear()  # it holds the stderr of an earlier test
        capsys.readouterr()
        with pytest.raises(SystemExit) as exit_info:
            main([str(word) for word in words])
        captured = capsys.readouterr()
        code = exit_info.value.code
        return Ran(code if isinstance(code, int) else int(code is not None), captured.out, captured.err)

    return call


@pytest.fixture
def write(tmp_path: Path) -> Callable[[str, str], Path]:
    """Write a file below the test's folder."""

    def call(name: str, text: str) -> Path:
        file = tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
        return file

    return call


@pytest.fixture(scope="session")
def trained_digits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The work directory of LeNet-5 that was trained on the digits for two epochs; do not write to it."""
    from cfgtrain.config import Config
    from cfgtrain.train import train

    cfg = Config.fromfile(ROOT / "configs" / "digits" / "lenet5.py")
    cfg.runner.max_epochs = 2
    cfg.device = "cpu"
    cfg.work_dir = str(tmp_path_factory.mktemp("digits") / "run")
    train(cfg)
    return Path(cfg.work_dir)


@pytest.fixture
def configs() -> Path:
    """The folder of the configs that come with the repository."""
    return ROOT / "configs"
