from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parent.parent / "benchmarks"


def run(name: str, *words: str) -> str:
    """Return what a benchmark prints."""
    command = [sys.executable, BENCHMARKS / name, *words]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, env=dict(os.environ))
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_gpu_benchmark_on_the_cpu() -> None:
    """It trains tiny models with both loops and prints the rates, their ratio and the fraction of the matrix rate."""
    out = run("gpu.py", "--cpu", "--only", "tiny ViT", "--pairs", "2")
    assert re.search(r"matrix rate in bfloat16 [\d.e-]+ TFLOP/s", out)
    assert re.search(r"images per second: \d+ with the runner, \d+ by hand; ratio \d\.\d{3}\n", out)
    assert "of 2 pairs of 2 iterations\n" in out
    flops = re.search(r"([\d.e-]+) GFLOP per image, [\d.e-]+ TFLOP/s = [\d.]+% of the matrix rate", out)
    assert flops is not None
    # Two layers of 12 d^2 weights for 5 tokens and the patch embedding of 4, times 2 operations and 3 passes.
    estimate = 6 * (2 * 8 * 32**2 * 5 + 3 * 16 * 16 * 32 * 4)
    assert float(flops[1]) * 1e9 == pytest.approx(estimate, rel=0.35)


def test_the_runners_keep_within_their_budget_of_calls() -> None:
    """Unlike times, the calls that a runner and its hooks add to an iteration are the same in each run."""
    out = run("loop.py", "--only", "calls")
    added = [float(number) for number in re.findall(r"budget 40 calls: ([\d.]+), ", out)]
    assert len(added) == 2
    assert max(added) <= 40
    assert out.count("override no stage: +0\n") == 2


@pytest.mark.slow
def test_distributed_benchmark_finds_the_same_operators_and_collectives() -> None:
    """With two processes, the runner has the operators and the collectives of a loop that is written by hand."""
    out = run("distributed.py", "--only", "collectives", "operators")
    assert out.count("the same") == 3 + 5
