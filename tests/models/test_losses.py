from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from cfgtrain.errors import ArgumentError, ArgumentTypeError
from cfgtrain.models import FocalLoss
from cfgtrain.models.losses import activation_of, build_loss, compute_loss, loss_config, predict

SCORES = torch.tensor([[2.0, 0.0, -1.0], [0.0, 1.0, 3.0]])
LABELS = torch.tensor([0, 1])


@pytest.mark.parametrize(
    ("loss", "kind"),
    [
        ("MSELoss", nn.MSELoss),
        ("KLDivLoss", nn.KLDivLoss),
        ("torch.nn.L1Loss", nn.L1Loss),
        ("FocalLoss", FocalLoss),
        ({"type": "CrossEntropyLoss", "label_smoothing": 0.1}, nn.CrossEntropyLoss),
        ({"type": "torch.nn.GaussianNLLLoss"}, nn.GaussianNLLLoss),
    ],
)
def test_losses_by_name(loss: Any, kind: type) -> None:
    """A loss is a config, or a name: of a registered loss, of a class of torch.nn, or an import path."""
    assert type(build_loss(loss)) is kind


def test_unknown_loss() -> None:
    """A wrong name is an error that suggests the nearest losses; so is anything that is not a name or config."""
    with pytest.raises(ArgumentError, match=r"no loss 'MSEloss'.*Did you mean 'MSELoss'"):
        loss_config("MSEloss")
    with pytest.raises(ArgumentError, match="no loss 'Linear'"):
        loss_config("Linear")
    with pytest.raises(ArgumentTypeError, match="such as 'MSELoss', not 3"):
        loss_config(3)


def test_one_column_does_not_broadcast() -> None:
    """Outputs (B, 1) and targets (B,), or the reverse, are compared one by one, not all with all."""
    outputs, targets = torch.tensor([1.0, 2.0, 4.0]), torch.tensor([1.0, 1.0, 1.0])
    expected = functional.mse_loss(outputs, targets)
    for one, other in ((outputs[:, None], targets), (outputs, targets[:, None]), (outputs, targets)):
        assert torch.equal(compute_loss(nn.MSELoss(), one, other), expected)


def test_different_shapes_are_an_error() -> None:
    """Shapes that PyTorch would broadcast raise an error with both."""
    with pytest.raises(ArgumentError, match=r"outputs have shape \(4, 3\) and the targets \(4, 1\)"):
        compute_loss(nn.L1Loss(), torch.zeros(4, 3), torch.zeros(4, 1))
    with pytest.raises(ArgumentTypeError, match="needs the outputs as a tensor, not as dict"):
        compute_loss(nn.L1Loss(), {"out": 1}, torch.zeros(4, 1))


@pytest.mark.parametrize("dtype", [torch.int64, torch.float64, torch.bool])
def test_targets_get_the_dtype_of_the_outputs(dtype: torch.dtype) -> None:
    """Integer and float64 targets of an element-wise loss become float32, so that the gradients are float32."""
    outputs = torch.tensor([0.5, 2.0], requires_grad=True)
    loss = compute_loss(nn.BCEWithLogitsLoss(), outputs, torch.tensor([1, 0]).to(dtype))
    loss.backward()
    assert loss.dtype == torch.float32
    assert outputs.grad is not None


def test_sequences() -> None:
    """Cross entropy takes the classes of (B, T, C) outputs from the last dimension, or from ``class_dim``."""
    outputs, targets = torch.randn(2, 4, 3), torch.randint(0, 3, (2, 4))
    expected = functional.cross_entropy(outputs.flatten(0, 1), targets.flatten())
    assert torch.allclose(compute_loss(nn.CrossEntropyLoss(), outputs, targets), expected)
    first = outputs.movedim(2, 1)
    assert torch.allclose(compute_loss(nn.CrossEntropyLoss(), first, targets, class_dim=1), expected)
    with pytest.raises(
        ArgumentError, match=r"shape \(2, 3\) .* but the targets have shape \(2, 4\).*class_dim"
    ):
        compute_loss(nn.CrossEntropyLoss(), first, targets)
    maps, pixels = torch.randn(2, 3, 5, 4), torch.randint(0, 3, (2, 5, 4))
    expected = functional.cross_entropy(maps, pixels)
    assert torch.equal(compute_loss(nn.CrossEntropyLoss(), maps, pixels), expected)


@pytest.mark.parametrize(
    "targets", [LABELS[:, None], LABELS.int(), LABELS.to(torch.uint8), functional.one_hot(LABELS, 3).float()]
)
def test_class_targets(targets: Tensor) -> None:
    """Cross entropy takes indices of any integer dtype, a column of them, and class probabilities."""
    loss = compute_loss(nn.CrossEntropyLoss(), SCORES, targets)
    assert torch.allclose(loss, functional.cross_entropy(SCORES, LABELS))


def test_cross_entropy_of_numbers_is_an_error() -> None:
    """Float targets that are not class probabilities raise an error that says what is needed."""
    with pytest.raises(ArgumentError, match=r"integer class indices of shape \(2,\).*'MSELoss'"):
        compute_loss(nn.CrossEntropyLoss(), SCORES, torch.tensor([0.5, 1.0]))


@pytest.mark.parametrize("loss", [nn.CrossEntropyLoss(), FocalLoss(), FocalLoss(use_sigmoid=True)])
@pytest.mark.parametrize("label", [3, 12, -1])
def test_label_that_is_not_a_class(loss: nn.Module, label: int) -> None:
    """The error names the label and the number of classes."""
    with pytest.raises(ArgumentError, match=f"label {label} is not one of the 3 classes .* 0 to 2"):
        compute_loss(loss, SCORES, torch.tensor([0, label]))


def test_ignored_label() -> None:
    """The ``ignore_index`` of cross entropy is a valid label."""
    loss = compute_loss(nn.CrossEntropyLoss(ignore_index=-100), SCORES, torch.tensor([0, -100]))
    assert torch.allclose(loss, functional.cross_entropy(SCORES[:1], LABELS[:1]))
    with pytest.raises(ArgumentError, match="label 7"):
        compute_loss(nn.CrossEntropyLoss(ignore_index=-100), SCORES, torch.tensor([7, -100]))


def test_loss_is_a_scalar() -> None:
    """A loss of several numbers is an error that mentions its reduction."""
    with pytest.raises(ArgumentError, match=r"MSELoss returned a tensor of shape \(2, 3\).*reduction='none'"):
        compute_loss(nn.MSELoss(reduction="none"), SCORES, SCORES)


def test_custom_losses_get_outputs_and_targets_as_they_are() -> None:
    """A custom loss may take anything; its attribute ``activation`` chooses the predictions."""

    class Loss(nn.Module):
        activation = "sigmoid"

        def forward(self, outputs: Any, targets: Any) -> Tensor:
            return (outputs["a"] - targets[0]).sum()  # type: ignore[no-any-return]

    assert compute_loss(Loss(), {"a": torch.ones(1)}, [torch.zeros(1)]) == 1
    assert activation_of(Loss()) == "sigmoid"


@pytest.mark.parametrize(
    ("loss", "expected"),
    [
        (nn.CrossEntropyLoss(), SCORES.softmax(1)),
        (nn.NLLLoss(), SCORES.exp()),
        (nn.BCEWithLogitsLoss(), SCORES.sigmoid()),
        (FocalLoss(), SCORES.softmax(1)),
        (FocalLoss(use_sigmoid=True), SCORES.sigmoid()),
        (nn.MSELoss(), SCORES),
    ],
)
def test_predictions_by_loss(loss: nn.Module, expected: Tensor) -> None:
    """Predictions are probabilities if the loss takes scores of classes, otherwise the outputs."""
    assert torch.equal(predict(SCORES, activation_of(loss)), expected)


def test_focal_loss_without_focus_is_cross_entropy() -> None:
    """With gamma 0 the loss is that of torch, for indices and for probabilities, with softmax and with sigmoid."""
    soft = torch.tensor([[0.2, 0.8, 0.0], [0.0, 0.5, 0.5]])
    many = torch.tensor([[1.0, 1.0, 0.0], [0.0, 0.0, 1.0]])
    plain, independent = FocalLoss(gamma=0), FocalLoss(gamma=0, use_sigmoid=True)
    assert torch.allclose(plain(SCORES, LABELS), functional.cross_entropy(SCORES, LABELS))
    assert torch.allclose(plain(SCORES, soft), functional.cross_entropy(SCORES, soft))
    expected = functional.binary_cross_entropy_with_logits(SCORES, many)
    assert torch.allclose(independent(SCORES, many), expected)
    assert torch.allclose(compute_loss(independent, SCORES, many.long()), expected)


def test_focal_loss_values() -> None:
    """The cross entropy of a sample is multiplied by (1 - p) ** gamma, and by alpha."""
    p = SCORES.softmax(1)[torch.arange(2), LABELS]
    expected = (-((1 - p) ** 2) * p.log()).mean()
    assert torch.allclose(FocalLoss()(SCORES, LABELS), expected)
    assert torch.allclose(FocalLoss(alpha=0.25)(SCORES, LABELS), 0.25 * expected)
    q = SCORES.sigmoid()
    many = functional.one_hot(LABELS, 3)
    each = torch.where(many == 1, -0.25 * (1 - q) ** 2 * q.log(), -0.75 * q**2 * (1 - q).log())
    assert torch.allclose(FocalLoss(alpha=0.25, use_sigmoid=True)(SCORES, LABELS), each.mean())
    assert FocalLoss(reduction="none")(SCORES, LABELS).shape == (2,)


def test_focal_loss_arguments() -> None:
    """Values out of range are errors."""
    with pytest.raises(ArgumentError, match="gamma must be at least 0"):
        FocalLoss(gamma=-1)
    with pytest.raises(ArgumentError, match="alpha must be from 0 to 1"):
        FocalLoss(alpha=2)
    with pytest.raises(ArgumentError, match="reduction must be"):
        FocalLoss(reduction="avg")  # type: ignore[arg-type]
