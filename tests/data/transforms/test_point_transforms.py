from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from cfgtrain.data.transforms import Compose, PointOperations
from cfgtrain.errors import ArgumentError, ArgumentTypeError, BuildError
from cfgtrain.image.point_operations import (
    adjust_brightness,
    adjust_contrast,
    auto_contrast,
    imequalize,
    iminvert,
    posterize,
    solarize,
)
from cfgtrain.image.point_table import PointTable
from cfgtrain.registries import PIPELINES

IMG = np.random.default_rng(0).normal(120, 50, (24, 31, 3)).clip(0, 255).astype(np.uint8)

FIXED: list[tuple[dict[str, Any], Any]] = [
    ({"type": "Brightness", "factor": 1.2}, lambda img: adjust_brightness(img, 1.2)),
    ({"type": "Contrast", "factor": 0.7}, lambda img: adjust_contrast(img, 0.7)),
    ({"type": "Solarize"}, solarize),
    ({"type": "Solarize", "thr": 99}, lambda img: solarize(img, 99)),
    ({"type": "AutoContrast", "cutoff": 2}, lambda img: auto_contrast(img, 2)),
    ({"type": "Equalize"}, imequalize),
    ({"type": "Posterize", "bits": 5}, lambda img: posterize(img, 5)),
    ({"type": "Invert"}, iminvert),
]


@pytest.mark.parametrize(("config", "function"), FIXED)
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_one_operation(config: dict[str, Any], function: Any, dtype: Any) -> None:
    """An operation is a step of a pipeline with the result of the function; the original image is kept."""
    img = IMG.astype(dtype)
    results = Compose([config])({"img": img, "gt_label": 3})
    assert results is not None
    assert results["gt_label"] == 3
    assert np.array_equal(results["img"], function(IMG.astype(dtype)))
    assert np.array_equal(img, IMG)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_operations_together(dtype: Any) -> None:
    """Operations together have the results of one after the other, bit for bit."""
    chained = PointOperations([config for config, _ in FIXED])({"img": IMG.astype(dtype)})["img"]
    expected = IMG.astype(dtype)
    for _, function in FIXED:
        expected = function(expected)
    assert np.array_equal(chained, expected)
    assert np.array_equal(PointOperations([])({"img": IMG})["img"], IMG)


def test_one_lookup(monkeypatch: pytest.MonkeyPatch) -> None:
    """The image is read once."""
    calls = []
    apply = PointTable.apply
    monkeypatch.setattr(PointTable, "apply", lambda *args: calls.append(1) or apply(*args))
    without_contrast = [config for config, _ in FIXED if config["type"] != "Contrast"]
    PointOperations(without_contrast)({"img": IMG})
    assert len(calls) == 1


def test_ranges() -> None:
    """Numbers are drawn from the whole range by NumPy's global generator, and the same seed gives the same image."""
    img = np.arange(256, dtype=np.uint8)[None]
    transform = PointOperations(
        [{"type": "Brightness", "factor": [0.5, 1.5]}, {"type": "Posterize", "bits": (2, 4)}]
    )

    def run(seed: int) -> bytes:
        np.random.seed(seed)
        result: bytes = transform({"img": img})["img"].tobytes()
        return result

    assert run(1) == run(1)
    assert len({run(seed) for seed in range(20)}) == 20
    posterized = PIPELINES.build({"type": "Posterize", "bits": (2, 4)})
    levels = {len(np.unique(posterized({"img": img})["img"])) for _ in range(60)}
    assert levels == {4, 8, 16}
    drawn = PIPELINES.build({"type": "Brightness", "factor": (0.5, 1.5)})
    np.random.seed(0)
    ones = [drawn({"img": np.ones((1, 1), np.float32)})["img"].item() for _ in range(200)]
    assert 0.5 <= min(ones) < 0.55
    assert 1.45 < max(ones) <= 1.5
    np.random.seed(5)
    factor = np.random.uniform(0.5, 1.5)
    np.random.seed(5)
    assert np.array_equal(drawn({"img": img})["img"], adjust_brightness(img, factor))


def test_probability() -> None:
    """An operation is performed with its probability; with 0 never, with 1 always, and then nothing is drawn."""
    never, half, always = (PIPELINES.build({"type": "Invert", "prob": prob}) for prob in (0, 0.5, 1))
    np.random.seed(0)
    state = np.random.get_state()[1].tolist()  # type: ignore[index, union-attr]
    assert (always({"img": IMG})["img"] == 255 - IMG).all()
    assert np.random.get_state()[1].tolist() == state  # type: ignore[index, union-attr]
    assert (never({"img": IMG})["img"] == IMG).all()
    inverted = sum((half({"img": IMG})["img"] != IMG).any() for _ in range(200))
    assert 70 < inverted < 130


@pytest.mark.parametrize(
    ("config", "kind", "message"),
    [
        ({"type": "Brightness"}, BuildError, "Brightness needs the argument 'factor'"),
        ({"type": "Brightness", "factr": 1}, BuildError, "Did you mean 'factor'"),
        (
            {"type": "Brightness", "factor": (1, 2, 3)},
            ArgumentError,
            r"factor must be 2 numbers \(low, high\)",
        ),
        (
            {"type": "Brightness", "factor": (2, 1)},
            ArgumentError,
            r"factor must be \(low, high\), not \(2, 1\)",
        ),
        ({"type": "Contrast", "factor": "1"}, ArgumentError, "factor must be"),
        ({"type": "Solarize", "thr": None}, ArgumentTypeError, "thr must be a number, not None"),
        ({"type": "Posterize", "bits": 17}, ArgumentError, "bits must be from 0 to 16, not 17"),
        ({"type": "Posterize", "bits": (1, 2.5)}, ArgumentTypeError, "bits must be an integer, not 2.5"),
        ({"type": "AutoContrast", "cutoff": -1}, ArgumentError, "cutoff must be from 0 to 100, not -1"),
        ({"type": "Invert", "prob": 1.5}, ArgumentError, "prob must be from 0 to 1, not 1.5"),
    ],
)
def test_invalid_arguments(config: dict[str, Any], kind: type[Exception], message: str) -> None:
    """What is wrong in the config of an operation is found when it is built, also within PointOperations."""
    with pytest.raises(kind, match=message):
        PIPELINES.build(config)
    with pytest.raises(kind, match=message):
        PointOperations([config])


def test_other_operations() -> None:
    """Only point operations can be composed into a table."""
    with pytest.raises(
        ArgumentTypeError, match=r"operations must be a list of configs, not \{'type': 'Invert'\}"
    ):
        PointOperations({"type": "Invert"})  # type: ignore[arg-type]
    with pytest.raises(
        ArgumentTypeError, match=r"An operation must be one of AutoContrast, Brightness, .* not \{'type"
    ):
        PointOperations([{"type": "Resize", "scale": (3, 3)}])
    with pytest.raises(ArgumentTypeError, match="not 'Invert'"):
        PointOperations(["Invert"])
