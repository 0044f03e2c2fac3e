"""Where ``cfgtrain migrate`` finds the names of MMCV."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from cfgtrain.compat.migrate.names import counterpart

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
