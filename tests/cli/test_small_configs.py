"""The configs for a folder of pictures, a table and a text: they are short, and train, resume, test and predict."""

from __future__ import annotations

import ast
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from tiny import same

from cfgtrain.checkpoint import read_checkpoint

# Settings that make the runs small.
CONFIGS = {
    "images/folder.py": [
        "model.head.num_classes=2",
        "+model.backbone.num_stages=1",
        "+model.backbone.out_indices=[0]",
    ],
    "table/regression.py": [],
    "text/characters.py": ["+model.embed_dims=8", "+model.num_layers=1", "evaluation.interval=2"],
}
LIMITS = {
    "images/folder.py": "max_epochs",
    "table/regression.py": "max_epochs",
    "text/characters.py": "max_iters",
}
INPUTS = {"images/folder.py": "new.png", "table/regression.py": "new.csv", "text/characters.py": "prompt.txt"}


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with small data where the configs look for it, and an input for a prediction."""
    monkeypatch.chdir(tmp_path)
    generator = np.random.default_rng(0)
    for name in ("cat", "dog"):
        folder = tmp_path / "data" / "pictures" / name
        folder.mkdir(parents=True)
        for i in range(30):
            cv2.imwrite(str(folder / f"{i}.png"), generator.integers(0, 256, (20, 20, 3), dtype=np.uint8))
    rows = [f"{i % 6},{i},{('Bonn', 'Ulm')[i % 2]},{i * 1000}" for i in range(80)]
    (tmp_path / "data" / "houses.csv").write_text("\n".join(["rooms,area,town,price", *rows]))
    (tmp_path / "data" / "text.txt").write_text("the quick brown fox jumps over the lazy dog\n" * 60)
    cv2.imwrite("new.png", np.zeros((30, 20, 3), np.uint8))
    (tmp_path / "new.csv").write_text("rooms,area,town\n3,75,Ulm\n")
    (tmp_path / "prompt.txt").write_text("the quick")
    return tmp_path


@pytest.mark.parametrize("name", CONFIGS)
def test_a_config_is_short_and_only_data(configs: Path, name: str) -> None:
    """It has fewer than 60 words, and assigns literals, names and calls of dict, without any other Python."""
    text = (configs / name).read_text()
    assert len(text.split()) < 60
    for node in ast.walk(ast.parse(text)):
        assert not isinstance(node, ast.stmt) or isinstance(node, ast.Assign)
        assert not isinstance(node, ast.Call) or ast.unparse(node.func) == "dict"
        assert not isinstance(node, ast.comprehension | ast.Lambda | ast.BinOp | ast.IfExp | ast.JoinedStr)


@pytest.mark.parametrize("name", CONFIGS)
def test_a_config_trains_resumes_tests_and_predicts(
    data: Path, configs: Path, run: Callable[..., Any], name: str
) -> None:
    """A run that ends and is resumed has the weights of an unbroken one, and can be tested and used."""
    config = configs / name

    def train(work_dir: str, length: int, *more: str) -> None:
        settings = ["--cfg-options", f"runner.{LIMITS[name]}={length}", *CONFIGS[name]]
        ran = run("train", config, "--work-dir", work_dir, "--seed", "1", "--device", "cpu", *more, *settings)
        assert ran.code == 0, ran.err

    train("unbroken", 4)
    train("parts", 2)
    train("parts", 4, "--resume", "auto")
    unbroken, parts = (read_checkpoint(Path(each) / "latest.pth") for each in ("unbroken", "parts"))
    assert same(unbroken["state_dict"], parts["state_dict"])

    tested = run("test", "parts", "--out", "scores.json")
    assert tested.code == 0, tested.err
    predicted = run("predict", "parts", "parts/latest.pth", INPUTS[name])
    assert predicted.code == 0, predicted.err
    assert INPUTS[name] in predicted.out
