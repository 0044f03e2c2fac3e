from __future__ import annotations

import logging
from pathlib import Path

import pytest

from cfgtrain.config import Config
from cfgtrain.experiment.changes import Changes
from cfgtrain.experiment.saved_config import saved_text


def test_an_absolute_path_is_no_change(caplog: pytest.LogCaptureFixture, tmp_path: Path) -> None:
    """Checkpoints of earlier versions have relative paths of data; the same path is not reported, another one is."""
    before = Config({"data": {"train": {"type": "A", "root": "pets"}, "val": {"type": "A", "root": "vals"}}})
    here = Path.cwd()
    now = Config(
        {
            "data": {
                "train": {"type": "A", "root": str(here / "pets")},
                "val": {"type": "A", "root": str(tmp_path / "other" / "vals")},
            }
        }
    )
    changes = Changes(before.pretty_text, saved_text(now))
    with caplog.at_level(logging.INFO):
        changes.log(logging.getLogger("cfgtrain"))
    (told,) = caplog.messages
    assert told.startswith("data.val.root: 'vals' in the checkpoint's config")
    assert changes.touch("data")
