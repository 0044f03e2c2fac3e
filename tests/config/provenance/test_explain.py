"""The explanation of a value: its changes, what they replaced, and later changes that did not update it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from cfgtrain import Config
from cfgtrain.config.key_paths import UNKNOWN
from cfgtrain.config.provenance.explain import Explanation, explain
from cfgtrain.errors import ConfigKeyError

Write = Callable[[str, str], Path]


@pytest.fixture
def cfg(write: Write) -> Config:
    """Four levels: a.py, b.yaml, c.py, d.py."""
    write("a.py", "lr = 0.1\noptimizer = dict(type='SGD', lr=lr)\npolicy = dict(name='step', step=[8])\n")
    write("b.yaml", "_base_: a.py\nmomentum: {{ _base_.optimizer.lr }}\npolicy: {step: [9]}\n")
    write(
        "c.py", "_base_ = 'b.yaml'\npolicy = dict(_delete_=True, name='cosine')\noptimizer = dict(lr=0.3)\n"
    )
    write("d.py", "_base_ = 'c.py'\nlr = 0.2\npolicy = dict(step=[7])\n")
    return Config.fromfile("d.py")


def steps(explanation: Explanation) -> list[tuple[str, object]]:
    return [(str(step.origin), step.value) for step in explanation.steps]


def test_each_step_has_its_value(cfg: Config) -> None:
    """Every file that set a value is a step with its value, oldest first."""
    explanation = explain(cfg, "optimizer.lr")
    assert (explanation.path, explanation.value) == (("optimizer", "lr"), 0.3)
    assert steps(explanation) == [("a.py:2", 0.1), ("c.py:3", 0.3)]
    [use] = explanation.steps[0].uses
    assert (use.path, use.value, str(use.origin)) == (("lr",), 0.1, "a.py:1")
    assert explanation.stale_values == []  # c.py has set it since
    assert [stale.key for stale in explanation.stale_dependents] == [("momentum",)]


def test_a_value_that_was_dropped_and_set_again(cfg: Config) -> None:
    """A value that was dropped with its dict, and set again, has a step for that."""
    explanation = explain(cfg, "policy.step")
    assert [(str(step.origin), step.dropped) for step in explanation.steps] == [
        ("a.py:3", None),
        ("b.yaml:3", None),
        ("c.py:2", ("policy",)),
        ("d.py:3", None),
    ]


def test_references_are_followed_into_the_bases(cfg: Config) -> None:
    """A reference is followed to the file that set the value, and then to the variables there."""
    explanation = explain(cfg, "momentum")
    [use] = explanation.steps[0].uses
    assert (use.path, use.inherited, use.value, str(use.origin)) == (("optimizer", "lr"), True, 0.1, "a.py:2")
    assert [(each.path, str(each.origin)) for each in use.uses] == [(("lr",), "a.py:1")]
    assert {(stale.variable, str(stale.overrider)) for stale in explanation.stale_values} == {
        (("optimizer", "lr"), "c.py:3"),
        (("lr",), "d.py:2"),
    }


def test_stale_dependents_of_a_variable(cfg: Config) -> None:
    """The explanation of a variable names the values that were computed from its old value."""
    explanation = explain(cfg, "lr")
    assert steps(explanation) == [("a.py:1", 0.1), ("d.py:2", 0.2)]
    assert [(stale.key, stale.value) for stale in explanation.stale_dependents] == [(("momentum",), 0.1)]


def test_overrides_and_code_are_steps(cfg: Config) -> None:
    """Overrides have their text and value; code has its line."""
    cfg.merge_from_dict({"policy.step[-1]": 5})
    assert steps(explain(cfg, "policy.step[-1]"))[-1] == ("merge_from_dict policy.step[-1]=5", 5)
    cfg.optimizer.lr = 1.0
    assert steps(explain(cfg, "optimizer.lr"))[-1] == (str(cfg.origin("optimizer.lr")), 1.0)
    cfg.optimizer.lr = 2.0
    assert steps(explain(cfg, "optimizer.lr"))[-1] == (str(cfg.origin("optimizer.lr")), 2.0)


def test_a_dict_that_was_replaced_by_none(write: Write) -> None:
    """None over a dict drops its values."""
    write("a.py", "x = dict(y=dict(z=1))\n")
    write("b.py", "_base_ = 'a.py'\nx = dict(y=None)\n")
    write("c.py", "_base_ = 'b.py'\nw = 1\nx = dict(v=1)\n")
    write("d.py", "_base_ = 'c.py'\nx = dict(y=dict(z=2))\n")
    explanation = explain(Config.fromfile("d.py"), "x.y.z")
    assert [(str(step.origin), step.dropped) for step in explanation.steps] == [
        ("a.py:1", None),
        ("b.py:2", ("x", "y")),
        ("d.py:2", None),
    ]


def test_values_without_an_explanation() -> None:
    """Values of a config made in code have no steps, and an unknown key is an error."""
    explanation = explain(Config({"a": {"lr": 1}}), "a.lr")
    assert (explanation.value, explanation.steps, explanation.stale_values) == (1, [], [])
    with pytest.raises(ConfigKeyError, match=r"There is no key 'a.lrr'. Did you mean 'lr'"):
        explain(Config({"a": {"lr": 1}}), "a.lrr")


GONE = {
    "a marker": ("x = dict(\n    _delete_=True, z=1)\n", "x.y", [("a.py:1", None), ("b.py:3", ("x",))]),
    "a marker above": ("x = dict(\n    _delete_=True)\n", "x.l[1]", [("a.py:1", None), ("b.py:3", ("x",))]),
    "a marker at the top": ("_delete_ = True\nz = 1\n", "x.y", [("a.py:1", None), ("b.py:2", ())]),
    "another list": ("x = dict(l=[3])\n", "x.l.1", [("a.py:1", None), ("b.py:2", ("x", "l"))]),
}


@pytest.mark.parametrize(("text", "key", "told"), GONE.values(), ids=GONE.keys())
def test_a_value_that_a_child_dropped_is_explained(
    text: str, key: str, told: list[tuple[str, object]], write: Write
) -> None:
    """The line that dropped a key is a step of its explanation."""
    write("a.py", "x = dict(y=1, l=[1, 2])\n")
    write("b.py", f"_base_ = 'a.py'\n{text}")
    explanation = explain(Config.fromfile("b.py"), key)
    assert explanation.value is UNKNOWN
    assert [(str(step.origin), step.dropped) for step in explanation.steps] == told


def test_a_value_that_code_deleted_is_explained(write: Write) -> None:
    """The explanation has the line that set the key; the line that deleted it is unknown."""
    write("a.py", "x = dict(y=1)\n")
    cfg = Config.fromfile("a.py")
    del cfg.x.y
    assert steps(explain(cfg, "x.y")) == [("a.py:1", 1)]


def test_a_marker_has_no_explanation(write: Write) -> None:
    """A marker such as ``_delete_`` is not a key of the config."""
    write("a.py", "x = dict(_delete_=True, y=1)\n")
    with pytest.raises(ConfigKeyError, match=r"There is no key 'x\._delete_'"):
        explain(Config.fromfile("a.py"), "x._delete_")
