from __future__ import annotations

from pathlib import Path

import pytest
import torch
from tiny import Scalar

from cfgtrain.checkpoint.load import load_checkpoint, read_checkpoint
from cfgtrain.checkpoint.save import save_checkpoint
from cfgtrain.checkpoint.schemes import checkpoint_exists, local_checkpoint
from cfgtrain.errors import ArgumentError, BackendError, CheckpointError
from cfgtrain.fileio import FileClient


@pytest.fixture
def remote() -> str:
    """URI of a checkpoint in a file backend."""
    model = Scalar()
    model.w.data.fill_(3.0)
    save_checkpoint(model, "a.pth", resume={"position": {}})
    FileClient(prefix="memory").put(Path("a.pth").read_bytes(), "memory://weights/a.pth")
    return "memory://weights/a.pth"


def test_weights_are_loaded_from_a_file_backend(remote: str) -> None:
    """Every scheme that FileClient knows can be loaded from, and a damaged file is named by its URI."""
    model = Scalar()
    load_checkpoint(model, remote, strict=True)
    assert model.w.item() == 3.0
    store = FileClient(prefix="memory")
    store.put(bytes(store.get(remote))[:-1], remote)
    with pytest.raises(CheckpointError, match=f"The checkpoint {remote} is damaged"):
        read_checkpoint(remote)


def test_file_url_is_a_local_path() -> None:
    """A ``file://`` URL is opened and checked like a path."""
    torch.save({"w": torch.tensor(2.0)}, "w.pth")
    url = Path("w.pth").absolute().as_uri()
    assert read_checkpoint(url)["w"] == 2.0
    assert checkpoint_exists(url)
    assert not checkpoint_exists(url + "2")


def test_local_file_is_checked_and_remote_file_is_not(remote: str) -> None:
    """Whether a local file exists is known before it is loaded; a remote one is an error only then."""
    assert checkpoint_exists("a.pth")
    assert not checkpoint_exists("b.pth")
    assert checkpoint_exists("memory://weights/b.pth")
    with (
        pytest.raises(CheckpointError, match=r"memory://weights/b\.pth cannot be downloaded"),
        local_checkpoint("memory://weights/b.pth"),
    ):
        pass


def test_unknown_scheme_is_an_error() -> None:
    """A scheme that no backend reads is refused with a suggestion, as is a URI that pathlib has changed."""
    with pytest.raises(BackendError, match=r"reads htps://.*Did you mean 'https'"):
        checkpoint_exists("htps://host/a.pth")
    with pytest.raises(ArgumentError, match="that pathlib has changed"):
        checkpoint_exists(Path("https://host/a.pth"))
