"""Registries: names for classes and functions, and how configs build them."""

from cfgtrain.registry.registry import Registry, build_cfg, build_from_cfg

__all__ = ["Registry", "build_cfg", "build_from_cfg"]
