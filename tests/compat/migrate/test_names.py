"""Where ``cfgtrain migrate`` finds the names of MMCV."""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
from pathlib import Path

from cfgtrain.compat.migrate.module_imports import NOT_ATTRIBUTES
from cfgtrain.compat.migrate.names import Counterpart, counterpart

NAMES = json.loads((Path(__file__).parents[2] / "data" / "mmcv_1_7_2_names.json").read_text())["modules"]
COUNTERPARTS = {
    found for module, names in NAMES.items() for name in names if (found := counterpart(module, name))
}


def test_migrated_code_does_not_use_the_alias() -> None:
    """No name is imported from the package that makes ``import mmcv`` work: it would hide imports that were missed."""
    places = {found.module for found in COUNTERPARTS}
    assert "cfgtrain.compat.legacy.build" in places
    assert [place for place in places if place.startswith("cfgtrain.compat.mmcv")] == []
    legacy = sorted(place for place in places if place.startswith("cfgtrain.compat"))
    code = f"import sys, {', '.join(legacy)}; sys.exit('cfgtrain.compat.mmcv' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_paths_are_attributes_of_cfgtrain() -> None:
    """``import cfgtrain`` is enough for a path such as ``cfgtrain.runner.Hook``, except for the listed modules."""
    places = sorted(
        {found.module for found in COUNTERPARTS if found.module.startswith("cfgtrain.")}, reverse=True
    )
    listed = [place for place in places if place.startswith(NOT_ATTRIBUTES)]
    paths = [place for place in places if place not in listed]
    code = f"import cfgtrain, operator; operator.attrgetter(*{[path.partition('.')[2] for path in paths]})(cfgtrain)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
    assert len(listed) > len(NOT_ATTRIBUTES) - 1


def test_private_names() -> None:
    """A private name is found in the package that MMCV exports it from, and in the module that has it."""
    for module in ("mmcv.runner", "mmcv.runner.checkpoint"):
        found = counterpart(module, "_load_checkpoint")
        assert found is not None
        assert hasattr(importlib.import_module(found.module), found.name)
    assert counterpart("mmcv.runner", "_load_chekpoint") is None


def test_modules_are_not_mixed_up() -> None:
    """A submodule of a package of MMCV is not a package of cfgtrain with the same name."""
    assert counterpart("mmcv.runner", "checkpoint") != Counterpart("cfgtrain", "checkpoint")
    assert counterpart("mmcv.cnn.bricks", "conv_module") == Counterpart("cfgtrain.cnn.bricks.conv_module", "")
