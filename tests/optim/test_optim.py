from __future__ import annotations

from typing import Any

import pytest
import torch
from tiny import Scalar, TinyNet
from torch import nn

from cfgtrain.errors import BuildError, UnknownNameError
from cfgtrain.optim import (
    OPTIMIZER_BUILDERS,
    OPTIMIZERS,
    TORCH_OPTIMIZERS,
    DefaultOptimizerConstructor,
    build_optimizer,
    build_optimizer_constructor,
)
from cfgtrain.parallel import OnDevice


def test_every_optimizer_of_torch_is_registered() -> None:
    """All optimizers of ``torch.optim``, including ``Optimizer`` itself, are registered by name."""
    assert {"SGD", "Adam", "AdamW", "RMSprop", "LBFGS", "Optimizer"} <= set(TORCH_OPTIMIZERS)
    assert all(OPTIMIZERS.get(name) is getattr(torch.optim, name) for name in TORCH_OPTIMIZERS)
    assert "lr_scheduler" not in OPTIMIZERS


def test_optimizer_gets_all_parameters() -> None:
    """The optimizer has every parameter, also those of a wrapped model; the config is not changed."""
    model, cfg = TinyNet(), {"type": "SGD", "lr": 0.1, "momentum": 0.9}
    optimizer = build_optimizer(OnDevice(model, torch.device("cpu")), cfg)
    assert isinstance(optimizer, torch.optim.SGD)
    (group,) = optimizer.param_groups
    assert [id(p) for p in group["params"]] == [id(p) for p in model.parameters()]
    assert (group["lr"], group["momentum"]) == (0.1, 0.9)
    assert cfg == {"type": "SGD", "lr": 0.1, "momentum": 0.9}


def test_custom_optimizer_can_be_registered() -> None:
    """A registered class is built by its name."""

    @OPTIMIZERS.register_module()
    class Mine(torch.optim.SGD):
        pass

    assert isinstance(build_optimizer(Scalar(), {"type": "Mine", "lr": 1}), Mine)


@pytest.mark.parametrize(
    ("cfg", "error", "text"),
    [
        ({"type": "SDG", "lr": 1}, UnknownNameError, "Did you mean 'SGD'"),
        ({"type": "SGD", "lr": 1, "momentun": 0.9}, BuildError, "Did you mean 'momentum'"),
        ({"lr": 1}, KeyError, "type"),
    ],
)
def test_wrong_configs(cfg: dict[str, Any], error: type[Exception], text: str) -> None:
    """A misspelt name or argument is an error with a suggestion."""
    with pytest.raises(error, match=text):
        build_optimizer(Scalar(), cfg)


def test_error_of_the_optimizer_has_a_note_with_its_origin() -> None:
    """An error of the constructor keeps its type and gets a note."""
    with pytest.raises(ValueError, match="learning rate") as error:
        build_optimizer(nn.Linear(1, 1), {"type": "SGD", "lr": -1})
    assert any("while building SGD" in note for note in error.value.__notes__)


class DeformConv2d(nn.Module):
    """Has the name of the deformable convolutions of several packages."""

    def __init__(self) -> None:
        super().__init__()
        self.weight, self.bias = nn.Parameter(torch.ones(1)), nn.Parameter(torch.ones(1))
        self.conv_offset = nn.Conv2d(3, 4, 1)


class Zoo(nn.Module):
    """One of each kind of layer with special rules, and a parameter at the root."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(1))
        self.conv = nn.Conv2d(3, 4, 1, bias=False)
        self.gray = nn.Conv2d(1, 4, 1)
        self.depthwise = nn.Conv2d(3, 3, 1, groups=3)
        self.grouped = nn.Conv1d(3, 3, 1, groups=3)
        self.norm = nn.LayerNorm(3)
        self.instance = nn.InstanceNorm2d(3, affine=True)
        self.deform = DeformConv2d()
        self.sub = nn.ModuleDict({"head": nn.Linear(3, 1), "gn": nn.GroupNorm(1, 3)})
        self.frozen = nn.Linear(1, 1)
        self.frozen.requires_grad_(False)


def settings(paramwise: Any, model: nn.Module | None = None, **optimizer: Any) -> dict[str, tuple[Any, Any]]:
    """The learning rate and weight decay of each parameter by name, for an SGD with both 1."""
    model = model or Zoo()
    cfg = {"type": "SGD", "lr": 1.0, "weight_decay": 1.0, "paramwise_cfg": paramwise, **optimizer}
    built = build_optimizer(model, cfg)
    names = {id(p): name for name, p in model.named_parameters()}
    groups = [(group, p) for group in built.param_groups for p in group["params"]]
    return {names[id(p)]: (group["lr"], group["weight_decay"]) for group, p in groups}


MULTIPLIERS = {
    "bias_lr_mult": 2, "bias_decay_mult": 3, "norm_decay_mult": 5, "dwconv_decay_mult": 7, "dcn_offset_lr_mult": 11,
}  # fmt: skip


def test_each_kind_of_parameter_has_its_rule() -> None:
    """The rules for biases, norms, depthwise convolutions, and offsets of deformable ones."""
    assert settings(MULTIPLIERS) == {
        "scale": (1, 1),
        "conv.weight": (1, 1),
        "gray.weight": (1, 1),  # one channel and one group do not make a convolution depthwise
        "gray.bias": (2, 3),
        "depthwise.weight": (1, 7),
        "depthwise.bias": (2, 7),
        "grouped.weight": (1, 1),
        "grouped.bias": (2, 3),
        "norm.weight": (1, 5),
        "norm.bias": (1, 5),
        "instance.weight": (1, 5),
        "instance.bias": (1, 5),
        "deform.weight": (1, 1),
        "deform.bias": (2, 3),
        "deform.conv_offset.weight": (11, 1),
        "deform.conv_offset.bias": (11, 1),
        "sub.head.weight": (1, 1),
        "sub.head.bias": (2, 3),
        "sub.gn.weight": (1, 5),
        "sub.gn.bias": (1, 5),
        "frozen.weight": (1, 1),
        "frozen.bias": (1, 1),
    }


def test_longest_custom_key_wins() -> None:
    """The longest custom key in a name takes precedence over every other rule; names at the root begin with a dot."""
    custom = {
        "sub": {"lr_mult": 0.1, "decay_mult": 0},
        "sub.gn": {"lr_mult": 0.01},
        ".scale": {"decay_mult": 0.5},
        "head.bias": {"lr_mult": 10},
    }
    got = settings({**MULTIPLIERS, "custom_keys": custom})
    assert got["sub.head.weight"] == (0.1, 0)
    assert got["sub.head.bias"] == (10, 1)
    assert got["sub.gn.weight"] == got["sub.gn.bias"] == (0.01, 1)
    assert got["scale"] == (1, 0.5)
    assert got["norm.weight"] == (1, 5)


def test_each_parameter_is_a_group_unless_merged() -> None:
    """As in MMCV each parameter is a group; ``merge_groups`` merges those with equal settings."""
    model = Zoo()
    cfg = {"type": "SGD", "lr": 1.0, "weight_decay": 1.0, "foreach": True}
    apart = build_optimizer(model, {**cfg, "paramwise_cfg": {"norm_decay_mult": 0}})
    assert [g["params"][0] is p for g, p in zip(apart.param_groups, model.parameters(), strict=True)] == [
        True
    ] * 22
    merged = build_optimizer(model, {**cfg, "paramwise_cfg": {"norm_decay_mult": 0, "merge_groups": True}})
    assert [(len(g["params"]), g["weight_decay"], g["foreach"]) for g in merged.param_groups] == [
        (16, 1.0, True),
        (6, 0.0, True),
    ]
    merged_settings = settings({**MULTIPLIERS, "merge_groups": True}, model)
    assert merged_settings == settings(MULTIPLIERS, model)


def test_a_multiplier_without_a_rate_uses_the_default() -> None:
    """If the config has no lr, the default of the optimizer is multiplied; Rprop has no weight decay."""
    model = nn.Linear(1, 1)
    built = build_optimizer(model, {"type": "Adam", "paramwise_cfg": {"bias_lr_mult": 2}})
    assert [group["lr"] for group in built.param_groups] == [1e-3, 2e-3]
    built = build_optimizer(model, {"type": "Rprop", "lr": 0.5, "paramwise_cfg": {"bias_lr_mult": 2}})
    assert [group["lr"] for group in built.param_groups] == [0.5, 1.0]


def shared() -> nn.Module:
    model = nn.Module()
    model.conv1 = nn.Conv2d(1, 1, 1, bias=False)
    model.conv3 = nn.Sequential(model.conv1, nn.Conv2d(1, 1, 1))
    return model


def test_a_parameter_under_two_names() -> None:
    """It is refused with a suggestion, or skipped with a warning."""
    cfg = {"type": "SGD", "lr": 1.0, "paramwise_cfg": {"bias_lr_mult": 2}}
    with pytest.raises(ValueError, match=r"conv3\.0\.weight .* under another name.*bypass_duplicate=True"):
        build_optimizer(shared(), cfg)
    cfg["paramwise_cfg"]["bypass_duplicate"] = True
    with pytest.warns(UserWarning, match=r"^conv3\.0 is duplicate") as told:
        built = build_optimizer(shared(), cfg)
    assert len(told) == 1
    assert len(built.param_groups) == 3


def test_unused_custom_key_causes_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    """The warning for a custom key without effect has a suggestion."""
    settings({"custom_keys": {"hed": {"lr_mult": 2}, ".scale": {}}})
    assert [record.message for record in caplog.records] == [
        "The custom key 'hed' is in the name of no parameter. Did you mean 'head'?"
    ]


WRONG_PARAMWISE: list[tuple[Any, dict[str, Any], type[Exception], str]] = [
    ({"bias_lr_mul": 2}, {}, ValueError, r"no setting 'bias_lr_mul'\. Did you mean 'bias_lr_mult'"),
    ({"custom_keys": ["a"]}, {}, TypeError, "custom_keys must be a dict of"),
    ({"custom_keys": {"a": 1}}, {}, TypeError, "settings of a custom key"),
    ({"custom_keys": {"a": {"lr_mul": 1}}}, {}, ValueError, r"no setting 'lr_mul'\. Did you mean 'lr_mult'"),
    ({"bias_lr_mult": "2"}, {}, TypeError, "bias_lr_mult must be a number, not '2'"),
    ({"bypass_duplicate": 1}, {}, TypeError, "bypass_duplicate must be True or False"),
    ({"bias_decay_mult": 1}, {"weight_decay": None}, ValueError, "multiplies weight_decay"),
    ({"norm_decay_mult": 1}, {"weight_decay": None}, ValueError, "multiplies weight_decay"),
    ({"dwconv_decay_mult": 1}, {"weight_decay": None}, ValueError, "multiplies weight_decay"),
    (
        {"custom_keys": {"a": {"decay_mult": 1}}},
        {"weight_decay": None},
        ValueError,
        "multiplies weight_decay",
    ),
    ("bias", {}, TypeError, "paramwise_cfg must be a dict or None"),
]


@pytest.mark.parametrize(("paramwise", "optimizer", "error", "text"), WRONG_PARAMWISE)
def test_wrong_paramwise(
    paramwise: Any, optimizer: dict[str, Any], error: type[Exception], text: str
) -> None:
    """An invalid ``paramwise_cfg`` raises the same type of error as in MMCV, with a suggestion."""
    with pytest.raises(error, match=text):
        DefaultOptimizerConstructor({"type": "SGD", "lr": 1, "weight_decay": 1, **optimizer}, paramwise)


def test_optimizer_config_is_a_dict() -> None:
    """Any other type is a TypeError."""
    with pytest.raises(TypeError, match="optimizer_cfg must be a dict"):
        DefaultOptimizerConstructor("SGD")


def test_custom_constructor() -> None:
    """A registered subclass reads its own keys, and may build anything."""

    @OPTIMIZER_BUILDERS.register_module()
    class Layerwise(DefaultOptimizerConstructor):
        def add_params(self, params: Any, module: Any, prefix: str = "", is_dcn_module: Any = None) -> None:
            for depth, (_, p) in enumerate(module.named_parameters()):
                params.append({"params": [p], "lr": self.base_lr * self.paramwise_cfg["decay_rate"] ** depth})

    cfg = {"type": "SGD", "lr": 8.0, "constructor": "Layerwise", "paramwise_cfg": {"decay_rate": 0.5}}
    assert [g["lr"] for g in build_optimizer(nn.Linear(1, 1), cfg).param_groups] == [8.0, 4.0]
    assert cfg["constructor"] == "Layerwise"
    built = build_optimizer_constructor({"type": "Layerwise", "optimizer_cfg": {"type": "SGD", "lr": 1}})
    assert isinstance(built, Layerwise)


def test_several_optimizers() -> None:
    """Each named part of a model gets its own optimizer."""
    model = TinyNet()
    built = build_optimizer(
        OnDevice(model, torch.device("cpu")),
        {
            "norm": {"type": "SGD", "lr": 1.0},
            "fc": {"type": "Adam", "lr": 2.0, "paramwise_cfg": {"bias_lr_mult": 3}},
        },
    )
    assert {name: type(each).__name__ for name, each in built.items()} == {"norm": "SGD", "fc": "Adam"}
    assert [g["lr"] for g in built["fc"].param_groups] == [2.0, 6.0]
    assert built["norm"].param_groups[0]["params"][0] is model.norm.weight
    with pytest.raises(
        ValueError, match=r"optimizer for 'fcc', and TinyNet has no such submodule.*Did you mean 'fc'"
    ):
        build_optimizer(model, {"fcc": {"type": "SGD"}})


def test_optimizer_by_import_path_and_its_switches() -> None:
    """An optimizer can be named by its import path; ``foreach`` and ``fused`` are passed on."""
    built = build_optimizer(
        Scalar(), {"type": "torch.optim.AdamW", "lr": 1.0, "foreach": False, "fused": True}
    )
    assert (built.defaults["foreach"], built.defaults["fused"]) == (False, True)
