"""The message and the hint for a name that is not in a registry."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, KeysView, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Any, Protocol

from cfgtrain.introspection.imports import near_paths
from cfgtrain.introspection.source_search import Definition, find_definition, place_of
from cfgtrain.suggestions import close_names, one_of

__all__ = ["describe_namesakes", "explain_unknown_name", "full_names"]

MAX_LISTED = 12  # names of a registry, if none is similar

# What MMCV 1.x registers and cfgtrain does not have, and what to do.
_OPERATOR = (
    " It is a compiled operator of MMCV, which cfgtrain does not have: register an implementation under this name, "
    "for example "
)
OF_MMCV = {
    **dict.fromkeys(
        ("DCN", "DCNv2", "DeformConv2d", "DeformConv2dPack", "ModulatedDeformConv2d", "ModulatedDeformConv2dPack"),
        _OPERATOR + "with torchvision.ops.DeformConv2d, which gets its offsets as an argument.",
    ),
    **dict.fromkeys(
        (
            "MaskedConv", "MultiScaleDeformableAttention", "SAC", "SparseConv2d", "SparseConv3d", "SparseConvTranspose2d",
            "SparseConvTranspose3d", "SparseInverseConv2d", "SparseInverseConv3d", "SubMConv2d", "SubMConv3d",
        ),
        _OPERATOR + "one of another package.",
    ),
    "MMSyncBN": " It is a compiled operator of MMCV; SyncBN is that of PyTorch.",
    "RFSearchHook": " cfgtrain has no search for receptive fields (RF-Next).",
}  # fmt: skip


class RegistryView(Protocol):
    """The part of ``Registry`` that its errors need, so that the two files do not import each other."""

    @property
    def name(self) -> str:
        """What the registry contains."""

    @property
    def scope(self) -> str:
        """The scope of its names."""

    @property
    def parent(self) -> RegistryView | None:
        """The registry that it extends."""

    @property
    def root(self) -> RegistryView:
        """The topmost registry of its family."""

    @property
    def children(self) -> Mapping[str, RegistryView]:
        """The registries that extend it, by scope."""

    def keys(self) -> KeysView[str]:
        """Return its names."""

    def __iter__(self) -> Iterator[str]: ...

    def get(self, key: str) -> Callable[..., Any] | None:
        """Return the entry for a key, or None."""

    def locate(self, key: str) -> tuple[RegistryView, str] | None:
        """Return the registry in which a key is looked up, and the name there."""

    def split_scope_key(self, key: str) -> tuple[str | None, str]:
        """Split a key into its scope and the rest."""


def explain_unknown_name(
    registry: RegistryView, key: str, folder: Path | None, others: Iterable[RegistryView]
) -> tuple[str, str]:
    """Return the message for a name that is not in a registry, and the hint that solves it.

    Args:
        registry: The registry that was searched.
        key: The name, with or without a scope.
        folder: The folder of the config, which is searched for a module that defines the name.
        others: All registries, of this family or not.
    """
    place = registry.locate(key)
    if place is None:
        problem, hint = _no_such_scope(registry, key, folder)
        return f"{key!r} is not in the {registry.name} registry{problem}", hint
    holder, name = place
    where = f" of scope {holder.scope!r}" if holder is not registry else ""
    hint = _hint(registry, holder, name, folder, others)
    return f"{key!r} is not in the {holder.name} registry{where}.", hint


def describe_namesakes(kind: str, target: Callable[..., Any], registries: Sequence[RegistryView]) -> str:
    """Return which class a ``type`` is, and how to name others of this name, or ``""`` if there are none.

    Args:
        kind: The ``type``, with or without a scope.
        target: The class or function that was found.
        registries: All registries.
    """
    name = kind.rpartition(".")[2]
    holders = [each for each in registries if name in each.keys()]  # noqa: SIM118  # no look-up
    kinds = {each.root.name.rstrip("s") for each in holders if each.get(name) is target}
    others = [
        each for each in holders if each.root.name.rstrip("s") in kinds and each.get(name) is not target
    ]
    if not others:
        return ""
    return f"type={kind!r} is {place_of(target)}. {full_names(name, others)}."


def full_names(name: str, holders: Iterable[RegistryView]) -> str:
    """Return how to write a name so that it is the entry of each of some registries, with the places of the entries."""
    entries = {_full_key(each, name): each.get(name) for each in holders}
    return ", ".join(f"type={key!r} is {place_of(entry)}" for key, entry in entries.items() if entry)


def _hint(
    registry: RegistryView,
    holder: RegistryView,
    name: str,
    folder: Path | None,
    others: Iterable[RegistryView],
) -> str:
    relatives = [each for each in _family(registry.root) if each is not holder]
    exact = [_key(registry, each, name) for each in relatives if name in each.keys()]  # noqa: SIM118  # no look-up
    if exact:
        return f" With its scope it is {one_of(exact)}."
    elsewhere = sorted(each.name for each in others if each not in relatives and name in each.keys())  # noqa: SIM118
    if elsewhere:
        return f" The {elsewhere[0]} registry has that name."
    return (
        _waiting(holder, name, folder)
        or OF_MMCV.get(name)
        or _near(registry, [holder], name)
        or _near(registry, relatives, name)
        or _listed(holder)
    )


def _near(registry: RegistryView, holders: Sequence[RegistryView], name: str) -> str:
    """Return a hint with similar entries of some registries, under their keys in ``registry``."""
    entries = close_names(name, chain.from_iterable(holders))
    near = [_key(registry, each, entry) for entry in entries for each in holders if entry in each.keys()]  # noqa: SIM118
    return f" Did you mean {one_of(near)}?" if near else ""


def _waiting(holder: RegistryView, name: str, folder: Path | None) -> str:
    """Return a hint with the source file that defines the name, and how to register it."""
    found = find_definition(name, folder) if name.isidentifier() else None
    if found is None or (found.imported and name in found.names):
        return ""
    if not found.names:
        return f" {found} defines it but does not register it. Add @...register_module() above it."
    if name not in found.names:
        return f" {found} registers it as {one_of(found.names)}."
    return _not_imported(found)


def _not_imported(found: Definition) -> str:
    remedy = f": custom_imports = dict(imports=[{found.module!r}])" if found.module is not None else ""
    return f" {found} defines it, but was not imported{remedy}."


def _no_such_scope(registry: RegistryView, key: str, folder: Path | None) -> tuple[str, str]:
    """Return the problem and the hint for a key that is neither an import path nor begins with a scope."""
    scope, name = registry.split_scope_key(key)
    begin, near = near_paths(key)
    if begin == key:
        return ", and what has that import path cannot be called.", ""
    last = key.rpartition(".")[2]
    found = find_definition(last, folder) if last.isidentifier() else None
    if found is not None and last in found.names and not found.imported and not near:
        inside = f"{found.module}.".startswith(f"{scope}.")  # of a package that is there, only its own
        if inside or not begin:
            return ".", _not_imported(found)
    if begin:
        problem = f": {begin!r} has no {key[len(begin) + 1 :].split('.')[0]!r}."
        return problem, f" Did you mean {one_of(near)}?" if near else ""
    scopes = {_key(registry, each, ""): each for each in _family(registry.root)}
    known = [each.rstrip(".") for each in scopes if each]
    bare = registry.scope if registry.scope not in known else None
    known = [*([bare] if bare else []), *known]
    meant = [f"{each}.{name}" for each in close_names(scope or "", known)]
    right = [each for each in meant if registry.get(each) is not None]
    hint = f" Did you mean {one_of(right or meant or near)}?" if right or meant or near else ""
    return (
        f": there is no scope and no module {scope!r}.",
        f"{hint} Known scopes are {', '.join(map(repr, known))}.",
    )


def _family(root: RegistryView) -> Iterator[RegistryView]:
    yield root
    for child in root.children.values():
        yield from _family(child)


def _key(asked: RegistryView, holder: RegistryView, name: str) -> str:
    """Return the key of an entry of ``holder`` in ``asked``, a registry of the same family."""
    if holder is asked:
        return name
    scopes = []
    each: RegistryView | None = holder
    while each is not None and each is not asked:
        scopes.append(each.scope)
        each = each.parent
    if each is None and len(scopes) > 1:
        scopes.pop()  # the root is not a part of the key
    return ".".join([*reversed(scopes), name])


def _full_key(holder: RegistryView, name: str) -> str:
    """Return the key of an entry with its scope, as it is written anywhere in a config."""
    return f"{holder.scope}.{name}" if holder.parent is None else _key(holder.root, holder, name)


def _listed(holder: RegistryView) -> str:
    names = sorted(holder)
    if not names:
        return " It is empty. Is the module that fills it in custom_imports?"
    return f" It contains {', '.join(names[:MAX_LISTED])}{', ...' if len(names) > MAX_LISTED else ''}."
