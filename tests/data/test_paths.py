from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cfgtrain import Config
from cfgtrain.data import DATASETS
from cfgtrain.data.builder import build_dataset
from cfgtrain.data.paths import existing_path, path_problems, resolve_paths
from cfgtrain.errors import ArgumentError, ArgumentTypeError


class Reader:
    """A dataset with two paths."""

    PATHS = ("root", "files")

    def __init__(self, root: str, files: Any = ()) -> None:
        self.root, self.files = root, files


class Outer:
    """A dataset around others."""

    def __init__(self, dataset: Any = None, datasets: Any = ()) -> None:
        self.dataset, self.datasets = dataset, datasets


@pytest.fixture(autouse=True)
def registered() -> None:
    DATASETS.register_module("Reader", module=Reader)
    DATASETS.register_module("Outer", module=Outer)


@pytest.fixture
def load(write: Callable[[str, str], Path]) -> Callable[[str], Any]:
    """Load ``data.train`` of a config in the folder ``project/configs``."""

    def call(text: str) -> Any:
        return Config.fromfile(write("project/configs/cfg.py", f"data = dict(train={text})")).data.train

    return call


def here(*folders: str) -> None:
    for folder in folders:
        Path(folder).mkdir(parents=True, exist_ok=True)


def test_the_folder_of_the_config(load: Any, tmp_path: Path) -> None:
    """A path that is only in the folder of the config is replaced by its absolute path, whose origin stays."""
    here("project/configs/pets", "project/data")
    cfg = load("dict(type='Reader', root='pets', files=['../data', 'pets'])")
    assert not list(path_problems(cfg))
    resolve_paths(cfg)
    folder = tmp_path / "project" / "configs"
    assert cfg == {
        "type": "Reader",
        "root": f"{folder}/pets",
        "files": [f"{folder}/../data", f"{folder}/pets"],
    }
    assert cfg._trace.origin("root").file == str(folder / "cfg.py")


def test_the_current_folder_comes_first(load: Any) -> None:
    """A path that is in the current folder is left as it is, and so is an absolute one."""
    here("pets", "project/configs/pets")
    cfg = load(f"dict(type='Reader', root='pets', files={str(Path('pets').absolute())!r})")
    before = cfg.deepcopy()
    resolve_paths(cfg)
    assert cfg == before


def test_absolute_paths(load: Any, tmp_path: Path) -> None:
    """On demand a path in the current folder is replaced, too; one below the home folder and a missing one stay."""
    here("pets", "project/configs/data")
    cfg = load("dict(type='Reader', root='pets', files=['data', 'gone', '~'])")
    resolve_paths(cfg, absolute=True)
    assert cfg.root == str(tmp_path / "pets")
    assert cfg.files == [str(tmp_path / "project/configs/data"), "gone", "~"]


def test_the_base_config_that_set_it(write: Any, tmp_path: Path) -> None:
    """The folder is that of the file that set the path, not of the file that inherits it."""
    here("shared/pets")
    write("shared/base.py", "data = dict(train=dict(type='Reader', root='pets'))")
    cfg = Config.fromfile(write("mine/cfg.py", "_base_ = '../shared/base.py'"))
    resolve_paths(cfg.data.train)
    assert cfg.data.train.root == str(tmp_path / "shared" / "pets")


def test_inner_datasets(load: Any, tmp_path: Path) -> None:
    """The paths of datasets inside others are found and checked, too."""
    here("project/configs/pets")
    cfg = load(
        "dict(type='Outer', dataset=dict(type='Outer', datasets=[dict(type='Reader', root='pets'), "
        "dict(type='Reader', root='pests')]))"
    )
    (problem,) = path_problems(cfg)
    assert problem.key == "data.train.dataset.datasets[1].root"
    assert problem.hint == "Did you mean 'pets'?"
    build_dataset(cfg)
    assert cfg.dataset.datasets[0].root == str(tmp_path / "project/configs/pets")


def test_what_is_no_path_of_a_file(load: Any) -> None:
    """URIs, None and values of other types are left alone; so are arguments that are not in PATHS."""
    cfg = load("dict(type='Reader', root='s3://bucket/pets', files=None)")
    assert not list(path_problems(cfg))
    assert not list(path_problems(load("dict(type='Reader', root=3)")))
    assert not list(path_problems(load("dict(type='Outer', dataset='pets')")))
    assert not list(path_problems(load("dict(type='Unknown', root='pets')")))


# path, message, hint
MISSING = [
    (
        "dta/train",
        "root is 'dta/train', which exists neither in HERE nor in CONFIGS.",
        "Did you mean 'data'?",
    ),
    ("data/trian", "", "Did you mean 'data/train'?"),
    ("data/0/1", "", "'data' contains 'train', 'val'."),
    ("pts", "", "Did you mean 'pets'?"),  # in the folder of the config
    ("/nowhere/pets", "root is '/nowhere/pets', which does not exist.", ""),
    ("", "root is empty: it must be a path. Write '.' for the current folder.", ""),
]


@pytest.mark.parametrize(("path", "told", "hint"), MISSING)
def test_a_missing_path(path: str, told: str, hint: str, load: Any, tmp_path: Path) -> None:
    """The error has the place, says where the path was looked for, and the nearest names there."""
    here("data/train", "data/val", "project/configs/pets")
    (problem,) = path_problems(load(f"dict(type='Reader', root={path!r})"))
    told = told.replace("HERE", str(tmp_path)).replace("CONFIGS", str(tmp_path / "project/configs"))
    assert told in problem.message
    assert problem.hint == hint
    assert problem.key == "data.train.root"
    assert str(problem.origin) == f"{tmp_path}/project/configs/cfg.py:1"


def test_home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, load: Any) -> None:
    """``~`` is the home folder."""
    here("home/pets")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert not list(path_problems(load("dict(type='Reader', root='~/pets')")))
    assert existing_path("root", "~/pets") == tmp_path / "home" / "pets"


def test_existing_path(tmp_path: Path) -> None:
    """It must exist and be what is wanted."""
    here("pets")
    Path("list.txt").touch()
    assert existing_path("root", "pets", "folder") == Path("pets")
    with pytest.raises(ArgumentError, match=r"root is 'pet', which does not exist in .*Did you mean 'pets'"):
        existing_path("root", "pet")
    with pytest.raises(ArgumentError, match="file must be a file, and pets is a folder"):
        existing_path("file", "pets", "file")
    with pytest.raises(ArgumentError, match=r"root must be a folder, and list.txt is a file"):
        existing_path("root", Path("list.txt"), "folder")
    with pytest.raises(ArgumentTypeError, match="root must be a path, not 3"):
        existing_path("root", 3)
    with pytest.raises(ArgumentError, match="root is empty"):
        existing_path("root", "")
