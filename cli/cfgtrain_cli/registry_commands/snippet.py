"""Config snippets: the lines of a config that build an entry of a registry."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from cfgtrain.introspection.signatures import short_repr
from cfgtrain.keys import HOOK_KEYS
from cfgtrain.registries import HOOKS, MODELS, OPTIMIZERS, RUNNERS
from cfgtrain_cli.registry_commands.catalog import Entry, annotation

# The config key that an object of each of these registries belongs to.
_KEYS = {OPTIMIZERS: "optimizer", RUNNERS: "runner", MODELS: "model"}


def snippet(entry: Entry) -> str:
    """Return the lines of a config that build an entry, with every default.

    The value of a required argument is ``...``. A default that a config cannot contain is a
    comment.
    """
    begin, kind, end = _frame(entry)
    lines = [kind, *_arguments(entry)] if kind else list(_arguments(entry))
    return "\n".join([begin, *(f"    {line}" for line in lines), end])


def _frame(entry: Entry) -> tuple[str, str, str]:
    """Return the text before the arguments, the line that gives the type, and the text after them."""
    root = entry.registry.root if entry.registry else None
    kind = f"type={entry.name!r},"
    if root is HOOKS:
        for key, hook_key in HOOK_KEYS.items():
            if hook_key.default_type == entry.name and not (hook_key.list_key or hook_key.needs_data):
                return f"{key} = dict(", "", ")"
            if hook_key.policy_suffix and entry.name.endswith(hook_key.policy_suffix):
                policy = entry.name.removesuffix(hook_key.policy_suffix)
                policy = policy.lower() if policy.istitle() else policy  # most configs write 'step'
                return f"{key} = dict(", f"policy={policy!r},", ")"
        key = "log_config = dict(hooks=" if entry.name.endswith("LoggerHook") else "custom_hooks = "
        return f"{key}[dict(", kind, ")])" if "(" in key else ")]"
    key = next((f"{key} = " for each, key in _KEYS.items() if each is root), "")
    return f"{key}dict(", kind, ")"


def _arguments(entry: Entry) -> Iterator[str]:
    parameters = entry.parameters
    if parameters is None:
        yield "# its arguments are unknown"
        return
    for name in parameters.names:
        kind = annotation(parameters, name)
        if name in entry.supplied:
            continue
        if name not in parameters.defaults:
            yield f"{name}=...,  # {kind or 'required'}"
            continue
        text = repr(parameters.defaults[name])
        if _is_literal(text):
            yield f"{name}={text},"
        else:
            yield f"# {name}={short_repr(parameters.defaults[name])},"
    if parameters.open_ended:
        yield "# and more keyword arguments"


def _is_literal(text: str) -> bool:
    try:
        ast.literal_eval(text)
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        return False
    return True
