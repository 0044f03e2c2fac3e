"""Describe the environment of a run, for bug reports."""

from __future__ import annotations

import importlib
import os
import platform
import shutil
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import torch

from cfgtrain.introspection.cpus import count_usable_cpus

__all__ = ["collect_env", "describe_environment"]

LIBRARIES = (
    "numpy", "opencv-python-headless", "opencv-python", "PyYAML", "typer", "rich", "addict", "pillow", "packaging",
    "urllib3",
)  # fmt: skip
EXTRAS = (
    "torchvision",
    "timm",
    "tifffile",
    "tensorboard",
    "wandb",
    "mlflow",
    "safetensors",
    "lmdb",
)
# Environment variables that change how a run behaves.
VARIABLES = (
    "CUDA_VISIBLE_DEVICES", "CUDA_HOME", "OMP_NUM_THREADS", "MKL_NUM_THREADS", "PYTHONPATH", "PYTORCH_CUDA_ALLOC_CONF",
    "CUBLAS_WORKSPACE_CONFIG", "NCCL_DEBUG", "RANK", "WORLD_SIZE", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT",
    "SLURM_PROCID",
)  # fmt: skip
ABSENT = "n/a"


def collect_env() -> dict[str, str | bool]:
    """Return the environment with the keys of MMCV's bug reports, and the version of cfgtrain.

    If there is a GPU, the dict also has ``CUDA_HOME``, ``NVCC``, and for each kind of GPU a key such as
    ``"GPU 0,1"`` with its name. A missing value is ``"n/a"``.
    """
    env: dict[str, str | bool] = {
        "sys.platform": sys.platform,
        "Python": sys.version.replace("\n", ""),
        "CUDA available": torch.cuda.is_available(),
    }
    if torch.cuda.is_available():
        env |= _gpus()
        home = _cuda_home()
        env["CUDA_HOME"] = home or ABSENT
        env["NVCC"] = _last_line("nvcc", "--version", home=home)
    env["GCC"] = _first_line("gcc", "--version")
    env["PyTorch"] = torch.__version__
    env["PyTorch compiling details"] = torch.__config__.show()
    if (vision := _version("torchvision")) is not None:
        env["TorchVision"] = vision
    env["OpenCV"] = _opencv()
    env["cfgtrain"] = _version("cfgtrain") or ABSENT
    return env


def describe_environment() -> dict[str, dict[str, str]]:
    """Return the environment grouped by subject, short enough for one screen.

    The subjects are ``"cfgtrain"``, ``"system"``, ``"torch"``, ``"devices"``, ``"libraries"`` and
    ``"variables"`` (environment variables that change how a run behaves).
    """
    return {
        "cfgtrain": {
            "version": _version("cfgtrain") or ABSENT,
            "folder": str(Path(__file__).parent),
            "Python": f"{platform.python_version()} at {sys.executable}",
        },
        "system": {
            "platform": platform.platform(),
            "CPUs": f"{count_usable_cpus()} of {os.cpu_count()} usable, {platform.machine()}",
            "memory": _memory(),
            "GCC": _first_line("gcc", "--version"),
        },
        "torch": _torch(),
        "devices": _devices(),
        "libraries": {name: found for name in (*LIBRARIES, *EXTRAS) if (found := _version(name)) is not None},
        "variables": {name: os.environ[name] for name in VARIABLES if name in os.environ},
    }


def _torch() -> dict[str, str]:
    facts = {
        "version": torch.__version__,
        "threads": str(torch.get_num_threads()),
        "distributed": ", ".join(_distributed()) or "none",
    }
    if torch.version.cuda is not None:
        facts["built for"] = f"CUDA {torch.version.cuda}"
        facts["cuDNN"] = str(torch.backends.cudnn.version() or ABSENT)  # type: ignore[no-untyped-call]
    elif torch.version.hip is not None:
        facts["built for"] = f"ROCm {torch.version.hip}"
    else:
        facts["built for"] = "CPU"
    return facts


def _distributed() -> list[str]:
    if not torch.distributed.is_available():
        return []
    backends = ("gloo", "nccl", "mpi")
    return [name for name in backends if getattr(torch.distributed, f"is_{name}_available")()]


def _devices() -> dict[str, str]:
    found = {}
    if torch.cuda.is_available():
        for i in range(torch.cuda.device_count()):
            card = torch.cuda.get_device_properties(i)
            found[f"cuda:{i}"] = (
                f"{card.name}, {card.total_memory / 2**30:.1f} GiB, capability {card.major}.{card.minor}"
            )
        found["NVCC"] = _last_line("nvcc", "--version", home=_cuda_home())
    if torch.backends.mps.is_available():
        found["mps"] = "Apple GPU"
    return found or {"cpu": "no GPU that this PyTorch can use"}


def _gpus() -> dict[str, str]:
    """Return the names of the GPUs, with one key such as ``"GPU 0,1"`` for all GPUs of the same name."""
    by_name: dict[str, list[str]] = {}
    for i in range(torch.cuda.device_count()):
        by_name.setdefault(torch.cuda.get_device_name(i), []).append(str(i))
    return {f"GPU {','.join(numbers)}": name for name, numbers in by_name.items()}


def _cuda_home() -> str | None:
    home = os.environ.get("CUDA_HOME") or os.environ.get("CUDA_PATH")
    nvcc = shutil.which("nvcc")
    return home or (str(Path(nvcc).resolve().parent.parent) if nvcc else None)


def _opencv() -> str:
    try:
        return str(importlib.import_module("cv2").__version__)
    except ImportError:
        return ABSENT


def _version(distribution: str) -> str | None:
    try:
        return version(distribution)
    except PackageNotFoundError:
        return None


def _memory() -> str:
    try:
        return f"{os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 2**30:.1f} GiB"
    except (ValueError, OSError):
        return ABSENT


def _first_line(program: str, *args: str) -> str:
    return _output_of(program, *args).partition("\n")[0] or ABSENT


def _last_line(program: str, *args: str, home: str | None = None) -> str:
    in_home = Path(home or "", "bin", program)
    output = _output_of(str(in_home) if home and in_home.is_file() else program, *args)
    return output.rstrip().rpartition("\n")[2] or ABSENT


def _output_of(program: str, *args: str) -> str:
    """Return the output of a program, or "" if it is not installed or fails."""
    try:
        done = subprocess.run([program, *args], capture_output=True, text=True, timeout=10, check=True)  # noqa: S603  # fixed arguments
    except (OSError, subprocess.SubprocessError, UnicodeDecodeError):
        return ""
    return done.stdout
