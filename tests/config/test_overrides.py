"""Merging dotted keys into a config, and the strict rules of the command line."""

from __future__ import annotations

import copy
import warnings
from typing import Any

import pytest

from cfgtrain import Config
from cfgtrain.config.overrides import check_known, override_tree, split_key
from cfgtrain.errors import CheckError, ConfigKeyError, ConfigMergeError, ConfigWarning
from cfgtrain.origin import Origin, describe

HERE = Origin(None, None, "--cfg-options")

BASE: dict[str, Any] = {
    "item1": [1, 2],
    "item2": {"a": 0},
    "item3": True,
    "item4": "test",
    "none": None,
    "pipeline": [{"type": "Load", "size": 1}, {"type": "Resize", "scale": (8, 8)}],
    "empty": [],
}


@pytest.fixture
def cfg() -> Config:
    return Config(BASE)


@pytest.mark.parametrize(
    ("key", "parts"),
    [
        ("a", ["a"]),
        ("a.b.c", ["a", "b", "c"]),
        ("a.0.b", ["a", "0", "b"]),
        ("a[0].b", ["a", "0", "b"]),
        ("a[0][-1]", ["a", "0", "-1"]),
        ("+a.b", ["a", "b"]),
        ("a[x]", ["a[x]"]),
    ],
)
def test_a_key_is_split(key: str, parts: list[str]) -> None:
    """A key is split at dots and indices in brackets, and a leading plus is removed."""
    assert split_key(key) == parts


@pytest.mark.parametrize(
    ("options", "tree"),
    [
        ({}, {}),
        ({"a.b": 1}, {"a": {"b": 1}}),
        ({"a.b": 1, "a.c": 2}, {"a": {"b": 1, "c": 2}}),
        ({"a": {"b": 1}, "a.c": 2}, {"a": {"b": 1, "c": 2}}),
        ({"a.b": 1, "a": {"c": 2}}, {"a": {"b": 1, "c": 2}}),
        ({"a.b": {"c": {"d": 1}}, "a": {"b": {"c": {"e": 2}}}}, {"a": {"b": {"c": {"d": 1, "e": 2}}}}),
        ({"a.b": 1, "a": 2}, {"a": 2}),
        ({"a": 2, "a.b": 1}, {"a": {"b": 1}}),
        ({"a.b": 1, "a.b.c": 2}, {"a": {"b": {"c": 2}}}),
        ({"a": {"b.c": 1, 2: 3}}, {"a": {"b.c": 1, 2: 3}}),
    ],
)
def test_options_become_a_tree(options: dict[str, Any], tree: dict[Any, Any]) -> None:
    """Dotted keys nest, dicts are merged, later options count, and the input is not changed."""
    before = copy.deepcopy(options)
    assert override_tree(options, HERE) == tree
    assert options == before


def test_the_tree_has_its_origin() -> None:
    """Each node of the tree has the origin of the options."""
    tree = override_tree({"a.b": {"c": 1}}, HERE)
    assert describe(tree.a.b, "c") == "a.b.c (--cfg-options)"


# ---------------------------------------------------------------------- merge_from_dict


@pytest.mark.parametrize(
    ("options", "changed"),
    [
        ({"item2.a": 1, "item2.b": 0.1, "item3": False}, {"item2": {"a": 1, "b": 0.1}, "item3": False}),
        ({"new.deep.key": 1}, {"new": {"deep": {"key": 1}}}),
        ({"item2": {"c": {"d": 1}}}, {"item2": {"a": 0, "c": {"d": 1}}}),
        ({"item1": 5}, {"item1": 5}),
        ({"item1": [{"a": 1}]}, {"item1": [{"a": 1}]}),
        ({"item2.6": 1}, {"item2": {"a": 0, "6": 1}}),
        ({"none.x": 1}, {"none": {"x": 1}}),
        # markers
        ({"item2._delete_": True, "item2.q": 1}, {"item2": {"q": 1}}),
        ({"item2.q": 1, "item2._delete_": True}, {"item2": {"q": 1}}),
        ({"item2": {"_delete_": True, "q": 1}}, {"item2": {"q": 1}}),
        ({"item1": {"_delete_": True, "a": 0}}, {"item1": {"a": 0}}),
        # dots of nested keys are part of their names
        ({"item2": {"backbone.layer1": 0.1}}, {"item2": {"a": 0, "backbone.layer1": 0.1}}),
        # items of lists
        ({"item1.0": 9}, {"item1": [9, 2]}),
        ({"item1[-1]": 9}, {"item1": [1, 9]}),
        (
            {"pipeline.0.size": 3, "pipeline[1].scale[0]": 4},
            {"pipeline": [{"type": "Load", "size": 3}, {"type": "Resize", "scale": (4, 8)}]},
        ),
        (
            {"pipeline": {"0": {"new": 1}}},
            {"pipeline": [{"type": "Load", "size": 1, "new": 1}, BASE["pipeline"][1]]},
        ),
        ({"pipeline.1": {"_delete_": True, "type": "X"}}, {"pipeline": [BASE["pipeline"][0], {"type": "X"}]}),
    ],
)
def test_merge_from_dict(options: dict[str, Any], changed: dict[str, Any], cfg: Config) -> None:
    """Options set the values at their keys, unknown keys are added, and the input is not changed."""
    before = copy.deepcopy(options)
    cfg.merge_from_dict(options)
    assert cfg == {**BASE, **changed}
    assert options == before


def test_the_old_tree_is_not_changed(cfg: Config) -> None:
    """The merged tree is a new one: code that refers to the old one sees no change."""
    old = cfg._cfg_dict
    cfg.merge_from_dict({"pipeline.0.size": 5})
    cfg.pipeline[1].type = "Crop"
    assert old == BASE
    assert cfg._cfg_dict is not old


def test_merged_dicts_have_attributes(cfg: Config) -> None:
    """Dicts in the options, also in lists, can be read by attribute."""
    cfg.merge_from_dict({"x": [{"a": [{"b": 1}]}], "y.z": {"w": 2}})
    assert cfg.x[0].a[0].b == 1
    assert cfg.y.z.w == 2


@pytest.mark.parametrize(
    ("options", "allow", "kind", "key"),
    [
        ({"pipeline.2.size": 1}, True, ConfigKeyError, "pipeline[2]"),
        ({"empty.0": 1}, True, ConfigKeyError, "empty[0]"),
        ({"pipeline.x": 1}, True, ConfigMergeError, "pipeline"),
        ({"pipeline.0.size": 1}, False, ConfigMergeError, "pipeline"),
        ({"item3.x": 1}, True, ConfigMergeError, "item3"),
        ({"item1.0.x": 1}, True, ConfigMergeError, "item1[0]"),
        ({"text": 1}, True, ConfigKeyError, "text"),
    ],
)
def test_options_that_do_not_fit(
    options: dict[str, Any], allow: bool, kind: type[Exception], key: str, cfg: Config
) -> None:
    """A wrong index or reserved key is a KeyError, a key of a value a TypeError, and nothing is merged."""
    with pytest.raises(kind) as caught:
        cfg.merge_from_dict({"item4": "changed", **options}, allow_list_keys=allow)
    assert caught.value.key == key  # type: ignore[attr-defined]
    assert cfg == BASE


@pytest.mark.parametrize(
    ("options", "kind", "message"),
    [
        ({1: 2}, ConfigKeyError, "The option 1 is not a dotted key, such as 'optimizer.lr'."),
        (["a=1"], ConfigMergeError, "Options are a dict of values by dotted key, not ['a=1']."),
        (None, ConfigMergeError, "Options are a dict of values by dotted key, not None."),
    ],
)
def test_options_are_values_by_dotted_key(
    options: Any, kind: type[Exception], message: str, cfg: Config
) -> None:
    """Anything else is an error that says so."""
    with pytest.raises(kind) as caught:
        cfg.merge_from_dict(options)
    assert message in str(caught.value)
    assert cfg == BASE


def test_a_number_may_be_a_key() -> None:
    """A key that is a number, as in YAML, can be set by its digits, and has its origin."""
    cfg = Config({"names": {0: "cat", 1: {"a": 1}}})
    cfg.merge_from_dict({"names.0": "dog", "names.1.a": 2}, strict=True)
    assert cfg == {"names": {0: "dog", 1: {"a": 2}}}
    assert str(cfg.origin("names.0")) == "merge_from_dict names.0=dog"


# -------------------------------------------------------------------------------- strict


@pytest.mark.parametrize(
    "option",
    [
        "item1",
        "item2.a",
        "pipeline.0.size",
        "pipeline[-1].type",
        "item1[1]",
        "none.anything",
        "item2._delete_",
        "_delete_",
        "+item5",
        "+item2.b.c",
    ],
)
def test_known_keys_pass(option: str, cfg: Config) -> None:
    """Existing keys, keys below None, markers and keys with a plus are accepted."""
    check_known(cfg._cfg_dict, {option: 1})


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ("itme1", "There is no key 'itme1' to override. Did you mean 'item1'?"),
        ("pipelin[0].sizes.x", "There is no key 'pipelin' to override. Did you mean 'pipeline'?"),
        ("item2.zzz", "There is no key 'zzz' in item2 to override."),
        ("pipeline.0.szie", "Did you mean 'pipeline.0.size'?"),
        ("pipelin[0].size", "Did you mean 'pipeline.0.size'?"),
        ("item2.b", "To add a new key, begin it with a plus: '+item2.b=...'."),
        ("pipeline.7.size", "pipeline has no item 7, so 'pipeline.7.size' cannot be set: its indices are 0 to 1."),
        ("pipeline.x", "pipeline has no item x"),
        ("pipeline[x].size", "There is no key 'pipeline[x]' to override. Brackets take the index of an item, as in pipeline[0]; a key follows a dot.\n"),
        ("empty.0", "its indices are none: it is empty."),
        ("item4.x", "item4 is 'test', which has no keys, so 'item4.x' cannot be set."),
    ],
)  # fmt: skip
def test_unknown_keys_are_explained(option: str, message: str, cfg: Config) -> None:
    """A key that is not in the config is a KeyError that suggests the corrected option."""
    with pytest.raises(KeyError) as caught:
        check_known(cfg._cfg_dict, {"item3": 1, option: 1})
    assert message in str(caught.value)
    assert caught.value.key == option  # type: ignore[attr-defined]


def test_strict_merging(cfg: Config) -> None:
    """With strict, an unknown key is an error and nothing is merged, unless it begins with a plus."""
    with pytest.raises(ConfigKeyError, match="Did you mean 'item4'"):
        cfg.merge_from_dict({"item3": False, "itm4": 1}, strict=True)
    assert cfg == BASE
    cfg.merge_from_dict({"item3": False, "+new.key": 1}, strict=True)
    assert cfg == {**BASE, "item3": False, "new": {"key": 1}}


# ------------------------------------------------------------------------- changes of type


@pytest.mark.parametrize(
    ("option", "value", "warning"),
    [
        ("item3", 1, "item3 is now an int 1; the value that it replaces is a bool True."),
        ("item4", 5, "item4 is now an int 5; the value that it replaces is a str 'test'. For a string write 'item4=\"5\"', the quotes included."),
        ("item2.a", "x", "item2.a is now a str 'x'; the value that it replaces is an int 0."),
        ("item2", 3, "item2 is now an int 3; the value that it replaces is a dict {'a': 0}."),
        ("pipeline.0.size", 1.5, "pipeline.0.size is now a float 1.5; the value that it replaces is an int 1."),
        ("item1", "x", "item1 is now a str 'x'; the value that it replaces is a list [1, 2]."),
    ],
)  # fmt: skip
def test_a_value_of_another_type_is_a_warning(option: str, value: Any, warning: str, cfg: Config) -> None:
    """The strict merge warns about it and sets the value; a merge from code does not warn."""
    other = copy.deepcopy(cfg)
    with pytest.warns(ConfigWarning) as caught:
        cfg.merge_from_dict({option: value}, strict=True)
    assert [str(each.message) for each in caught] == [warning]
    assert caught[0].filename == __file__
    other.merge_from_dict({option: value})
    assert other == cfg


@pytest.mark.parametrize(
    "options",
    [{"none": 3}, {"item3": None}, {"item1": (3,)}, {"item2": {"a": 1}}, {"+new": 1}, {"item4": "y"}, {"item2._delete_": True}],
)  # fmt: skip
def test_compatible_types_do_not_warn(options: dict[str, Any], cfg: Config) -> None:
    """None, lists and tuples, new keys, markers, and an int for a float do not cause a warning."""
    cfg.merge_from_dict({"+rate": 0.5})
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        cfg.merge_from_dict({"rate": 1, **options}, strict=True)
    assert caught == []
    assert cfg.rate == 1


def test_the_warning_has_the_origin(write: Any) -> None:
    """The warning has the origin of the old value."""
    cfg = Config.fromfile(write("c.py", "a = 1\nb = dict(\n    c=2)\n"))
    with pytest.warns(ConfigWarning, match=r"an int 2 \(.*c\.py:3\)\.$"):
        cfg.merge_from_dict({"b.c": "x"}, strict=True)


def test_a_negative_index_has_an_origin(cfg: Config) -> None:
    """A value that was set with a negative index has its origin under both indices."""
    cfg.merge_from_dict({"pipeline[-1].scale[-2]": 4}, origin=HERE)
    for key in ("pipeline[-1].scale[0]", "pipeline.1.scale.-2", ("pipeline", 1, "scale", 0)):
        assert [str(place) for place in cfg.history(key)] == ["--cfg-options pipeline[-1].scale[-2]=4"]


def test_several_unknown_keys_are_reported_at_once(cfg: Config) -> None:
    """Each unknown key is one of the errors."""
    with pytest.raises(CheckError, match="2 problems with the options") as caught:
        cfg.merge_from_dict({"itme1": 1, "item3": False, "item2.x": 1}, strict=True)
    assert [error.key for error in caught.value.errors] == ["itme1", "item2.x"]  # type: ignore[attr-defined]
    assert cfg == BASE
