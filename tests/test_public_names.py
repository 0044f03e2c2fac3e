"""Public names, and what importing them loads."""

from __future__ import annotations

import importlib
import pkgutil
import subprocess
import sys

import pytest

import cfgtrain

PACKAGES = [m.name for m in pkgutil.walk_packages(cfgtrain.__path__, "cfgtrain.") if m.ispkg]


@pytest.mark.parametrize("package", PACKAGES)
def test_all_names_exist(package: str) -> None:
    """Every name in ``__all__`` exists, once, and none of them is also the name of a module."""
    module = importlib.import_module(package)
    modules = {m.name for m in pkgutil.iter_modules(module.__path__)}
    assert len(set(module.__all__)) == len(module.__all__)
    assert [name for name in module.__all__ if not hasattr(module, name)] == []
    assert sorted(set(module.__all__) & modules) == []


@pytest.mark.parametrize(
    "name",
    [
        "Config",
        "ConfigDict",
        "DictAction",
        "Registry",
        "build_from_cfg",
        "load",
        "dump",
        "imresize",
        "FileClient",
    ],
)
def test_the_root_has_the_names_of_mmcv(name: str) -> None:
    """Every name in MMCV's root can be imported from the root."""
    assert getattr(cfgtrain, name) is not None
    assert name in dir(cfgtrain)


def test_the_root_knows_its_packages_and_version() -> None:
    """Packages are attributes of the root, and the version is valid."""
    assert cfgtrain.runner.EpochBasedRunner.__name__ == "EpochBasedRunner"
    assert cfgtrain.__version__[0].isdigit()


def test_a_wrong_name_is_suggested() -> None:
    """An unknown name is an AttributeError that suggests the nearest one."""
    with pytest.raises(AttributeError, match="Did you mean 'Config'"):
        _ = cfgtrain.Confg
    assert not hasattr(cfgtrain, "__wrapped__")


def _loaded_after(code: str) -> set[str]:
    script = f"import sys\n{code}\nprint(*(m for m in ('torch', 'numpy', 'cv2', 'rich', 'yaml') if m in sys.modules))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return set(done.stdout.splitlines()[-1].split()) if done.stdout.strip() else set()


def test_importing_the_root_loads_nothing() -> None:
    """``import cfgtrain`` loads no library."""
    assert _loaded_after("import cfgtrain") == set()


def test_a_config_is_loaded_without_torch() -> None:
    """Importing Config loads neither torch nor NumPy nor OpenCV."""
    assert _loaded_after("from cfgtrain import Config; Config(dict(a=1)).pretty_text") <= {"yaml"}


@pytest.mark.parametrize("words", [["--help"], ["train", "--help"], ["print-config", "CONFIG"]])
def test_light_commands_do_not_load_heavy_libraries(words: list[str], configs: object) -> None:
    """``--help`` and ``print-config`` never load torch, NumPy or OpenCV."""
    words = [f"{configs}/digits/lenet5.py" if word == "CONFIG" else word for word in words]
    code = f"from cfgtrain_cli.app import main\ntry: main({words!r})\nexcept SystemExit: pass"
    assert _loaded_after(code) & {"torch", "numpy", "cv2"} == set()


@pytest.mark.parametrize(
    "package", ["evaluation", "checkpoint", "cnn", "data", "models", "optim", "runner.hooks"]
)
def test_a_package_can_be_imported_first(package: str) -> None:
    """A package needs no other import before it."""
    subprocess.run([sys.executable, "-c", f"import cfgtrain.{package}"], check=True)
