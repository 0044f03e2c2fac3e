"""Devices, model wrappers, and communication between processes."""

from cfgtrain.parallel.data import to_device
from cfgtrain.parallel.device import pick_device
from cfgtrain.parallel.wrappers import OnDevice, is_module_wrapper, unwrap_model

__all__ = ["OnDevice", "is_module_wrapper", "pick_device", "to_device", "unwrap_model"]
