"""Training on the CPU and, where there is one, on a CUDA device; ``make gpu`` runs the tests that need one."""

from __future__ import annotations

import gc
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny import same
from torch import Tensor, nn
from torch import distributed as dist

from cfgtrain import Config
from cfgtrain.check.dry_run import try_batches
from cfgtrain.checkpoint import read_checkpoint
from cfgtrain.data.builder import build_dataloader
from cfgtrain.evaluation.inference import multi_gpu_test
from cfgtrain.experiment.assembly import assemble_run
from cfgtrain.parallel import MMDistributedDataParallel
from cfgtrain.parallel.dist import allreduce_grads, allreduce_params
from cfgtrain.parallel.fsdp import shard_model, shard_optimizers
from cfgtrain.parallel.launch import process_group
from cfgtrain.parallel.wrappers import OnDevice
from cfgtrain.runner import HOOKS, Hook
from cfgtrain.train import train
from cfgtrain.utils.logging import get_logger

DEVICES = ["cpu", pytest.param("cuda", marks=pytest.mark.gpu)]


class Images:
    """Fourteen images and labels."""

    def __len__(self) -> int:
        return 14

    def __getitem__(self, index: int) -> dict[str, Any]:
        return {"img": torch.full((3, 16, 16), index / 7) + torch.randn(3, 16, 16), "gt_label": index % 3}


class Net(nn.Module):
    """Two convolutions with normalization and dropout, and a linear layer."""

    def __init__(self, dropout: float = 0.2, width: int = 8) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(3, width, 3),
            nn.BatchNorm2d(width),
            nn.ReLU(),
            nn.Dropout(dropout),
            nn.Conv2d(width, 8, 3),
            nn.ReLU(),
        )
        self.fc = nn.Linear(8, 3)

    def forward(self, img: Tensor, gt_label: Tensor | None = None, return_loss: bool = True) -> Any:
        scores = self.fc(self.body(img).mean((2, 3)))
        return {"loss": nn.functional.cross_entropy(scores, gt_label)} if return_loss else scores

    def train_step(self, data: dict[str, Any], optimizer: Any = None, **kwargs: Any) -> dict[str, Any]:
        return self(**data)

    val_step = train_step


class Blocks(Net):
    """Six blocks of eight functions, of which each keeps 16 MB for the backward pass."""

    def __init__(self) -> None:
        super().__init__()
        blocks = nn.Sequential(*(nn.Sequential(*(nn.GELU() for _ in range(8))) for _ in range(6)))
        self.body = nn.Sequential(nn.Conv2d(3, 4096, 1), blocks, nn.Conv2d(4096, 8, 1))


class SeeSteps(Hook):
    """Records the losses, the memory in use and the layouts of the batches and weights."""

    def __init__(self) -> None:
        self.losses: list[Tensor] = []
        self.memory: list[int] = []
        self.pinned: list[bool] = []

    def after_train_iter(self, runner: Any) -> None:
        self.losses.append(runner.outputs["loss"].detach().cpu())
        self.pinned.append(runner.data_batch["img"].is_pinned())
        if torch.cuda.is_available():
            self.memory.append(torch.cuda.memory_allocated())


def config(name: str, device: str, epochs: int = 2, **keys: Any) -> Config:
    images = {"type": f"{__name__}.Images"}
    return Config(
        {
            "model": {"type": f"{__name__}.Net"},
            "data": {"samples_per_gpu": 4, "train": images, "val": images},
            "optimizer": {"type": "SGD", "lr": 0.05, "momentum": 0.9},
            "runner": {"type": "EpochBasedRunner", "max_epochs": epochs},
            "evaluation": {"metrics": ["Accuracy"]},
            "seed": 1,
            "deterministic": True,
            "dry_run": False,
            "device": device,
            "work_dir": name,
            **keys,
        }
    )


def weights_of(name: str, device: str, epochs: int = 2, launcher: str | None = None, **keys: Any) -> Any:
    """Return the weights at the end of a run."""
    train(config(name, device, epochs, **keys), launcher=launcher)
    return read_checkpoint(Path(name) / f"epoch_{epochs}.pth")["state_dict"]


def steps_of(name: str, device: str, epochs: int = 2, **keys: Any) -> SeeSteps:
    """Return what a hook has seen in a run."""
    hooks = [{"type": "SeeSteps", "priority": "VERY_LOW"}]
    runner = train(config(name, device, epochs, custom_hooks=hooks, **keys)).runner
    return next(hook for hook in runner.hooks if isinstance(hook, SeeSteps))


@pytest.fixture(autouse=True)
def registered() -> Iterator[None]:
    """Register the hook, and put back what a run sets for the process."""
    HOOKS.register_module(module=SeeSteps)
    yield
    torch.use_deterministic_algorithms(False)
    torch.compiler.reset()
    torch.set_float32_matmul_precision("highest")
    torch.backends.cudnn.allow_tf32 = True


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Set the environment variables of torchrun for one process."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    variables = {"RANK": 0, "LOCAL_RANK": 0, "WORLD_SIZE": 1, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    for name, value in variables.items():
        monkeypatch.setenv(name, str(value))


@pytest.mark.usefixtures("environment")
@pytest.mark.parametrize("device", DEVICES)
def test_a_process_group_of_one_process(device: str) -> None:
    """The backend is that of the device, and a distributed step, sums and an evaluation are those of a plain model."""
    torch.manual_seed(0)
    alone, shared = Net(0.0).to(device), Net(0.0).to(device)
    shared.load_state_dict(alone.state_dict())
    batch = {"img": torch.randn(4, 3, 16, 16), "gt_label": torch.tensor([0, 1, 2, 0])}
    with process_group("pytorch", device):
        assert dist.get_backend() == {"cpu": "gloo", "cuda": "nccl"}[device]
        model = MMDistributedDataParallel(shared, device_ids=[0] if device == "cuda" else None)
        model.train_step(batch)["loss"].backward()
        alone.train_step({key: each.to(device) for key, each in batch.items()})["loss"].backward()
        for one, other in zip(alone.parameters(), shared.parameters(), strict=True):
            torch.testing.assert_close(one.grad, other.grad)
        before = [each.clone() for each in shared.state_dict().values()]
        allreduce_params(shared.state_dict().values())
        allreduce_grads(shared.parameters())
        assert same(before, list(shared.state_dict().values()))
        loader = build_dataloader(Images(), 4, shuffle=False)
        model.eval()
        found = multi_gpu_test(model, loader, gpu_collect=True)
        assert found is not None
        assert len(found) == 14


@pytest.mark.usefixtures("environment")
@pytest.mark.parametrize("device", DEVICES)
def test_a_model_on_the_cpu_is_divided_on_its_device(device: str) -> None:
    """Its weights and the state of its optimizer arrive on the device, and the whole ones are freed."""
    torch.manual_seed(0)
    models = [Net(0.0), Net(0.0)]
    models[1].load_state_dict(models[0].state_dict())
    batch = {
        "img": torch.randn(4, 3, 16, 16, device=device),
        "gt_label": torch.tensor([0, 1, 2, 0], device=device),
    }
    with process_group("pytorch", device):
        for model in models:
            optimizer = torch.optim.Adam(model.parameters(), fused=True)
            for parameter in model.parameters():
                parameter.grad = torch.ones_like(parameter)
            optimizer.step()
            optimizer.zero_grad()
            if model is models[0]:
                whole = list(model.parameters())
                shard_optimizers(optimizer, shard_model(model, torch.device(device)))
                assert all(each.numel() == 0 for each in whole)
            else:
                state = optimizer.state_dict()
                model.to(device)
                optimizer.load_state_dict(state)
            model.train_step(batch)["loss"].backward()
            optimizer.step()
        for one, other in zip(*(model.parameters() for model in models), strict=True):
            assert one.device.type == device
            torch.testing.assert_close(one.full_tensor(), other)


@pytest.mark.gpu
def test_a_model_that_will_be_divided_is_tried_on_its_device() -> None:
    """It is on the CPU before and after the dry run, with the same weights."""
    cfg = Config.fromfile("cfgtrain::digits/lenet5.py")
    cfg.merge_from_dict({"device": "cuda", "seed": 1})
    runner, loaders, _ = assemble_run(cfg, None, get_logger("cfgtrain"))
    runner.model = OnDevice(runner.model.module.cpu(), torch.device("cuda"), move=False)
    before = {name: each.clone() for name, each in runner.model.state_dict().items()}
    result = try_batches(cfg, runner, loaders)
    assert result.loss is not None
    assert (result.problems, result.skipped) == ([], [])
    assert same(before, dict(runner.model.state_dict()))
    assert all(each.device.type == "cpu" for each in runner.model.parameters())


@pytest.mark.usefixtures("environment")
@pytest.mark.parametrize("device", DEVICES)
def test_a_run_in_a_process_group_is_that_without_one(device: str) -> None:
    """A run of one process under torchrun has the same weights as without it."""
    assert same(weights_of("alone", device, launcher="none"), weights_of("group", device, launcher="pytorch"))


@pytest.mark.usefixtures("environment")
@pytest.mark.gpu
def test_sync_bn_of_one_process() -> None:
    """Synchronized batch normalization trains as the plain one."""
    torch.manual_seed(0)
    plain = Net(0.0).cuda()
    with process_group("pytorch", "cuda"):
        synchronized = nn.SyncBatchNorm.convert_sync_batchnorm(Net(0.0)).cuda()
        synchronized.load_state_dict(plain.state_dict())
        model = MMDistributedDataParallel(synchronized, device_ids=[0])
        assert isinstance(synchronized.body[1], nn.SyncBatchNorm)
        batch = {"img": torch.randn(4, 3, 16, 16).cuda(), "gt_label": torch.tensor([0, 1, 2, 0]).cuda()}
        for each in (plain, model):
            each.train_step(batch)["loss"].backward()
    for one, other in zip(plain.parameters(), synchronized.parameters(), strict=True):
        torch.testing.assert_close(one.grad, other.grad, rtol=1e-3, atol=1e-4)
    torch.testing.assert_close(plain.body[1].running_mean, synchronized.body[1].running_mean)


@pytest.mark.parametrize("device", DEVICES)
def test_steps_that_overflow_are_skipped(device: str) -> None:
    """With a loss scale that is too high, float16 gradients overflow: the steps are skipped until it is lower."""
    keys = {"precision": "fp16", "optimizer_config": {"loss_scale": {"init_scale": 2.0**24}}}
    runner = train(config("run", device, 4, **keys)).runner
    scaler = runner.meta["fp16"]["loss_scaler"]
    assert scaler["scale"] < 2.0**24
    checkpoint = read_checkpoint(Path("run") / "epoch_4.pth")
    start = weights_of("start", device, 1, optimizer={"type": "SGD", "lr": 0.0})
    weights = checkpoint["state_dict"]
    assert all(torch.isfinite(each).all() for each in weights.values())
    assert not same(weights["fc.weight"], start["fc.weight"])


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize(
    ("keys", "tolerance"),
    [
        ({"precision": "bf16"}, 0.05),
        ({"precision": "fp16"}, 0.05),
        ({"channels_last": True}, 1e-2),
        ({"channels_last": True, "precision": "bf16"}, 0.05),
        ({"compile": {"backend": "aot_eager"}}, 1e-2),
        ({"activation_checkpointing": ["body"]}, 1e-3),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, dict) else "",
)
def test_losses_are_those_of_a_plain_run(device: str, keys: dict[str, Any], tolerance: float) -> None:
    """The keys change the losses by rounding only."""
    model = {"type": f"{__name__}.Net", "dropout": 0.0}
    plain = torch.stack(steps_of("plain", device, 1, model=model).losses).float()
    other = torch.stack(steps_of("other", device, 1, model=model, **keys).losses).float()
    torch.testing.assert_close(plain, other, rtol=0, atol=tolerance)


@pytest.mark.gpu
def test_losses_of_the_default_compiler_are_those_of_a_plain_run() -> None:
    """Kernels of inductor change the losses by rounding only."""
    model = {"type": f"{__name__}.Net", "dropout": 0.0}
    plain = torch.stack(steps_of("plain", "cuda", 1, model=model).losses)
    other = torch.stack(steps_of("other", "cuda", 1, model=model, compile=True).losses)
    torch.testing.assert_close(plain, other, rtol=0, atol=1e-2)


@pytest.mark.parametrize("device", DEVICES)
def test_weights_and_outputs_have_the_channels_last(device: str) -> None:
    """The weights of convolutions, and what they return, are stored with the channels last."""
    result = train(config("run", device, 1, channels_last=True, precision="bf16"))
    model = next(each for each in result.runner.model.modules() if isinstance(each, Net))
    assert model.body[4].weight.is_contiguous(memory_format=torch.channels_last)
    seen: list[bool] = []
    model.body[4].register_forward_hook(
        lambda module, args, output: seen.append(output.is_contiguous(memory_format=torch.channels_last))
    )
    with torch.no_grad(), torch.autocast(device, torch.bfloat16):
        model(torch.randn(2, 3, 16, 16, device=device), return_loss=False)
    assert seen == [True]


@pytest.mark.parametrize("device", DEVICES)
def test_a_run_resumed_within_an_epoch_has_the_same_bits(device: str) -> None:
    """A checkpoint between two iterations has the random state of the device, which dropout needs."""
    keys = {"checkpoint_config": {"interval": 3, "by_epoch": False}}
    whole = config("whole", device, 2, **keys)
    train(whole)
    train(config("parts", device, 2, resume_from="whole/iter_3.pth", **keys))
    ends = [read_checkpoint(Path(name) / "iter_6.pth") for name in ("whole", "parts")]
    assert same(ends[0]["state_dict"], ends[1]["state_dict"])
    assert same(ends[0]["optimizer"], ends[1]["optimizer"])


@pytest.mark.gpu
@pytest.mark.parametrize("workers", [0, 1])
def test_batches_are_pinned(workers: int) -> None:
    """Batches for a CUDA device are in pinned memory where the config says so, and trained as others."""
    images = {"type": f"{__name__}.Images"}
    found = []
    for pin_memory in (True, False):
        data = {"samples_per_gpu": 4, "workers_per_gpu": workers, "train": images, "val": images}
        steps = steps_of(f"run_{pin_memory}", "cuda", 1, data={**data, "pin_memory": pin_memory})
        assert set(steps.pinned) == {pin_memory}
        found.append(steps.losses)
    assert same(*found)


@pytest.mark.gpu
def test_memory_does_not_grow() -> None:
    """The memory in use after the iterations of an epoch is the same early and late in a run."""
    memory = steps_of("run", "cuda", 12, precision="fp16", log_config={"interval": 1}).memory
    epochs = [memory[at : at + 4] for at in range(0, len(memory), 4)]
    assert max(epochs[-1]) <= max(epochs[3])


@pytest.mark.gpu
def test_activation_checkpointing_lowers_the_peak_of_a_run() -> None:
    """Only the inputs of the blocks are kept for the backward pass."""
    peaks = []
    for name, patterns in (("plain", []), ("checkpointed", ["body.1.*"])):
        gc.collect()
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
        model = {"type": f"{__name__}.Blocks"}
        steps_of(name, "cuda", 1, model=model, activation_checkpointing=patterns)
        peaks.append(torch.cuda.max_memory_allocated())
    assert peaks[1] < 0.7 * peaks[0]


@pytest.mark.gpu
def test_tf32_has_fewer_bits() -> None:
    """The key changes what matrix products compute, not only a setting."""
    a = torch.rand(256, 256, device="cuda")
    exact = (a.double() @ a.double()).float()
    errors = []
    for tf32 in (False, True):
        weights_of(f"run_{tf32}", "cuda", 1, tf32=tf32)
        errors.append(((a @ a) / exact - 1).abs().max().item())
    assert errors[0] < 1e-5 < errors[1]


@pytest.mark.gpu
@pytest.mark.skipif(torch.cuda.device_count() < 2, reason="weights are divided among GPUs")
def test_fsdp_on_all_devices(tmp_path: Path) -> None:
    """A run with one process per GPU writes shards, and one process goes on from them."""
    (tmp_path / "fsdp.py").write_text(FSDP)
    command = [sys.executable, "-m", "cfgtrain", "train", "fsdp.py"]
    several = ["--nproc", str(torch.cuda.device_count()), "--cfg-options", "runner.max_epochs=2"]
    alone = ["--resume", "auto", "--cfg-options", "runner.max_epochs=3"]
    for words in (several, alone):
        done = subprocess.run(
            [*command, *words], cwd=tmp_path, capture_output=True, text=True, timeout=200, check=False
        )
        assert done.returncode == 0, done.stderr
    folder = tmp_path / "work_dirs" / "fsdp"
    assert (folder / "epoch_2" / "cfgtrain.pth").is_file()
    assert (folder / "epoch_3.pth").is_file()


FSDP = """
_base_ = 'cfgtrain::digits/lenet5.py'
parallel = dict(type='FSDP')
precision = 'bf16'
checkpoint_config = dict(interval=1)
device = 'cuda'
seed = 1
"""
