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
