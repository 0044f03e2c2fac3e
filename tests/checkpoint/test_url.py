"""Load weights from a URL, here of a local file."""

from __future__ import annotations

import os
import pickle
from pathlib import Path

import pytest
import torch

from cfgtrain.utils import load_url


def test_weights_are_downloaded_once(tmp_path: Path) -> None:
    """Later they are loaded from the copy, which is kept in the folder."""
    torch.save({"w": torch.ones(2)}, "w.pth")
    url = Path("w.pth").absolute().as_uri()
    for _ in range(2):
        loaded = load_url(url, str(tmp_path / "cache"), progress=False)
        assert torch.equal(loaded["w"], torch.ones(2))
        Path("w.pth").unlink(missing_ok=True)
    assert (tmp_path / "cache" / "w.pth").exists()


def test_code_is_not_run(tmp_path: Path) -> None:
    """A file that contains more than weights is refused."""

    class Evil:
        def __reduce__(self) -> tuple[object, ...]:
            return os.mkdir, ("ran",)

    torch.save({"w": Evil()}, "w.pth")
    with pytest.raises(pickle.UnpicklingError):
        load_url(Path("w.pth").absolute().as_uri(), str(tmp_path / "cache"), progress=False)
    assert not Path("ran").exists()
