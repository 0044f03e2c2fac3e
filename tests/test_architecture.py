"""The import rules of the layers, checked on the source files."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parent.parent

# Lowest first. A module belongs to the longest entry that begins its name.
LAYERS = [
    ("cfgtrain.errors", "cfgtrain.exit_codes", "cfgtrain.suggestions", "cfgtrain.origin"),
    ("cfgtrain.registry", "cfgtrain.introspection", "cfgtrain.filesystem", "cfgtrain.terminal", "cfgtrain.utils",
     "cfgtrain.arguments", "cfgtrain.signals"),
    ("cfgtrain.config", "cfgtrain.fileio", "cfgtrain.registries", "cfgtrain.keys", "cfgtrain.schedules",
     "cfgtrain.score_order"),
    ("cfgtrain.image", "cfgtrain.image_files", "cfgtrain.visualization", "cfgtrain.video", "cfgtrain.arraymisc"),
    ("cfgtrain.cnn", "cfgtrain.ops", "cfgtrain.parallel", "cfgtrain.checkpoint", "cfgtrain.amp",
     "cfgtrain.random_state", "cfgtrain.environment"),
    ("cfgtrain.runner", "cfgtrain.evaluation", "cfgtrain.data", "cfgtrain.optim", "cfgtrain.models",
     "cfgtrain.metrics"),
    ("cfgtrain.experiment",),
    ("cfgtrain.train", "cfgtrain.test", "cfgtrain.predict", "cfgtrain.preview", "cfgtrain.model_summary", "cfgtrain.check",
     "cfgtrain.compat"),
    ("cfgtrain_cli",),
]  # fmt: skip
TORCH_FREE_LAYERS = 4  # errors to image
ARRAY_FREE_LAYERS = 3  # errors to config


class Module(NamedTuple):
    """One source file."""

    name: str
    path: Path
    tree: ast.Module

    @property
    def is_init(self) -> bool:
        """Whether the file only re-exports names or starts the command line: it belongs to no layer."""
        return self.path.name in ("__init__.py", "__main__.py")

    @property
    def package(self) -> str:
        return self.name if self.path.name == "__init__.py" else self.name.rpartition(".")[0]


class Import(NamedTuple):
    """One imported module, and whether it is imported inside a function or for types only."""

    name: str
    in_function: bool
    for_types: bool


def _modules() -> list[Module]:
    found = []
    for top in (ROOT / "src" / "cfgtrain", ROOT / "cli" / "cfgtrain_cli"):
        for path in sorted(top.rglob("*.py")):
            if not (path.parent / "__init__.py").exists():
                continue  # a config, or a file of a template: it is not imported
            parts = path.relative_to(top.parent).with_suffix("").parts
            name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
            found.append(Module(name, path, ast.parse(path.read_text(encoding="utf-8"))))
    return found


MODULES = _modules()
NAMES = {module.name for module in MODULES}


def _imports(node: ast.AST, in_function: bool = False, for_types: bool = False) -> Iterator[Import]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Import):
            yield from (Import(alias.name, in_function, for_types) for alias in child.names)
        elif isinstance(child, ast.ImportFrom) and child.module:
            for alias in child.names:
                full = f"{child.module}.{alias.name}"
                yield Import(full if full in NAMES else child.module, in_function, for_types)
        else:
            inside = in_function or isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
            types = for_types or (isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test))
            yield from _imports(child, inside, types)


def _own_imports(module: Module) -> Iterator[Import]:
    return (each for each in _imports(module.tree) if each.name.split(".")[0] in ("cfgtrain", "cfgtrain_cli"))


def _layer(name: str) -> int:
    matching = [
        (len(prefix), number)
        for number, prefixes in enumerate(LAYERS)
        for prefix in prefixes
        if name == prefix or name.startswith(prefix + ".")
    ]
    return max(matching)[1] if matching else -1


def _is_init(name: str) -> bool:
    return any(module.name == name and module.is_init for module in MODULES)


def test_every_module_belongs_to_a_layer() -> None:
    """A module belongs to a layer, unless it is an ``__init__`` or ``__main__``."""
    assert [m.name for m in MODULES if not m.is_init and _layer(m.name) < 0] == []


def test_layers_name_existing_modules() -> None:
    """Every entry of the list of layers is the name of a module or package."""
    listed = [name for layer in LAYERS for name in layer]
    assert [name for name in listed if name not in NAMES] == []


def test_no_import_goes_up() -> None:
    """A module imports only from its own layer and those below it, within functions too."""
    up = [
        f"{module.name} -> {each.name}"
        for module in MODULES
        if not module.is_init
        for each in _own_imports(module)
        if not each.for_types and _layer(each.name) > _layer(module.name)
    ]
    assert up == []


def test_a_package_loads_names_from_higher_layers_lazily() -> None:
    """An ``__init__`` below the layers that need torch imports no higher layer at import time."""
    up = [
        f"{module.name} -> {each.name}"
        for module in MODULES
        if module.path.name == "__init__.py" and -1 < _layer(module.name) < TORCH_FREE_LAYERS
        for each in _own_imports(module)
        if not each.in_function and not each.for_types and _layer(each.name) > _layer(module.name)
    ]
    assert up == []


def test_there_are_no_circular_imports() -> None:
    """No modules import each other in a circle; imports in functions and for types count.

    An ``__init__`` counts with the imports that it performs when it is imported.
    """
    edges = {
        m.name: {
            each.name for each in _own_imports(m) if not m.is_init or not (each.in_function or each.for_types)
        }
        for m in MODULES
    }
    done: set[str] = set()

    def visit(name: str, chain: tuple[str, ...]) -> None:
        assert name not in chain, " -> ".join((*chain[chain.index(name) :], name))
        if name not in done:
            for target in edges.get(name, ()):
                visit(target, (*chain, name))
            done.add(name)

    for name in edges:
        visit(name, ())


@pytest.mark.parametrize(
    ("forbidden", "layers", "functions_too"),
    [
        ("torch", TORCH_FREE_LAYERS, True),
        ("cv2", ARRAY_FREE_LAYERS, False),
        ("numpy", ARRAY_FREE_LAYERS, False),
    ],
)
def test_lower_layers_do_not_import_heavy_libraries(forbidden: str, layers: int, functions_too: bool) -> None:
    """The lower layers never import torch, and the lowest import neither cv2 nor numpy at module level."""
    found = [
        f"{module.name} imports {each.name}"
        for module in MODULES
        if -1 < _layer(module.name) < layers
        for each in _imports(module.tree)
        if each.name.split(".")[0] == forbidden
        and not each.for_types
        and (functions_too or not each.in_function)
    ]
    assert found == []


def test_no_module_imports_the_init_of_its_own_package() -> None:
    """A module imports from the file that defines a name, never from the ``__init__`` of its own package."""
    found = [
        f"{module.name} -> {each.name}"
        for module in MODULES
        if not module.is_init
        for each in _own_imports(module)
        if (module.package == each.name or module.package.startswith(each.name + "."))
        and each.name != "cfgtrain"
    ]
    assert found == []


def test_only_the_command_line_imports_typer_and_rich() -> None:
    """Only the command line imports typer; rich is imported there and in ``terminal.py``."""
    found = [
        f"{module.name} imports {each.name}"
        for module in MODULES
        for each in _imports(module.tree)
        if each.name.split(".")[0] in ("typer", "rich")
        and not module.name.startswith("cfgtrain_cli")
        and not (each.name.startswith("rich") and module.name == "cfgtrain.terminal")
    ]
    assert found == []


def test_an_init_defines_nothing() -> None:
    """An ``__init__`` only re-exports names; ``__getattr__`` may do so lazily."""
    allowed = {"__getattr__", "__dir__"}
    found = [
        f"{module.name} defines {node.name}"
        for module in MODULES
        if module.path.name == "__init__.py"
        for node in module.tree.body
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and node.name not in allowed
    ]
    assert found == []


def test_only_commands_import_own_code_in_functions() -> None:
    """A function imports cfgtrain's own code only in the command line, to load torch late."""
    found = [
        f"{module.name} -> {each.name}"
        for module in MODULES
        if not module.name.startswith("cfgtrain_cli") and not module.is_init
        for each in _own_imports(module)
        if each.in_function
    ]
    assert found == []


def test_input_is_never_checked_with_assert() -> None:
    """The source has no ``assert``: invalid input raises an error of the family in ``errors.py``."""
    found = [
        f"{module.name}:{node.lineno}"
        for module in MODULES
        for node in ast.walk(module.tree)
        if isinstance(node, ast.Assert)
    ]
    assert found == []
