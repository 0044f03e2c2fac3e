"""Registries: scopes, registering, looking up and building."""

from __future__ import annotations

import importlib
import sys
import types
from collections import OrderedDict
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from cfgtrain import Config, ConfigDict
from cfgtrain.errors import (
    ArgumentError,
    ArgumentTypeError,
    BuildError,
    NameTakenError,
    UnknownNameError,
)
from cfgtrain.registry.registry import Registry, build_cfg, build_from_cfg

Write = Callable[[str, str], Path]


class Family(NamedTuple):
    """DOGS (scope dogs) > HOUNDS (hound) > LITTLE (little_hound) and MID (mid_hound)."""

    dogs: Registry
    hounds: Registry
    little: Registry
    mid: Registry


@pytest.fixture
def family() -> Family:
    dogs = Registry("dogs", scope="dogs")
    hounds = Registry("hounds", parent=dogs, scope="hound")
    little = Registry("little hounds", parent=hounds, scope="little_hound")
    mid = Registry("mid hounds", parent=hounds, scope="mid_hound")
    entries = [(dogs, "Poodle"), (hounds, "BloodHound"), (little, "Dachshund"), (mid, "Beagle")]
    for registry, name in entries:
        registry.register_module(module=type(name, (), {}))
    return Family(dogs, hounds, little, mid)


@pytest.fixture
def cats() -> Registry:
    return Registry("cat", scope="cats")


class Cat:
    def __init__(self, name: str = "Tom", age: int = 0) -> None:
        self.name = name
        self.age = age


def make_cat(name: str = "Tom") -> str:
    return f"a cat, {name}"


# --------------------------------------------------------------------------------- scopes


@pytest.mark.parametrize(
    ("asked", "key", "found"),
    [
        ("dogs", "Poodle", "Poodle"),
        ("dogs", "dogs.Poodle", "Poodle"),
        ("dogs", "hound.BloodHound", "BloodHound"),
        ("hounds", "hound.BloodHound", "BloodHound"),
        ("little", "hound.BloodHound", "BloodHound"),
        ("mid", "hound.BloodHound", "BloodHound"),
        ("hounds", "little_hound.Dachshund", "Dachshund"),
        ("dogs", "hound.little_hound.Dachshund", "Dachshund"),
        ("dogs", "hound.mid_hound.Beagle", "Beagle"),
        ("little", "hound.mid_hound.Beagle", "Beagle"),
        ("little", "dogs.Poodle", "Poodle"),
        ("mid", "hound.Dachshund", None),
        ("dogs", "BloodHound", None),  # children are not searched
        ("hounds", "Poodle", None),  # ancestors are not searched
        ("dogs", "little_hound.Dachshund", None),  # the key of a grandchild is its full path
        ("dogs", "Bulldog", None),
        ("mid", "wolf.Wolf", None),
        ("dogs", "wolf.Wolf", None),
    ],
)
def test_scopes(asked: str, key: str, found: str | None, family: Family) -> None:
    """A scoped name is found from every member of the family, an unscoped one only in its own registry."""
    registry = getattr(family, asked)
    entry = registry.get(key)
    assert (entry and entry.__name__) == found
    assert (key in registry) == (found is not None)


@pytest.mark.parametrize(
    ("key", "parts"),
    [("a.B", ("a", "B")), ("B", (None, "B")), ("a.b.c.D", ("a", "b.c.D"))],
)
def test_a_key_is_split_at_its_first_dot(key: str, parts: tuple[str | None, str]) -> None:
    """The part before the first dot is the scope; without a dot there is no scope."""
    assert Registry.split_scope_key(key) == parts


def test_the_scope_is_that_of_the_calling_module() -> None:
    """By default the scope is the first part of the name of the calling module; subclasses are skipped."""

    class Own(Registry):
        def __init__(self, name: str) -> None:
            super().__init__(name)

    assert Registry("cat").scope == Own("cat").scope == __name__.split(".")[0]


def test_the_scope_of_code_without_a_module() -> None:
    """If a registry is made by code without a module name, the scope is that of a script."""
    namespace: dict[str, Any] = {"Registry": Registry, "__name__": None}
    exec("made = Registry('cat')", namespace)
    assert namespace["made"].scope == "__main__"


@pytest.mark.parametrize("scope", ["a.b", "", "."])
def test_a_scope_is_one_word(scope: str) -> None:
    """A scope that no name could have is rejected when the registry is made."""
    with pytest.raises(ArgumentError, match="one word"):
        Registry("cat", scope=scope)


def test_siblings_have_different_scopes(family: Family) -> None:
    """A scope that is in use is rejected with the name of the sibling that has it."""
    with pytest.raises(AssertionError, match="hounds"):
        Registry("wolves", parent=family.dogs, scope="hound")


def test_a_child_with_the_scope_of_its_parent_is_warned_about(family: Family) -> None:
    """The entries of the child cannot be reached; the warning points at the line that makes the child."""
    with pytest.warns(UserWarning, match="scope of its parent") as caught:
        Registry("wolves", parent=family.dogs, scope="dogs")
    assert caught[0].filename == __file__


def test_the_scope_of_mmcv_is_in_use() -> None:
    """The scope mmcv is an alias of that of the parent, so it causes the same warning."""
    parent = Registry("cat", scope="cfgtrain")
    with pytest.warns(UserWarning, match="scope of its parent, 'mmcv'"):
        Registry("cat", parent=parent, scope="mmcv")


def test_a_parent_is_a_registry() -> None:
    """Anything else as a parent is a TypeError."""
    with pytest.raises(ArgumentTypeError, match="parent"):
        Registry("cat", parent="dogs")  # type: ignore[arg-type]


def test_parents_and_children(family: Family) -> None:
    """A child has its parent, and a parent its children by scope."""
    assert family.little.parent is family.hounds
    assert family.dogs.parent is None
    assert family.hounds.children == {"little_hound": family.little, "mid_hound": family.mid}


def test_the_scope_of_mmcv_is_an_alias() -> None:
    """A name with MMCV's scope is the entry of the same name in cfgtrain."""
    models = Registry("model", scope="cfgtrain")
    child = Registry("model", scope="project", parent=models)
    models.register_module(module=Cat)
    assert models.get("mmcv.Cat") is child.get("mmcv.Cat") is Cat


# ---------------------------------------------------------------------------- registering


@pytest.mark.parametrize("thing", [Cat, make_cat, len])
def test_the_default_name(thing: Any, cats: Registry) -> None:
    """The decorator returns the class, and the name is its __name__."""
    assert cats.register_module()(thing) is thing
    assert dict(cats.module_dict) == {thing.__name__: thing}


@pytest.mark.parametrize(
    ("name", "names"),
    [
        ("Tiger", ["Tiger"]),
        (["Tiger", "Lion"], ["Tiger", "Lion"]),
        (("Tiger", "Lion"), ["Tiger", "Lion"]),
        (None, ["Cat"]),
    ],
)
@pytest.mark.parametrize("decorate", [True, False])
def test_one_or_several_names(name: Any, names: list[str], decorate: bool, cats: Registry) -> None:
    """By decorator or by call, each name is registered for the same object, which is returned."""
    done = cats.register_module(name)(Cat) if decorate else cats.register_module(name, module=Cat)
    assert done is Cat
    assert list(cats) == names
    assert len(cats) == len(names)
    assert all(cats.get(each) is Cat for each in names)


def test_a_partial_needs_a_name(cats: Registry) -> None:
    """A callable without a __name__ is rejected unless a name is given."""
    tom = partial(Cat, name="Tom")
    with pytest.raises(ArgumentError, match="name="):
        cats.register_module(module=tom)
    cats.register_module("Tom", module=tom)
    assert cats.build({"type": "Tom", "age": 3}).age == 3


def test_a_registered_name_is_rejected(cats: Registry) -> None:
    """The error has the registry, the file of the existing entry, and the alternatives."""
    cats.register_module(module=Cat)
    with pytest.raises(KeyError, match=r"cat registry: Cat at .*test_registry\.py.*force=True"):
        cats.register_module(module=Cat)


@pytest.mark.parametrize(("thing", "shown"), [(len, "builtins.len"), (partial(len), "builtins.len")])
def test_a_registered_name_without_a_source(thing: Any, shown: str, cats: Registry) -> None:
    """An entry that is not in a Python file is shown by its import path."""
    cats.register_module("len", module=thing)
    with pytest.raises(NameTakenError, match=shown):
        cats.register_module("len", module=Cat)


def test_force_replaces(cats: Registry) -> None:
    """With force the new entry replaces the old one, and the number of names does not change."""
    cats.register_module(module=Cat)
    other = type("Cat", (), {})
    cats.register_module(force=True)(other)
    assert (cats.get("Cat"), len(cats)) == (other, 1)


def test_names_are_registered_all_or_none(cats: Registry) -> None:
    """If one of several names is registered already, the others are not registered either."""
    cats.register_module(module=Cat)
    with pytest.raises(NameTakenError):
        cats.register_module(["Tiger", "Cat"], module=make_cat)
    assert list(cats) == ["Cat"]


@pytest.mark.parametrize("thing", [0, "Cat", Cat().__init__, ConfigDict()])  # type: ignore[misc]
def test_only_classes_and_functions_are_registered(thing: Any, cats: Registry) -> None:
    """An object that cannot be called, or a bound method, is a TypeError."""
    with pytest.raises(ArgumentTypeError, match="class or function"):
        cats.register_module("x", module=thing)
    assert len(cats) == 0


@pytest.mark.parametrize("name", [0, [1], {"a"}, b"Cat", ["Cat", None]])
def test_a_name_is_text(name: Any, cats: Registry) -> None:
    """A name of another type is a TypeError when the decorator is made."""
    with pytest.raises(ArgumentTypeError, match="name"):
        cats.register_module(name)


@pytest.mark.parametrize("name", ["", [], "a.B", ["Cat", "a.B"]])
def test_invalid_names_are_rejected(name: Any, cats: Registry) -> None:
    """Empty names, an empty sequence of names and names with a dot are errors."""
    with pytest.raises(ArgumentError):
        cats.register_module(name, module=Cat)
    assert len(cats) == 0


def test_force_is_a_bool(cats: Registry) -> None:
    """A force that is neither True nor False is a TypeError."""
    with pytest.raises(TypeError, match="force"):
        cats.register_module(force=1)  # type: ignore[arg-type]


def test_an_empty_registry_is_true(cats: Registry) -> None:
    """A registry is never falsy, so that `registry or default` works."""
    assert cats
    assert len(cats) == 0


def test_a_registry_shows_its_entries(cats: Registry) -> None:
    """The repr has the name and the entries in the order of their registration."""
    cats.register_module(module=Cat)
    assert repr(cats) == f"Registry(name=cat, items={{'Cat': {Cat!r}}})"
    assert cats.name == "cat"


@pytest.mark.parametrize("force", [False, True])
@pytest.mark.parametrize(
    "how",
    [
        lambda cats, force: cats.register_module(Cat, force=force),
        lambda cats, force: cats.register_module(Cat, force),
        lambda cats, force: cats.deprecated_register_module(Cat, force=force),
        lambda cats, force: cats.deprecated_register_module(force=force)(Cat),
    ],
)
def test_the_old_forms_register_and_warn(how: Any, force: bool, cats: Registry) -> None:
    """A class as first argument is registered and returned, and the warning points at the caller."""
    if force:
        cats.register_module("Cat", module=make_cat)
    with pytest.warns(DeprecationWarning, match=r"write @REGISTRY.register_module\(\)") as caught:
        assert how(cats, force) is Cat
    assert {warning.filename for warning in caught} == {__file__}
    assert cats.get("Cat") is Cat


def test_a_decorator_without_parentheses(cats: Registry) -> None:
    """It registers a class with a warning, and is a TypeError for a function."""
    with pytest.warns(DeprecationWarning):

        @cats.register_module
        class Lion: ...

    with pytest.warns(DeprecationWarning):

        @cats.deprecated_register_module
        class Tiger: ...

    assert [cats.get("Lion"), cats.get("Tiger")] == [Lion, Tiger]
    with pytest.raises(TypeError, match="with parentheses"):
        cats.register_module(make_cat)


def test_the_old_private_method(cats: Registry) -> None:
    """The private method that code for MMCV calls works, and its old argument name causes a warning."""
    cats._register_module(Cat, module_name=["A", "B"], force=True)
    with pytest.warns(DeprecationWarning, match="write module="):
        cats._register_module(module_class=Cat)
    assert list(cats.keys()) == ["A", "B", "Cat"]


# ------------------------------------------------------------------------------- building


@pytest.mark.parametrize(
    "cfg",
    [
        {"type": "Cat", "name": "Tim"},
        {"type": "cats.Cat", "name": "Tim"},
        {"type": Cat, "name": "Tim"},
        ConfigDict(type="Cat", name="Tim"),
        Config({"type": "Cat", "name": "Tim"}),
        OrderedDict(type="Cat", name="Tim"),
        types.MappingProxyType({"type": "Cat", "name": "Tim"}),
    ],
)
@pytest.mark.parametrize("build", [build_from_cfg, build_cfg, lambda cfg, cats: cats.build(cfg)])
def test_a_mapping_becomes_an_object(cfg: Any, build: Any, cats: Registry) -> None:
    """The type may be a name, a scoped name or the class; the other items are its arguments."""
    cats.register_module(module=Cat)
    assert vars(build(cfg, cats)) == {"name": "Tim", "age": 0}


def test_a_function_is_called(cats: Registry) -> None:
    """The result of a registered function is the built object."""
    cats.register_module(module=make_cat)
    assert cats.build({"type": "make_cat", "name": "Tim"}) == "a cat, Tim"


@pytest.mark.parametrize(
    ("cfg", "default_args", "name"),
    [
        ({"type": "Cat"}, {"name": "Tim"}, "Tim"),
        ({"type": "Cat", "name": "Jo"}, {"name": "Tim"}, "Jo"),
        ({"name": "Jo"}, {"type": "Cat"}, "Jo"),
        ({"type": "Cat"}, {"type": "Nothing"}, "Tom"),
        ({"type": "Cat"}, {}, "Tom"),
        ({"type": "Cat"}, None, "Tom"),
    ],
)
def test_default_arguments(
    cfg: dict[str, Any], default_args: dict[str, Any] | None, name: str, cats: Registry
) -> None:
    """The config overrides the defaults, including the type, and neither is changed."""
    cats.register_module(module=Cat)
    before = dict(cfg), dict(default_args or {})
    assert cats.build(cfg, default_args=default_args).name == name
    assert build_from_cfg(cfg, cats, default_args).name == name
    assert (cfg, default_args or {}) == before


def test_nested_configs_are_arguments(cats: Registry) -> None:
    """A dict with a type inside another is passed on unchanged."""
    cats.register_module(module=Cat)
    inner = {"type": "Cat"}
    assert cats.build({"type": "Cat", "name": inner}).name is inner


@pytest.mark.parametrize(
    ("cfg", "default_args"),
    [([], None), ("Cat", None), (None, None), ({"type": "Cat"}, 0), ({"type": 1000}, None)],
)
def test_other_types_are_rejected(cfg: Any, default_args: Any, cats: Registry) -> None:
    """A config, defaults or a type of the wrong type is a TypeError."""
    cats.register_module(module=Cat)
    with pytest.raises(ArgumentTypeError):
        build_from_cfg(cfg, cats, default_args)


def test_a_config_is_built_from_a_registry() -> None:
    """A list of names in place of a registry is a TypeError."""
    with pytest.raises(TypeError, match="Registry"):
        build_from_cfg({"type": "Cat"}, "cats")  # type: ignore[arg-type]


def test_a_config_has_a_type(cats: Registry) -> None:
    """A missing type in config and defaults is a KeyError that says so."""
    with pytest.raises(KeyError, match='must contain the key "type"'):
        build_from_cfg({"name": "Tim"}, cats, {"age": 1})


@pytest.mark.parametrize(
    ("names", "asked", "text"),
    [
        (["ResNet", "VGG"], "Resnet", "'Resnet' is not in the cat registry. Did you mean 'ResNet'?"),
        (["Ab", "Cd"], "Zzz", "It contains Ab, Cd."),
        ([f"Name{i:02}" for i in range(20)], "Zzz", "Name11, ..."),
        ([], "Zzz", "custom_imports"),
    ],
)
def test_an_unknown_name_is_explained(names: list[str], asked: str, text: str, cats: Registry) -> None:
    """The error has similar names, or all names, or how the registry is filled."""
    for name in names:
        cats.register_module(name, module=Cat)
    with pytest.raises(KeyError) as caught:
        cats.build({"type": asked})
    assert text in str(caught.value)


def test_a_name_of_another_registry_is_pointed_out(cats: Registry) -> None:
    """If another registry has the name, the error names it."""
    tools = Registry("tool", scope="tools")
    tools.register_module("Screwdriver", module=Cat)
    with pytest.raises(UnknownNameError, match=r"The tool registry has that name"):
        cats.build({"type": "Screwdriver"})


@pytest.mark.parametrize(
    ("asked", "key", "text"),
    [
        ("dogs", "Poodel", "'Poodel' is not in the dogs registry. Did you mean 'Poodle'?"),
        ("dogs", "BloodHound", "With its scope it is 'hound.BloodHound'."),
        ("dogs", "Dachshund", "With its scope it is 'hound.little_hound.Dachshund'."),
        ("hounds", "Poodle", "With its scope it is 'dogs.Poodle'."),
        ("little", "Beagle", "With its scope it is 'hound.mid_hound.Beagle'."),
        ("little", "Bloodhoud", "Did you mean 'hound.BloodHound'?"),
        ("dogs", "hound.BloodHoud", "registry of scope 'hound'. Did you mean 'hound.BloodHound'?"),
        ("little", "dogs.Poodel", "registry of scope 'dogs'. Did you mean 'dogs.Poodle'?"),
        ("dogs", "hond.BloodHound", "no scope and no module 'hond'. Did you mean 'hound.BloodHound'?"),
        ("dogs", "wolf.Wolf", "Known scopes are 'dogs', 'hound', 'hound.little_hound', 'hound.mid_hound'."),
        ("dogs", "little_hound.Dachshund", "Did you mean 'hound.little_hound.Dachshund'?"),
        ("dogs", "fractions.Fractoin", "'fractions' has no 'Fractoin'. Did you mean 'fractions.Fraction'?"),
        ("dogs", "fractoins.Fraction", "Did you mean 'fractions.Fraction'?"),
        ("dogs", "xml.etre.ElementTree", "'xml' has no 'etre'. Did you mean 'xml.etree.ElementTree'?"),
        ("dogs", "pathlib.Path.cwdd", "'pathlib.Path' has no 'cwdd'. Did you mean 'pathlib.Path.cwd'?"),
        ("dogs", "sys.path", "what has that import path cannot be called"),
    ],
)
def test_an_unknown_name_suggests_a_key(asked: str, key: str, text: str, family: Family) -> None:
    """The message has a similar key that can be used in the same registry."""
    with pytest.raises(UnknownNameError) as caught:
        getattr(family, asked).build({"type": key})
    assert text in str(caught.value)
    assert "is not in the" in str(caught.value)


def test_suggested_keys_are_found(family: Family) -> None:
    """Every entry of a family can be found from every member by the key in messages."""
    for asked in family:
        for entry in ("Poodle", "BloodHound", "Dachshund", "Beagle"):
            if entry not in asked.keys():  # noqa: SIM118  # its own entries alone
                with pytest.raises(UnknownNameError) as caught:
                    asked.build({"type": entry})
                key = str(caught.value).split("'")[-2]
                assert asked.get(key).__name__ == entry  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("@PETS.register_module()\nclass Bird: ...", "shop/pets.py:2 defines it, but was not imported: custom_imports = dict(imports=['shop.pets'])."),
        ("@PETS.register_module(name=['Bird', 'Eagle'])\nclass Flyer: ...", "but was not imported"),
        ("def fly(): ...\nPETS.register_module('Bird', module=fly)", "shop/pets.py:2 defines it, but was not imported"),
        ("PETS.register_module(module=wings.Bird)", "shop/pets.py:1 defines it, but was not imported"),
        ("class Bird: ...", "shop/pets.py:1 defines it but does not register it"),
        ("@PETS.register_module('Eagle')\nclass Bird: ...", "shop/pets.py:2 registers it as 'Eagle'."),
        ("class Cage:\n  def Bird(self): ...", "It contains Cat."),
        ("x = 'Bird'; '\\d'", "It contains Cat."),
        ("class Bird(", "It contains Cat."),
    ],
)  # fmt: skip
def test_a_module_that_was_not_imported(source: str, text: str, write: Write, cats: Registry) -> None:
    """If a source file defines the name, the message has its location and the missing import."""
    cats.register_module(module=Cat)
    write("shop/pets.py", source)
    with pytest.raises(UnknownNameError) as caught:
        cats.build({"type": "Bird"})
    assert text in str(caught.value)
    assert "shop.pets" not in sys.modules


@pytest.mark.parametrize(
    ("key", "text"),
    [
        ("shop.Bird", "shop/pets.py:2 defines it, but was not imported"),
        ("petshop.Bird", "shop/pets.py:2 defines it, but was not imported"),
        ("os.Bird", "'os' has no 'Bird'."),
    ],
)
def test_a_scope_whose_module_was_not_imported(key: str, text: str, write: Write, cats: Registry) -> None:
    """An unknown scope may be a module that was not imported; imported packages are not suggested."""
    write("shop/pets.py", "@PETS.register_module()\nclass Bird: ...")
    with pytest.raises(UnknownNameError) as caught:
        cats.build({"type": key})
    assert text in str(caught.value)


def test_sources_beside_the_config_are_searched(write: Write, cats: Registry, tmp_path: Path) -> None:
    """The folder of the config is searched, wherever the program was started."""
    write("elsewhere/pets.py", "@PETS.register_module()\nclass Bird: ...")
    write("elsewhere/cfg.py", "pet = dict(type='Bird')")
    (tmp_path / "here").mkdir()
    with pytest.MonkeyPatch.context() as patch, pytest.raises(UnknownNameError) as caught:
        patch.chdir(tmp_path / "here")
        cats.build(Config.fromfile(tmp_path / "elsewhere" / "cfg.py").pet)
    assert "imports=['pets']" in str(caught.value)
    assert "at pet.type (" in str(caught.value)


@pytest.mark.parametrize(
    ("path", "args", "built"),
    [
        ("collections.OrderedDict", {"a": 1}, OrderedDict(a=1)),
        ("fractions.Fraction", {"numerator": 3}, 3),
        ("pathlib.Path.home", {}, Path.home()),
    ],
)
def test_an_import_path_is_a_type(path: str, args: Mapping[str, Any], built: Any, cats: Registry) -> None:
    """A name that is in no registry may be the import path of anything that can be called."""
    assert cats.build({"type": path, **args}) == built


@pytest.mark.parametrize(
    "path", ["collections.OrderedDct", "colections.OrderedDict", "sys.path", "a-b.C", "collections.", ".x"]
)
def test_an_import_path_that_does_not_exist(path: str, cats: Registry) -> None:
    """A missing module, a missing name in it or an object that cannot be called is an unknown name."""
    with pytest.raises(UnknownNameError, match="is not in the cat registry"):
        cats.build({"type": path})


def test_a_module_that_fails_is_not_an_unknown_name(
    write: Write, cats: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If a module at an import path has a missing import, that error is raised."""
    folder = write("failing_module.py", "import not_there_at_all\n").parent
    monkeypatch.syspath_prepend(folder)
    with pytest.raises(ModuleNotFoundError, match="not_there_at_all"):
        cats.build({"type": "failing_module.Cat"})


@pytest.mark.parametrize(
    ("args", "text"),
    [
        ({"nam": "Tim"}, "Cat takes no argument 'nam'. Did you mean 'name'?\n  in Cat(name='Tom', age=0)"),
        ({"zzzzz": 1}, "Cat takes no argument 'zzzzz'.\n  in Cat(name='Tom', age=0)"),
    ],
)
def test_an_unknown_argument_is_suggested(args: dict[str, Any], text: str, cats: Registry) -> None:
    """A wrong argument is a TypeError with a similar name, or all names."""
    cats.register_module(module=Cat)
    with pytest.raises(TypeError) as caught:
        cats.build({"type": "Cat", **args})
    assert str(caught.value) == text


def test_a_module_that_fails_has_a_location(
    write: Write, cats: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The error of a module at an import path has a note with the location in the config."""
    monkeypatch.syspath_prepend(write("breaking_module.py", "1 / 0\n").parent)
    write("cat.py", "cat = dict(type='breaking_module.Cat')\n")
    with pytest.raises(ZeroDivisionError) as caught:
        cats.build(Config.fromfile("cat.py").cat)
    assert caught.value.__notes__ == ["while importing 'breaking_module.Cat' for cat.type (cat.py:1)"]


def test_a_missing_argument_is_named(cats: Registry) -> None:
    """A missing argument without a default is a TypeError with its name."""

    def kitten(mother: str, father: str) -> None: ...

    with pytest.raises(BuildError, match="needs the arguments 'mother' and 'father'"):
        cats.build({"type": kitten})


CONFIG = """
cat = dict(
    type='Cat',
    nam='Tim',
    kitten=dict(
        type='Cta'))
"""


def test_a_wrong_argument_has_a_location(write: Write, cats: Registry) -> None:
    """The error for a config from a file has the key path, file and line of the argument."""
    write("cat.py", CONFIG)
    cats.register_module(module=Cat)
    with pytest.raises(BuildError) as caught:
        cats.build(Config.fromfile("cat.py").cat)
    assert str(caught.value).endswith("\n  at cat.nam (cat.py:4)\n  in Cat(name='Tom', age=0)")


def test_an_unknown_type_has_a_location(write: Write, cats: Registry) -> None:
    """The error for a wrong type has the key path, file and line of the type."""
    write("cat.py", CONFIG)
    cats.register_module(module=Cat)
    with pytest.raises(UnknownNameError) as caught:
        cats.build(Config.fromfile("cat.py").cat.kitten)
    assert "Did you mean 'Cat'?" in str(caught.value)
    assert str(caught.value).endswith("\n  at cat.kitten.type (cat.py:6)")


def test_a_config_object_has_locations_too(write: Write, cats: Registry) -> None:
    """Building from a Config gives the same locations as building from its nodes."""
    write("cat.py", "type = 'Cat'\nnam = 'Tim'\n")
    cats.register_module(module=Cat)
    with pytest.raises(BuildError, match="takes no argument 'nam'"):
        cats.build(Config.fromfile("cat.py"))


class PickyError(Exception):
    """An error that cannot be made from a text."""

    def __init__(self, code: int, *, reason: str) -> None:
        super().__init__(code)
        self.reason = reason


def fail(how: str) -> None:
    if how == "picky":
        raise PickyError(3, reason="x")
    raise OSError(13, "denied", how)


@pytest.mark.parametrize(("how", "kind"), [("picky", PickyError), ("a.txt", PermissionError)])
def test_exceptions_of_a_constructor_are_kept(
    how: str, kind: type[Exception], write: Write, cats: Registry
) -> None:
    """The same exception is raised, with a note with the class, the key path, the file and the line."""
    write("cat.py", f"zoo = dict(\n  cat=dict(type='fail', how={how!r}))\n")
    cats.register_module(module=fail)
    with pytest.raises(kind) as caught:
        cats.build(Config.fromfile("cat.py").zoo.cat)
    assert caught.value.__notes__ == ["while building fail from zoo.cat (cat.py:2)"]
    assert getattr(caught.value, "filename", "a.txt") == "a.txt"


def test_a_note_without_a_location(cats: Registry) -> None:
    """A plain dict has no location, so the note has the name of the class only."""
    with pytest.raises(PickyError) as caught:
        cats.build({"type": fail, "how": "picky"})
    assert caught.value.__notes__ == ["while building fail from a config"]


# ----------------------------------------------------------------------------- build_func


def test_the_build_function_is_inherited(cats: Registry) -> None:
    """A child builds as its parent unless it has its own build function; the default is build_from_cfg."""

    def build(cfg: Any, registry: Registry, **kwargs: Any) -> Any:
        return registry.name, cfg, kwargs

    parent = Registry("parent", build_func=build, scope="parent")
    child = Registry("child", parent=parent, scope="child")
    own = Registry("own", parent=parent, scope="own", build_func=build_from_cfg)
    assert cats.build_func is own.build_func is build_from_cfg
    assert child.build_func is build
    assert child.build({"a": 1}) == ("child", {"a": 1}, {})
    assert child.build({"a": 1}, {"b": 2}, c=3) == ("child", {"a": 1}, {"default_args": {"b": 2}, "c": 3})


def test_the_registry_that_build_is_called_on_builds(cats: Registry) -> None:
    """A scoped name is built by the registry on which build was called, not by the one that contains it."""
    child = Registry("child", parent=cats, scope="child", build_func=lambda cfg, registry: "built by child")
    child.register_module(module=Cat)
    assert isinstance(cats.build({"type": "child.Cat"}), Cat)


def test_an_import_path_is_resolved_when_the_build_function_is_first_read(
    write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither the registry nor its child imports the module before ``build_func`` is read."""
    folder = write("builders_of_pets.py", "def build(cfg, registry):\n    return registry.name, cfg\n").parent
    monkeypatch.syspath_prepend(folder)
    pets = Registry("pet", build_func="builders_of_pets.build", scope="pets")
    child = Registry("child", parent=pets, scope="child")
    assert "builders_of_pets" not in sys.modules
    assert child.build({"a": 1}) == ("child", {"a": 1})
    assert child.build_func is pets.build_func is sys.modules["builders_of_pets"].build


def test_a_child_reads_the_build_function_of_its_parent_late(cats: Registry) -> None:
    """If the parent gets another build function after the child was made, the child uses it."""
    child = Registry("child", parent=cats, scope="child")
    cats.build_func = lambda cfg, registry: registry.name
    assert child.build({}) == "child"


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        (
            "graphlib.TopologicalSort",
            "'graphlib' has no 'TopologicalSort'. Did you mean 'graphlib.TopologicalSorter'?",
        ),
        ("pathlib.Path.homes.x", "'pathlib.Path' has no 'homes'. Did you mean 'pathlib.Path.home.x'?"),
        ("no_such_module_of_pets.build", "there is no module 'no_such_module_of_pets'."),
        ("build_pet", "there is no module 'build_pet'."),
        ("math.pi", "it cannot be called."),
    ],
)
def test_a_wrong_import_path_of_the_build_function(path: str, reason: str) -> None:
    """The error has the registry and the path, each time, and says what is wrong with the path."""
    pets = Registry("pet", build_func=path, scope="pets")
    child = Registry("child", parent=pets, scope="child")
    for registry in (pets, child, pets):
        with pytest.raises(ArgumentError) as caught:
            registry.build({"type": "dict"})
        assert str(caught.value) == (
            f"The build_func of the pet registry cannot be imported from {path!r}: {reason}"
        )


def test_a_build_function_whose_module_is_broken(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    """The exception of the module keeps its type and gets a note with the registry and the path."""
    monkeypatch.syspath_prepend(write("broken_builders_of_pets.py", "1 / 0\n").parent)
    pets = Registry("pet", build_func="broken_builders_of_pets.build", scope="pets")
    with pytest.raises(ZeroDivisionError) as caught:
        pets.build({})
    assert caught.value.__notes__ == [
        "while importing 'broken_builders_of_pets.build', the build_func of the pet registry"
    ]


# ----------------------------------------------------------------------------------- home


def test_a_home_is_imported_when_a_name_is_not_found(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    """The module that fills a registry is imported once, and only if a name is missing."""
    folder = write(
        "home_of_pets.py", "from pets import PETS\nPETS.register_module('Dog', module=dict)\n"
    ).parent
    monkeypatch.syspath_prepend(folder)
    pets = Registry("pet", scope="pets", home="home_of_pets")
    monkeypatch.setitem(sys.modules, "pets", types.SimpleNamespace(PETS=pets))
    pets.register_module(module=Cat)
    assert pets.get("Cat") is Cat
    assert "home_of_pets" not in sys.modules
    assert pets.get("Dog") is dict
    assert pets.get("Bird") is None


def test_a_home_that_cannot_be_imported_fails_each_time() -> None:
    """A failed import is not hidden by a second look-up."""
    pets = Registry("pet", scope="pets", home="no_such_home_of_pets")
    for _ in range(2):
        with pytest.raises(ModuleNotFoundError, match="no_such_home_of_pets"):
            pets.get("Dog")


@pytest.mark.parametrize("key", ["tyep", "typ", "Type"])
def test_misspelt_type(key: str, cats: Registry) -> None:
    """A key with a name similar to ``type`` is taken for it, whether or not there is a type."""
    cats.register_module(module=Cat)
    with pytest.raises(UnknownNameError, match=rf"\. Did you mean 'type' instead of '{key}'\?$"):
        cats.build({key: "Cat", "age": 3})
    with pytest.raises(BuildError, match=rf"Cat takes no argument '{key}'\. Did you mean 'type'\?"):
        cats.build({key: "Cat", "type": "Cat"})


def test_missing_type_without_a_similar_key(cats: Registry) -> None:
    """Other keys are not mentioned."""
    with pytest.raises(UnknownNameError, match=r'must contain the key "type"\.$'):
        cats.build({"name": "Tom"})


def test_forced_entry_before_the_home_is_imported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An entry that is registered with force=True before the registry is filled stays when it is filled."""
    (tmp_path / "registry_of_shapes.py").write_text(
        "from cfgtrain import Registry\n"
        "SHAPES = Registry('shape', scope='shapes_of_home', home='home_of_shapes')\n"
    )
    (tmp_path / "home_of_shapes.py").write_text(
        "from registry_of_shapes import SHAPES\n"
        "@SHAPES.register_module()\nclass Cube: ...\n"
        "@SHAPES.register_module()\nclass Ball: ...\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    registry: Registry = importlib.import_module("registry_of_shapes").SHAPES

    @registry.register_module(force=True)
    class Cube: ...

    ball = registry.get("Ball")
    assert ball is not None
    assert ball.__module__ == "home_of_shapes"
    assert registry.get("Cube") is Cube


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("DCNv2", "compiled operator of MMCV.*torchvision.ops.DeformConv2d"),
        ("SAC", "compiled operator of MMCV.*another package"),
        ("MMSyncBN", "SyncBN is that of PyTorch"),
        ("RFSearchHook", "no search for receptive fields"),
    ],
)
def test_names_that_only_mmcv_has(name: str, hint: str) -> None:
    """The error says what to do instead of suggesting a similar name; a project may register the name itself."""
    layers = Registry("conv layer", scope="of-mmcv")
    with pytest.raises(KeyError, match=hint):
        layers.build({"type": name})
    layers.register_module(name=name, module=dict)
    assert layers.build({"type": name}) == {}
