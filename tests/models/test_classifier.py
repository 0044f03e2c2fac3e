from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from cfgtrain.cnn import MODELS
from cfgtrain.errors import ArgumentError
from cfgtrain.models import ImageClassifier


class Pixels(nn.Module):
    """A backbone whose scores are the first three pixels."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(()))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.flatten(1)[:, :3] * self.scale


IMAGES = torch.tensor([[0.0, 2.0, 1.0], [5.0, 0.0, 0.0]]).reshape(2, 1, 1, 3)
LABELS = torch.tensor([1, 2])


@pytest.fixture
def classifier() -> ImageClassifier:
    MODELS.register_module(module=Pixels)
    return ImageClassifier({"type": "Pixels"})


def test_losses(classifier: ImageClassifier) -> None:
    """With labels the model returns the cross entropy and the accuracy."""
    losses = classifier(IMAGES, LABELS)
    expected = nn.functional.cross_entropy(IMAGES.flatten(1), LABELS)
    assert losses["loss"].item() == pytest.approx(expected.item())
    assert losses["accuracy"].item() == 0.5


def test_predictions(classifier: ImageClassifier) -> None:
    """With ``return_loss=False`` the model returns probabilities and needs no labels."""
    predicted = classifier(img=IMAGES, return_loss=False)
    assert torch.equal(predicted, IMAGES.flatten(1).softmax(dim=1))


def test_loss_requires_labels(classifier: ImageClassifier) -> None:
    """The loss without labels raises an error that says how to get them."""
    with pytest.raises(
        ArgumentError, match="requires gt_label: add 'gt_label' to the keys that the pipeline collects"
    ):
        classifier(IMAGES)


@pytest.mark.parametrize("step", ["train_step", "val_step"])
def test_steps(classifier: ImageClassifier, step: str) -> None:
    """A step returns the loss for the backward pass, the values to log and the number of samples."""
    outputs: dict[str, Any] = getattr(classifier, step)({"img": IMAGES, "gt_label": LABELS}, None)
    outputs["loss"].backward()
    assert classifier.backbone.scale.grad is not None
    assert outputs["num_samples"] == 2
    assert set(outputs["log_vars"]) == {"loss", "accuracy"}
    assert not any(value.requires_grad for value in outputs["log_vars"].values())


def test_custom_loss() -> None:
    """The loss is built from its config."""
    MODELS.register_module(module=Pixels)
    model = ImageClassifier({"type": "Pixels"}, {"type": "torch.nn.CrossEntropyLoss", "label_smoothing": 0.5})
    plain = ImageClassifier({"type": "Pixels"})
    assert model(IMAGES, LABELS)["loss"] != plain(IMAGES, LABELS)["loss"]


def test_dropout_only_in_training() -> None:
    """Pixels are dropped during training only, and by default not at all."""
    MODELS.register_module(module=Pixels)
    model = ImageClassifier({"type": "Pixels"}, dropout=0.99)
    torch.manual_seed(0)
    assert not torch.equal(model(IMAGES, return_loss=False), model.eval()(IMAGES, return_loss=False))
    assert torch.equal(model(IMAGES, return_loss=False), IMAGES.flatten(1).softmax(dim=1))
    assert isinstance(ImageClassifier({"type": "Pixels"}).dropout, nn.Identity)


def test_predictions_and_losses_in_one_pass(classifier: ImageClassifier) -> None:
    """They equal those of two calls, and the backbone runs once; without labels there are no losses."""
    calls: list[Any] = []
    classifier.backbone.register_forward_hook(lambda *_: calls.append(1))
    predicted, losses = classifier.forward_with_loss(IMAGES, LABELS)
    assert len(calls) == 1
    assert torch.equal(predicted, classifier(IMAGES, return_loss=False))
    assert losses == classifier(IMAGES, LABELS)
    assert classifier.forward_with_loss(IMAGES)[1] == {}


HEAD = {"type": "LinearClsHead", "num_classes": 4}
POOLING = {"type": "GlobalAveragePooling"}
STRIPES = torch.linspace(0, 1, 2 * 3 * 32 * 32).reshape(2, 3, 32, 32)


@pytest.mark.parametrize(
    ("backbone", "channels"),
    [
        ({"type": "ResNet", "depth": 18, "out_indices": (1, 3)}, 512),
        ({"type": "LeNet5"}, 120),
        ({"type": "torch.nn.Conv2d", "in_channels": 3, "out_channels": 5, "kernel_size": 3}, 5),
    ],
)
def test_neck_and_head(backbone: dict[str, Any], channels: int) -> None:
    """The last features are averaged, and the head knows how many channels the backbone has."""
    model = ImageClassifier(backbone, neck=POOLING, head=HEAD)
    model.init_weights()
    images = STRIPES[:, :1] if backbone["type"] == "LeNet5" else STRIPES
    assert model.head.in_channels == channels
    assert model(images, return_loss=False).shape == (2, 4)
    losses = model(images, torch.tensor([0, 3]))
    losses["loss"].backward()
    assert model.head.fc.weight.grad is not None
    assert 0.01 < losses["loss"].item() < 100
    assert model.num_classes == 4


def test_layers_of_torch_as_backbone() -> None:
    """The configs in a backbone of torch's own classes are built."""
    layers = [{"type": "torch.nn.Flatten"}, {"type": "torch.nn.Linear", "in_features": 3, "out_features": 3}]
    model = ImageClassifier({"type": "torch.nn.Sequential", "args": layers})
    assert model(IMAGES, return_loss=False).shape == (2, 3)


def test_head_errors(classifier: ImageClassifier) -> None:
    """What is missing between backbone and head, and a second loss, are errors that say what to change."""
    resnet = {"type": "ResNet", "depth": 18, "out_indices": (0,)}
    with pytest.raises(ArgumentError, match=r"shape \(B, 512\), not \(2, 64, 8, 8\). Add neck=dict"):
        ImageClassifier(resnet, head=HEAD)(STRIPES, return_loss=False)
    with pytest.raises(ArgumentError, match=r"features have 64 channels\. Set in_channels=64"):
        ImageClassifier(resnet, neck=POOLING, head=HEAD)(STRIPES, return_loss=False)
    with pytest.raises(ArgumentError, match=r"ResNet must return scores .* Add neck=.*and head="):
        ImageClassifier(resnet)(STRIPES, return_loss=False)
    with pytest.raises(ArgumentError, match="needs in_channels"):
        ImageClassifier({"type": "Pixels"}, head=HEAD)
    with pytest.raises(ArgumentError, match="LinearClsHead has a loss already"):
        ImageClassifier(resnet, loss="FocalLoss", head=HEAD)
    with pytest.raises(ArgumentError, match="Pixels has no attribute num_classes"):
        ImageClassifier({"type": "Pixels"}, augments=[{"type": "Mixup"}])


def test_label_that_is_not_a_class(classifier: ImageClassifier) -> None:
    """The error names the label and the number of classes, also if the labels are mixed."""
    with pytest.raises(ArgumentError, match="label 12 is not one of the 3 classes"):
        classifier(IMAGES, torch.tensor([0, 12]))
    mixing = ImageClassifier({"type": "LeNet5", "num_classes": 3}, augments=[{"type": "Mixup"}])
    with pytest.raises(ArgumentError, match="label 12 is not one of the 3 classes"):
        mixing(STRIPES[:, :1], torch.tensor([0, 12]))
    several = ImageClassifier({"type": "Pixels"}, "BCEWithLogitsLoss")
    with pytest.raises(ArgumentError, match="label 12 is not one of the 3 classes"):
        several(IMAGES, torch.tensor([0, 12]))


@pytest.mark.parametrize("loss", ["BCEWithLogitsLoss", {"type": "FocalLoss", "use_sigmoid": True}])
def test_multi_label(loss: Any) -> None:
    """Independent classes get the probabilities of a sigmoid, and labels (B, num_classes) or class indices."""
    MODELS.register_module(module=Pixels, force=True)
    model = ImageClassifier({"type": "Pixels"}, loss)
    assert torch.equal(model(IMAGES, return_loss=False), IMAGES.flatten(1).sigmoid())
    several = nn.functional.one_hot(LABELS, 3)
    losses = [model(IMAGES, labels) for labels in (several, several.float(), LABELS)]
    assert all(torch.equal(each["loss"], losses[0]["loss"]) for each in losses)
    assert [set(each) for each in losses] == [{"loss"}, {"loss"}, {"loss", "accuracy"}]


def test_soft_labels(classifier: ImageClassifier) -> None:
    """The loss takes class probabilities; the accuracy is then not known."""
    soft = torch.tensor([[0.5, 0.5, 0.0], [0.0, 0.0, 1.0]])
    losses = classifier(IMAGES, soft)
    assert set(losses) == {"loss"}
    assert torch.allclose(losses["loss"], nn.functional.cross_entropy(IMAGES.flatten(1), soft))


def test_augments_in_training_only() -> None:
    """Batches are mixed in training mode, reproducibly, and neither in eval mode nor for predictions."""
    augments = [{"type": "Mixup"}, {"type": "CutMix"}]
    model = ImageClassifier({"type": "LeNet5", "num_classes": 3}, augments=augments)
    images, labels = STRIPES[:, :1], torch.tensor([1, 2])
    losses = []
    for seed in (0, 0, 1, 2, 3):
        torch.manual_seed(seed)
        losses.append(model(images, labels))
        assert set(losses[-1]) == {"loss"}
    values = [each["loss"].item() for each in losses]
    assert values[0] == values[1]
    assert len(set(values)) > 2
    model.eval()
    assert set(model(images, labels)) == {"loss", "accuracy"}
    assert torch.equal(model(images, return_loss=False), model.train()(images, return_loss=False))
