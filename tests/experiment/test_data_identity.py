from __future__ import annotations

import logging
from types import SimpleNamespace
from typing import Any

import pytest

from cfgtrain.errors import CheckpointError
from cfgtrain.experiment.data_identity import check_same_data, fingerprints

LOGGER = logging.getLogger("cfgtrain.tests")


def meta(classes: Any, **prints: str) -> dict[str, Any]:
    return {"metainfo": {"classes": classes}, "fingerprints": prints}


def test_fingerprints() -> None:
    """They are those of the datasets that have one, by part."""
    loaders = {
        "train": SimpleNamespace(dataset=SimpleNamespace(fingerprint="abc")),
        "val": SimpleNamespace(dataset=[1, 2]),
        "test": SimpleNamespace(),
    }
    assert fingerprints(loaders) == {"train": "abc"}


@pytest.mark.parametrize("saved", [{}, {"metainfo": {}}, {"metainfo": None, "fingerprints": None}])
def test_a_checkpoint_that_does_not_say(saved: dict[str, Any], caplog: pytest.LogCaptureFixture) -> None:
    """Nothing is compared with a checkpoint that another program has saved."""
    check_same_data(saved, meta(["a"], train="x"), "ckpt.pth", LOGGER)
    assert caplog.messages == []


def test_the_same_data(caplog: pytest.LogCaptureFixture) -> None:
    """Nothing is said, also if a part has been added or removed."""
    check_same_data(meta(["a"], train="x", val="y"), meta(["a"], train="x", test="z"), "ckpt.pth", LOGGER)
    assert caplog.messages == []


def test_changed_data(caplog: pytest.LogCaptureFixture) -> None:
    """A warning names the part and both fingerprints."""
    with caplog.at_level(logging.WARNING):
        check_same_data(meta(["a"], train="0123456789"), meta(["a"], train="fedcba9876"), "ckpt.pth", LOGGER)
    assert caplog.messages == [
        "data.train has changed since ckpt.pth was saved: its fingerprint was 01234567 and is fedcba98."
    ]


@pytest.mark.parametrize(
    ("before", "after", "told"),
    [
        (["a", "b"], ["a", "c"], "other classes: 'b' are gone and 'c' are new."),
        (["a", "b"], ["b", "a"], "other classes: their order was 'a', 'b' and is 'b', 'a'."),
        (["a"], ["a", *"bcdefgh"], "other classes: 'b', 'c', 'd', 'e', 'f' and 2 more are new."),
    ],
)
def test_other_classes(before: list[str], after: list[str], told: str) -> None:
    """They are an error, since the outputs of the model are those of the old ones."""
    with pytest.raises(CheckpointError) as error:
        check_same_data(meta(before), meta(after), "ckpt.pth", LOGGER)
    assert told in str(error.value)
