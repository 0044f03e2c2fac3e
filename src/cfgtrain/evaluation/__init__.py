"""Run a model on a dataset and score its results."""

from cfgtrain.evaluation.inference import multi_gpu_test, single_gpu_test
from cfgtrain.evaluation.scoring import evaluate

__all__ = ["evaluate", "multi_gpu_test", "single_gpu_test"]
