"""Checkpoints: written atomically, verified, and loaded without running code."""

from cfgtrain.checkpoint.load import load_checkpoint, read_checkpoint
from cfgtrain.checkpoint.save import save_checkpoint
from cfgtrain.checkpoint.state_dict import get_state_dict, load_state_dict, weights_to_cpu

__all__ = [
    "get_state_dict",
    "load_checkpoint",
    "load_state_dict",
    "read_checkpoint",
    "save_checkpoint",
    "weights_to_cpu",
]
