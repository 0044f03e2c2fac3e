from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from torch import Tensor, nn

from cfgtrain.cnn import MODELS
from cfgtrain.config import Config
from cfgtrain.data.datasets.digits import Digits
from cfgtrain.data.datasets.table import Table
from cfgtrain.data.datasets.text_file import TextFile
from cfgtrain.errors import ArgumentError, BuildError, SampleError
from cfgtrain.parallel.data_container import DataContainer
from cfgtrain.predict import TrainedModel, load_model, predict
from cfgtrain.registries import DATASETS
from cfgtrain.runner.checkpoint import save_checkpoint

Make = Callable[..., TrainedModel]


@pytest.fixture
def digits(trained_digits: Path) -> TrainedModel:
    return load_model(trained_digits, trained_digits / "latest.pth", "cpu")


@pytest.fixture
def exported() -> Digits:
    """The test digits; the first 40 are PNG files in the folder ``pictures``."""
    dataset = Digits("test")
    for i in range(40):
        path = Path("pictures") / f"{dataset.labels[i]}" / f"{i:02}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(path), dataset.images[i])
    return dataset


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """A model with new weights, saved and loaded."""

    def call(
        model: dict[str, Any], dataset: Any, metainfo: dict[str, Any] | None = None, **args: Any
    ) -> TrainedModel:
        cfg = Config({"model": model, "data": {"test": {"type": dataset, **args}}})
        save_checkpoint(MODELS.build(cfg.model), str(tmp_path / "a.pth"), meta={"metainfo": metainfo or {}})
        return load_model(cfg, tmp_path / "a.pth", "cpu")

    return call


def test_a_folder_of_pictures(digits: TrainedModel, exported: Digits) -> None:
    """Files below a folder are predicted in the order of their names, as the dataset itself is."""
    found = predict(digits, "pictures")
    assert [each.source for each in found] == sorted(map(str, Path("pictures").rglob("*.png")))
    correct = [each.class_name == Path(each.source).parent.name for each in found]
    assert sum(correct) >= 30
    first = found[0]
    pipeline = Config.fromfile(Path(str(digits.cfg.filename))).data.test.pipeline
    with torch.no_grad():
        sample = Digits("test", pipeline)[int(Path(first.source).stem)]["img"]
        expected = digits.model(sample[None], return_loss=False)[0].numpy()
    np.testing.assert_allclose(first.scores, expected, rtol=1e-4, atol=1e-6)


def test_arrays_paths_and_lists_have_the_same_result(digits: TrainedModel, exported: Digits) -> None:
    """Files, gray arrays and color arrays can be mixed; a single input is a list of one."""
    path = sorted(Path("pictures").rglob("*.png"))[0]
    gray, color = exported.images[int(path.stem)], cv2.imread(str(path))
    results = predict(digits, [path, gray, color, str(path)])
    assert [each.source for each in results] == [str(path), "array 1", "array 2", str(path)]
    for each in results[1:]:
        np.testing.assert_allclose(each.scores, results[0].scores, rtol=1e-5)
    (alone,) = predict(digits, gray, topk=3)
    assert [each.name for each in alone.top] == [each.name for each in results[0].top[:3]]


def test_batch_size_does_not_matter(digits: TrainedModel, exported: Digits) -> None:
    """Every input is predicted once, in order, whatever the batch size."""
    one, many = (predict(digits, "pictures", batch_size=size) for size in (1, 7))
    assert [each.source for each in one] == [each.source for each in many]
    for left, right in zip(one, many, strict=True):
        np.testing.assert_allclose(left.scores, right.scores, rtol=1e-4, atol=1e-6)


def test_a_broken_picture(digits: TrainedModel, exported: Digits) -> None:
    """It is an error, or is returned as one between the others."""
    Path("pictures/3/broken.png").write_bytes(b"no picture")
    with pytest.raises(SampleError, match=r"pictures/3/broken.png: OpenCV cannot decode it"):
        predict(digits, "pictures")
    results = predict(digits, "pictures", on_error="return")
    assert [each.source for each in results if each.error is not None] == ["pictures/3/broken.png"]
    assert sum(each.class_name is not None for each in results) == len(results) - 1 == 40


def test_no_dataset_has_to_be_there(digits: TrainedModel, exported: Digits) -> None:
    """The classes are those of the checkpoint, and the arguments of the dataset are not used."""
    digits.cfg.data.test.split = "missing"
    assert predict(digits, exported.images[0])[0].class_name in digits.metainfo["classes"]


def test_the_state_of_random_generators_is_kept(digits: TrainedModel, exported: Digits) -> None:
    """A prediction draws no random numbers from the generators of a program around it."""
    states = np.random.get_state()[1].tolist(), torch.get_rng_state()
    predict(digits, exported.images[0])
    assert np.random.get_state()[1].tolist() == states[0]
    assert torch.equal(torch.get_rng_state(), states[1])


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ([], "There are no inputs"),
        (3, "An input must be a path or an array"),
        ("picture", "There is no file or folder 'picture'. Did you mean 'pictures'"),
        (["pictures", 3], "must be a path or an array .* not int"),
        ("*.jpg", "No file matches the pattern"),
    ],
)
def test_wrong_inputs(digits: TrainedModel, exported: Digits, inputs: Any, message: str) -> None:
    """The message names the input that cannot be used."""
    with pytest.raises(ArgumentError, match=message):
        predict(digits, inputs)


def test_a_wrong_model_is_found_before_it_is_built(trained_digits: Path) -> None:
    """A misspelled argument is named, as before a training."""
    cfg = Config.fromfile(trained_digits / "lenet5.py")
    cfg.model.backbone.num_clases = 10
    with pytest.raises(BuildError, match="Did you mean 'num_classes'"):
        load_model(cfg, trained_digits / "latest.pth")


@DATASETS.register_module()
class Photos:
    """A dataset of which only the pipeline is used."""


class Shape(nn.Module):
    """Predicts the mean of an image, or accepts only images of one size."""

    def __init__(self, channels: int = 3) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, 2, 1)

    def forward(self, img: Tensor, gt_label: Tensor | None = None, return_loss: bool = True) -> Tensor:
        return self.conv(img.float()).mean((1, 2, 3))


TENSOR = [{"type": "ImageToTensor", "keys": ["img"]}, {"type": "Collect", "keys": ["img"]}]


def test_images_of_different_sizes(make: Make) -> None:
    """Without a step that makes their sizes equal, each size is a batch of its own."""
    MODELS.register_module(module=Shape)
    model = make({"type": "Shape"}, Photos, pipeline=TENSOR)
    images = [np.full((4, size, 3), 9, np.uint8) for size in (5, 5, 7, 5)]
    values = [each.values["value"] for each in predict(model, images)]
    assert values == pytest.approx([values[0]] * 4)


def test_an_image_that_the_model_cannot_process(make: Make) -> None:
    """The error has the shape of the input and the reason of torch; other inputs are predicted."""
    MODELS.register_module(module=Shape)
    load = [{"type": "LoadImageFromFile", "color_type": "unchanged"}]
    model = make({"type": "Shape"}, Photos, pipeline=[*load, *TENSOR])
    images = [np.zeros((4, 4, channels), np.uint8) for channels in (3, 4)]
    good, bad = predict(model, images, on_error="return")
    assert good.error is None
    assert "cannot process img of shape (4, 4, 4)" in str(bad.error)
    assert "to have 3 channels, but got 4 channels" in str(bad.error)


class NeedsLabels(Shape):
    def forward(self, img: Tensor, gt_label: Tensor, return_loss: bool = True) -> Tensor:  # type: ignore[override]
        return super().forward(img)


def test_a_model_that_needs_labels(make: Make) -> None:
    """The error says which argument needs a default."""
    MODELS.register_module(module=NeedsLabels)
    model = make({"type": "NeedsLabels"}, Photos, pipeline=TENSOR)
    with pytest.raises(ArgumentError, match=r"NeedsLabels.forward.*missing a required argument: 'gt_label'"):
        predict(model, np.zeros((4, 4, 3), np.uint8))


class Words:
    """Prompts of one character each, that the model doubles."""

    def __init__(self, paths: Sequence[Path]) -> None:
        self.paths = paths

    @classmethod
    def for_prediction(cls, inputs: Sequence[Path], cfg: Any, metainfo: Any) -> Words:
        assert cfg == {"length": 3}
        assert metainfo == {"unit": "byte"}
        return cls(inputs)

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> Any:
        return {"inputs": torch.tensor(list(self.paths[index].read_bytes()))}

    def source(self, index: int) -> str:
        return str(self.paths[index])

    def decode(self, codes: Any) -> str:
        return bytes(codes.tolist()).decode()


class Repeat(Shape):
    def generate(self, tokens: Tensor, length: int, generator: torch.Generator) -> Tensor:
        return torch.cat([tokens, tokens[-1:].repeat(length)])


def test_datasets_make_the_inputs_themselves(make: Make) -> None:
    """``for_prediction`` gets the files and the arguments of the test dataset; a language model continues texts."""
    DATASETS.register_module(module=Words)
    MODELS.register_module(module=Repeat)
    model = make({"type": "Repeat"}, "Words", {"unit": "byte"}, length=3)
    Path("a.txt").write_text("ab")
    Path("b.txt").write_text("x")
    assert [each.text for each in predict(model, ["a.txt", "b.txt"], length=2)] == ["abbb", "xxx"]
    with pytest.raises(ArgumentError, match=r"'\.' is a folder, and Words reads files"):
        predict(model, ".")


LINEAR = {"type": "SupervisedModel", "net": {"type": "torch.nn.Linear", "in_features": 2, "out_features": 1}}


def test_rows_of_a_table_have_values_in_the_units_of_the_targets(make: Make) -> None:
    """The statistics are those of the checkpoint: a model that predicts 0 predicts the mean; the data is not read."""
    Path("houses.csv").write_text("area,rooms,price\n100,3,500\n50,2,300\n75,4,700\n")
    args: dict[str, Any] = {"path": "houses.csv", "targets": "price"}
    known = Table(**args).metainfo
    Path("houses.csv").unlink()
    model = make({**LINEAR, "loss": "MSELoss"}, "Table", known, **args)
    for parameter in model.model.parameters():
        parameter.data.zero_()
    Path("new.csv").write_text("rooms,area\n3,20\n1,1000\n")
    first, second = predict(model, "n*.csv")
    assert (first.source, second.source) == ("new.csv, line 2", "new.csv, line 3")
    assert first.values == second.values == {"price": pytest.approx(500)}
    Path("new.csv").write_text("rooms\n3\n")
    with pytest.raises(ArgumentError, match=r"new\.csv has no column 'area'"):
        predict(model, "new.csv")


@pytest.mark.parametrize("unit", ["character", "byte"])
def test_a_text_is_continued_with_known_characters(unit: str, make: Make) -> None:
    """A model with more tokens than the training text has characters does not predict the others."""
    Path("text.txt").write_text("abcd " * 20)
    args: dict[str, Any] = {"path": "text.txt", "block_size": 8, "unit": unit}
    network = {"vocab_size": 300, "block_size": 8, "embed_dims": 8, "num_layers": 1, "num_heads": 1}
    model = make({"type": "TinyTransformer", **network}, "TextFile", TextFile(**args).metainfo, **args)
    model.model.head.weight.data.zero_()  # all tokens are equally probable
    Path("a.txt").write_text("ab")
    (found,) = predict(model, "a.txt", length=100)
    assert found.text is not None
    if unit == "character":
        assert set(found.text) == set("abcd ")
        assert len(found.text) == 102


def test_texts_are_continued_in_the_same_way_each_time(make: Make) -> None:
    """A language model adds characters that the training text has; batches do not matter."""
    Path("text.txt").write_text("a quick brown fox\n" * 9)
    args: dict[str, Any] = {"path": "text.txt", "block_size": 8, "vocab_size": 32}
    network = {"vocab_size": 17, "block_size": 8, "embed_dims": 8, "num_layers": 1, "num_heads": 1}
    known = TextFile(**args).metainfo
    network["vocab_size"] = len(known["characters"])
    model = make({"type": "TinyTransformer", **network}, "TextFile", known, **args)
    for name, prompt in (("a.txt", "brown"), ("b.txt", "fox"), ("c.txt", "quick")):
        Path(name).write_text(f"{prompt}\n")
    texts = [str(each.text) for each in predict(model, ["a.txt", "b.txt", "c.txt"], length=12)]
    assert [text[: len(prompt)] for text, prompt in zip(texts, ("brown", "fox", "quick"), strict=True)] == [
        "brown", "fox", "quick",
    ]  # fmt: skip
    assert [len(text) for text in texts] == [17, 15, 17]
    assert set("".join(texts)) <= set(known["characters"])
    assert predict(model, "b.txt", length=12)[0].text == texts[1]


class Named(nn.Module):
    """Predicts the mean of an image, if it gets the name of each."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(1))

    def forward(self, img: Tensor, img_metas: list[dict[str, Any]], return_loss: bool = True) -> Tensor:
        assert isinstance(img, Tensor)
        assert all(Path(each["img_path"]).exists() for each in img_metas)
        assert len(img_metas) == len(img)
        return self.scale * img.float().mean((1, 2, 3))[:, None]


@pytest.mark.parametrize("collate_fn", [None, "collate"])
def test_samples_with_data_containers(make: Make, collate_fn: str | None) -> None:
    """They are merged as the loaders do it, and images of different sizes are not padded."""
    pipeline = [
        {"type": "LoadImageFromFile"},
        {"type": "ImageToTensor", "keys": ["img"]},
        lambda results: {
            "img": DataContainer(results["img"], stack=True),
            "img_metas": DataContainer({"img_path": results["img_path"]}, cpu_only=True),
        },
    ]
    model = make({"type": Named}, "ImageFolder", root="pictures", pipeline=pipeline)
    if collate_fn is not None:
        model.cfg.data.collate_fn = collate_fn
    for i in range(5):
        cv2.imwrite(f"{i}.png", np.full((4 + i // 2, 3, 3), 50 * i, np.uint8))
    found = predict(model, "*.png", batch_size=5)
    assert [next(iter(each.values.values())) for each in found] == pytest.approx([0, 50, 100, 150, 200])
