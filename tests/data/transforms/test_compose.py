from __future__ import annotations

import pickle
import re
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from torch.utils.data import Dataset

from cfgtrain.check import check
from cfgtrain.config import Config
from cfgtrain.data import build_dataloader, build_pipeline
from cfgtrain.errors import BuildError, CheckError, SampleError, TransformError

STEPS = """
def scale_img(results, factor=2):
    results["img"] = results["img"] * factor
    return results


def make_step(key):
    return lambda results: {**results, key: 1}


class Shift:
    def __init__(self, by):
        self.by = by

    def __call__(self, results):
        results["img"] = results["img"] + self.by
        return results
"""


@pytest.fixture
def steps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The name of a module with a step, a function that makes one, and a class."""
    (tmp_path / "own_steps.py").write_text(STEPS)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "own_steps", raising=False)
    return "own_steps"


def test_steps_by_import_path(steps: str) -> None:
    """A class is built; a function is the step itself, with its other arguments bound, or makes the step."""
    pipeline = build_pipeline(
        [
            {"type": f"{steps}.Shift", "by": 1},
            {"type": f"{steps}.scale_img"},
            {"type": f"{steps}.scale_img", "factor": 10},
            {"type": f"{steps}.make_step", "key": "made"},
        ]
    )
    results = pipeline({"img": np.ones(2)})
    assert results["img"].tolist() == [40, 40]
    assert results["made"] == 1
    assert build_pipeline([])({"a": 1}) == {"a": 1}


def test_wrong_arguments_of_a_function(steps: str) -> None:
    """A misspelled argument of a function is an error when the pipeline is built."""
    with pytest.raises(BuildError, match=r"scale_img takes no argument 'facto'. Did you mean 'factor'"):
        build_pipeline([{"type": f"{steps}.scale_img", "facto": 3}])


@pytest.mark.parametrize("step", [3, "Resize", None])
def test_items_that_are_not_steps(step: Any) -> None:
    """An item that is neither a config nor a callable is named with its index."""
    with pytest.raises(
        TypeError, match=re.escape(f"transforms[1] must be a config with a type, or a callable, not {step!r}")
    ):
        build_pipeline([len, step])


def _fail(results: Any) -> Any:
    return results["img"].shape_of


@pytest.mark.parametrize(
    ("transforms", "step", "message"),
    [
        (
            [{"type": "ToTensor", "keys": ["gt_label"]}, {"type": "Collect", "keys": ["gt_labels"]}],
            1,
            r"The transform Collect (pipeline[1]) failed: KeyError: 'gt_labels'. "
            "The keys of the results are img, gt_label. Did you mean 'gt_label'?",
        ),
        (
            [{"type": "RandomCrop", "size": 99}],
            0,
            "The transform RandomCrop (pipeline[0]) failed: A 99x99 window does not fit into an image of shape (8, 8).",
        ),
        (
            [len, {"type": "Resize", "scale": 4}],
            1,
            "The transform Resize (pipeline[1]) failed: TypeError: 'int' object is not subscriptable. It got int",
        ),
        ([_fail], 0, "The transform _fail (pipeline[0]) failed: AttributeError"),
    ],
)
def test_errors_name_the_transform(transforms: Any, step: int, message: str) -> None:
    """An error names the step, with its cause, the keys of the results and a similar one."""
    with pytest.raises(TransformError, match=re.escape(message)) as raised:
        build_pipeline(transforms)({"img": np.zeros((8, 8), np.uint8), "gt_label": 1})
    assert raised.value.step == step
    assert raised.value.__cause__ is not None
    copy = pickle.loads(pickle.dumps(raised.value))
    assert (str(copy), copy.step, copy.transform) == (str(raised.value), step, raised.value.transform)


class Images(Dataset[Any]):
    """Two images, and a pipeline with a misspelled key."""

    def __init__(self) -> None:
        self.pipeline = build_pipeline([{"type": "Collect", "keys": ["imgs"]}])

    def __len__(self) -> int:
        return 2

    def __getitem__(self, index: int) -> Any:
        return self.pipeline({"img": np.zeros((2, 2))})


@pytest.mark.parametrize("workers", [0, 1])
def test_errors_in_a_loader(workers: int) -> None:
    """The loader blames the transform, not the sample, which it names too."""
    with pytest.raises(SampleError) as raised:
        list(build_dataloader(Images(), 2, workers, shuffle=False))
    text = "\n".join([str(raised.value), *getattr(raised.value, "__notes__", ())])
    assert "The transform Collect (pipeline[0]) failed: KeyError: 'imgs'" in text
    assert "Did you mean 'img'?" in text
    assert "while loading Sample 0 of Images" in text
    assert "cannot be loaded" not in text


def test_check_of_functions(steps: str) -> None:
    """The check before a run accepts functions as steps, and reports their misspelled arguments."""
    config = """
model = dict(type='torch.nn.Linear', in_features=1, out_features=1)
data = dict(train=dict(type='Digits', pipeline=[
    dict(type='own_steps.scale_img', factor=3),
    dict(type='own_steps.scale_img', facto=3),
    dict(type='own_steps.Shift'),
    dict(type='RandomFlip', prob=3),
]))
optimizer = dict(type='SGD', lr=0.1)
runner = dict(type='EpochBasedRunner', max_epochs=1)
"""
    with pytest.raises(CheckError) as raised:
        check(Config.fromstring(config, ".py"))
    text = str(raised.value)
    assert "pipeline[0]" not in text
    assert "scale_img takes no argument 'facto'. Did you mean 'factor'?" in text
    assert "Shift needs the argument 'by'" in text
    assert "prob must be from 0 to 1" in text
