"""Tests of the environment for bug reports."""

from __future__ import annotations

import sys

import pytest
import torch

from cfgtrain import environment
from cfgtrain.environment import collect_env, describe_environment


def test_mmcv_keys() -> None:
    """The dict has the keys of MMCV's report, and the version of cfgtrain instead of MMCV's."""
    env = collect_env()
    expected = {
        "sys.platform", "Python", "CUDA available", "GCC", "PyTorch", "PyTorch compiling details", "OpenCV", "cfgtrain",
    }  # fmt: skip
    assert expected <= set(env)
    assert env["sys.platform"] == sys.platform
    assert env["Python"] == sys.version.replace("\n", "")
    assert env["PyTorch"] == torch.__version__
    assert env["CUDA available"] is torch.cuda.is_available()


def test_gpus_are_grouped(monkeypatch: pytest.MonkeyPatch, tmp_path: object) -> None:
    """GPUs with the same name share one key, and NVCC is that of CUDA_HOME."""
    names = ["A100", "T4", "A100"]
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 3)
    monkeypatch.setattr(torch.cuda, "get_device_name", names.__getitem__)
    monkeypatch.setenv("CUDA_HOME", str(tmp_path))
    monkeypatch.setattr(
        environment, "_output_of", lambda *words: "" if words[0] == "gcc" else "nvcc\nBuild 12\n"
    )
    env = collect_env()
    assert (env["GPU 0,2"], env["GPU 1"], env["CUDA_HOME"]) == ("A100", "T4", str(tmp_path))
    assert (env["NVCC"], env["GCC"]) == ("Build 12", "n/a")


def test_missing_programs() -> None:
    """A program that is missing or fails is shown as n/a."""
    assert environment._first_line("not-there-at-all") == environment._first_line("false") == "n/a"


def test_describe_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """The groups contain versions, devices and environment variables that are set, all as str."""
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.delenv("RANK", raising=False)
    facts = describe_environment()
    assert list(facts) == ["cfgtrain", "system", "torch", "devices", "libraries", "variables"]
    assert facts["torch"]["version"] == torch.__version__
    assert facts["variables"]["OMP_NUM_THREADS"] == "1"
    assert "RANK" not in facts["variables"]
    assert {"numpy", "PyYAML", "addict", "pillow", "packaging", "urllib3"} <= set(facts["libraries"])
    assert all(isinstance(value, str) for group in facts.values() for value in group.values())
