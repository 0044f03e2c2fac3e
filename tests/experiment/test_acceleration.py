from __future__ import annotations

import logging
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny import same
from torch import Tensor, nn

from cfgtrain import Config
from cfgtrain.checkpoint import read_checkpoint
from cfgtrain.cnn.tools.activation_checkpointing import checkpoint_activations
from cfgtrain.errors import ConfigValueError
from cfgtrain.predict import load_model
from cfgtrain.test import test as score
from cfgtrain.train import train

needs_cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
DTYPES: list[tuple[bool, torch.dtype]] = []  # of the outputs of Net, and whether it was training


class Images:
    """Seven images and labels."""

    def __len__(self) -> int:
        return 7

    def __getitem__(self, index: int) -> dict[str, Any]:
        return {"img": torch.full((3, 8, 8), index / 7) + 0.1 * torch.randn(3, 8, 8), "gt_label": index % 3}


class Net(nn.Module):
    """A convolution, a normalization, a dropout and a linear layer."""

    def __init__(self, dropout: float = 0.2) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.Dropout(dropout))
        self.fc = nn.Linear(8, 3)

    def forward(self, img: Tensor, gt_label: Tensor | None = None, return_loss: bool = True) -> Any:
        scores = self.fc(self.body(img).mean((2, 3)))
        if not torch.compiler.is_compiling():
            DTYPES.append((self.training, scores.dtype))
        return {"loss": nn.functional.cross_entropy(scores, gt_label)} if return_loss else scores

    def train_step(self, data: dict[str, Any], optimizer: Any = None, **kwargs: Any) -> dict[str, Any]:
        return self(**data)

    val_step = train_step


def config(name: str, epochs: int = 2, device: str = "cpu", **keys: Any) -> Config:
    images = {"type": f"{__name__}.Images"}
    return Config(
        {
            "model": {"type": f"{__name__}.Net"},
            "data": {"samples_per_gpu": 3, "train": images, "val": images, "test": images},
            "optimizer": {"type": "SGD", "lr": 0.1, "momentum": 0.9},
            "runner": {"type": "EpochBasedRunner", "max_epochs": epochs},
            "evaluation": {"metrics": ["Accuracy"]},
            "lr_config": {"policy": "step", "step": [1]},
            "workflow": [("train", 1), ("val", 1)],
            "seed": 1,
            "device": device,
            "resume_from": "auto",
            "work_dir": name,
            **keys,
        }
    )


def trained(name: str, epochs: int = 2, device: str = "cpu", **keys: Any) -> dict[str, Any]:
    """Return the checkpoint at the end of a run."""
    train(config(name, epochs, device, **keys))
    return dict(read_checkpoint(Path(name) / f"epoch_{epochs}.pth"))


@pytest.fixture(autouse=True)
def forgotten() -> Iterator[None]:
    """Forget what was compiled, and the precision of the process."""
    DTYPES.clear()
    yield
    torch.compiler.reset()
    torch.set_float32_matmul_precision("highest")


KEYS: list[dict[str, Any]] = [
    {"precision": "bf16"},
    {"precision": "fp16"},
    {"channels_last": True},
    {"compile": {"backend": "aot_eager"}, "precision": "bf16", "activation_checkpointing": ["body"]},
    {"activation_checkpointing": ["body"]},
    {"auto_scale_lr": {"base_batch_size": 12}},
    {
        "optimizer": {"type": "AdamW", "fused": True},
        "precision": "fp16",
        "optimizer_config": {"grad_clip": {"max_norm": 1.0}},
    },
]


@pytest.mark.parametrize("keys", KEYS, ids=lambda keys: "-".join(keys))
def test_a_resumed_run_has_the_same_bits(keys: dict[str, Any]) -> None:
    """A run that continues after its first epoch ends as an unbroken one, with the names of a plain model."""
    trained("parts", 1, **keys)
    parts, whole = trained("parts", 2, **keys), trained("whole", 2, **keys)
    assert same(parts["state_dict"], whole["state_dict"])
    assert same(parts["optimizer"], whole["optimizer"])
    assert list(whole["state_dict"]) == list(Net().state_dict())
    assert all(each.dtype in (torch.float32, torch.int64) for each in whole["state_dict"].values())


@pytest.mark.parametrize(
    ("keys", "tolerance"),
    [
        ({"precision": "bf16"}, 0.02),
        ({"channels_last": True}, 1e-5),
        ({"compile": {"backend": "aot_eager"}, "activation_checkpointing": ["body"]}, 1e-5),
        ({"activation_checkpointing": ["body"]}, 0.0),
        ({"optimizer": {"type": "SGD", "lr": 0.1, "momentum": 0.9, "fused": True}}, 1e-5),
        (
            {
                "auto_scale_lr": {"base_batch_size": 6},
                "optimizer": {"type": "SGD", "lr": 0.2, "momentum": 0.9},
            },
            0.0,
        ),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, dict) else "",
)
def test_weights_are_those_of_a_plain_run(keys: dict[str, Any], tolerance: float) -> None:
    """The keys change the result by rounding only."""
    model = {"type": f"{__name__}.Net", "dropout": 0.0}  # its mask is drawn in the order of the memory
    plain = trained("plain", 1, model=model)["state_dict"]
    other = trained("other", 1, model=model, **keys)["state_dict"]
    for name, weight in plain.items():
        torch.testing.assert_close(other[name], weight, rtol=0, atol=tolerance)


@pytest.mark.parametrize(
    ("keys", "training", "evaluation"),
    [
        ({}, torch.float32, torch.float32),
        ({"precision": "fp32"}, torch.float32, torch.float32),
        ({"precision": "bf16"}, torch.bfloat16, torch.bfloat16),
        ({"precision": "fp16"}, torch.float16, torch.float16),
        ({"fp16": {}}, torch.float16, torch.float16),
        ({"optimizer_config": {"dtype": "bfloat16"}}, torch.bfloat16, torch.float32),
    ],
)
def test_evaluations_have_the_precision_of_the_run(
    keys: dict[str, Any], training: torch.dtype, evaluation: torch.dtype
) -> None:
    """Training steps, val flows, evaluations, tests and predictions compute in the precision; scores get float32."""
    cfg = config("run", 1, dry_run=False, **keys)
    train(cfg)  # three batches each of training, val flow, evaluation and test
    assert [dtype for is_training, dtype in DTYPES if is_training] == [training] * 3
    assert [dtype for is_training, dtype in DTYPES if not is_training] == [evaluation] * 9
    DTYPES.clear()
    score(cfg)
    assert {dtype for _, dtype in DTYPES} == {evaluation}
    assert vars(load_model(cfg, "run/epoch_1.pth").model).get("inference_dtype") == (
        None if evaluation is torch.float32 else evaluation
    )


def test_learning_rates_are_scaled_once(caplog: pytest.LogCaptureFixture) -> None:
    """The log has both values; the schedule begins with the scaled one, also in a resumed run."""
    keys = {"auto_scale_lr": {"base_batch_size": 12}, "optimizer_config": {"cumulative_iters": 2}}
    with caplog.at_level(logging.INFO):
        first = trained("run", 1, **keys)
    assert "auto_scale_lr: 6 samples per step / base_batch_size 12 = 0.5: lr 0.1 -> 0.05" in caplog.messages
    assert first["optimizer"]["param_groups"][0]["initial_lr"] == 0.05
    group = trained("run", 2, **keys)["optimizer"]["param_groups"][0]
    assert (group["initial_lr"], group["lr"]) == (0.05, pytest.approx(0.005))


def test_a_changed_factor_applies_to_a_resumed_run() -> None:
    """The learning rates are those of the new factor; other changes of the optimizer keep the old one."""
    scaling = {"auto_scale_lr": {"base_batch_size": 6}}
    trained("run", 1, **scaling)
    sgd = {"type": "SGD", "lr": 0.1, "momentum": 0.5}
    group = trained("run", 2, **scaling, optimizer=sgd)["optimizer"]["param_groups"][0]
    assert (group["initial_lr"], group["momentum"]) == (0.05, 0.5)
    group = trained("run", 3, auto_scale_lr={"base_batch_size": 12}, optimizer=sgd)["optimizer"][
        "param_groups"
    ][0]
    assert group["initial_lr"] == 0.025


@pytest.mark.parametrize("precisions", [("bf16", "fp16"), ("fp16", "fp32"), ("fp32", "bf16")])
def test_a_resumed_run_may_have_another_precision(precisions: tuple[str, str]) -> None:
    """The loss scale begins anew, or is left out."""
    trained("run", 1, precision=precisions[0])
    meta = trained("run", 2, precision=precisions[1])["meta"]
    assert meta["iter"] == 6


def test_the_first_lines_name_what_is_in_use(caplog: pytest.LogCaptureFixture) -> None:
    """The device line has every setting, and a last batch of another size is told."""
    keys = {
        "precision": "bf16",
        "channels_last": True,
        "compile": {"backend": "aot_eager"},
        "activation_checkpointing": ["bo*"],
        "tf32": True,
    }
    with caplog.at_level(logging.INFO):
        trained("run", 1, **keys)
    text = "mixed precision bfloat16, channels last, compiled by aot_eager, activation checkpointing"
    assert any(line.startswith("Device") and line.endswith(text) for line in caplog.messages)
    assert "Activation checkpointing: 1 modules: body" in caplog.messages
    assert any(
        "has 1 samples instead of 3: the model is compiled for both" in line for line in caplog.messages
    )
    assert any("tf32=True has no effect on the device cpu" in line for line in caplog.messages)


def test_a_compiler_that_is_missing_is_an_error_before_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    """The error is at the key, and nothing is left of the run."""

    def fail(*args: Any, **kwargs: Any) -> Any:
        raise RuntimeError("No working C++ compiler found.\nMore")

    monkeypatch.setattr("torch.compile", fail)
    with pytest.raises(
        ConfigValueError, match=r"No working C\+\+ compiler found\. It needs a C\+\+ compiler"
    ) as caught:
        train(config("run", compile=True))
    assert caught.value.key == "compile"
    assert not Path("run").exists()


def test_a_wrong_pattern_is_an_error_at_the_key() -> None:
    """It suggests the module that was probably meant."""
    with pytest.raises(ConfigValueError, match="'boddy' matches no module of Net") as caught:
        train(config("run", activation_checkpointing=["boddy"]))
    assert caught.value.key == "activation_checkpointing"


@pytest.mark.slow
def test_a_compiled_run_resumes_exactly_in_another_process(configs: Path) -> None:
    """With kernels of the default backend, in processes that have compiled nothing before."""
    options = ["+compile=True", "+model.dropout=0.2", "+precision=bf16", "+device=cpu"]

    def run(name: str, epochs: int) -> Any:
        words = [
            "train",
            configs / "digits" / "lenet5.py",
            "--work-dir",
            name,
            "--resume",
            "auto",
            "--cfg-options",
        ]
        command = [sys.executable, "-m", "cfgtrain", *words, f"runner.max_epochs={epochs}", *options]
        done = subprocess.run(list(map(str, command)), capture_output=True, text=True, timeout=500)
        assert done.returncode == 0, done.stderr
        return read_checkpoint(Path(name) / f"epoch_{epochs}.pth")

    run("parts", 1)
    parts, whole = run("parts", 2), run("whole", 2)
    assert same(parts["state_dict"], whole["state_dict"])
    assert same(parts["optimizer"], whole["optimizer"])


@pytest.mark.gpu
@needs_cuda
@pytest.mark.parametrize(
    "keys",
    [
        *KEYS,
        {"compile": True, "precision": "bf16", "channels_last": True},
        {"compile": {"mode": "reduce-overhead"}},
        {"tf32": True},
    ],
    ids=lambda keys: "-".join(keys),
)
def test_a_resumed_run_on_cuda_has_the_same_bits(keys: dict[str, Any]) -> None:
    """As on the CPU, with deterministic algorithms."""
    keys = {**keys, "deterministic": True}
    trained("parts", 1, "cuda", **keys)
    parts, whole = trained("parts", 2, "cuda", **keys), trained("whole", 2, "cuda", **keys)
    assert same(parts["state_dict"], whole["state_dict"])
    assert same(parts["optimizer"], whole["optimizer"])


@pytest.mark.gpu
@needs_cuda
@pytest.mark.parametrize(("tf32", "precision"), [(True, "high"), (False, "highest")])
def test_tf32_on_cuda(tf32: bool, precision: str) -> None:
    """The key sets the precision of matrix products and of convolutions."""
    trained("run", 1, "cuda", tf32=tf32)
    assert torch.get_float32_matmul_precision() == precision
    assert torch.backends.cudnn.allow_tf32 == tf32


@pytest.mark.gpu
@needs_cuda
def test_logged_losses_of_cuda_graphs_are_right() -> None:
    """Losses that are kept until the next log line are those of their iterations."""
    losses = []
    for name, keys in {"plain": {}, "graphs": {"compile": {"mode": "reduce-overhead"}}}.items():
        result = train(config(name, 2, "cuda", log_config={"interval": 2}, **keys))
        losses.append(torch.tensor(result.runner.log_buffer.val_history["loss"]))
    torch.testing.assert_close(*losses, rtol=1e-3, atol=1e-3)


@pytest.mark.gpu
@needs_cuda
def test_activation_checkpointing_saves_memory() -> None:
    """The peak of a step is lower, since the activations within modules are not kept."""
    peaks = []
    for patterns in ([], ["*"]):
        model = nn.Sequential(*(nn.Sequential(*(nn.GELU() for _ in range(8))) for _ in range(4))).cuda()
        if patterns:
            checkpoint_activations(model, patterns)
        torch.cuda.reset_peak_memory_stats()
        model(torch.randn(1024, 1024, device="cuda", requires_grad=True)).sum().backward()
        peaks.append(torch.cuda.max_memory_allocated())
    assert peaks[1] < peaks[0]
