"""The table of the top-level config keys."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from cfgtrain import Config
from cfgtrain.introspection.signatures import parameters_of
from cfgtrain.keys import HOOK_KEYS, KEYS, setting
from cfgtrain.registries import HOOKS
from cfgtrain.runner.hooks.hook import Hook
from cfgtrain.runner.hooks.priority import get_priority

PAGE = Path(__file__).parent.parent / "docs" / "config.md"
ROW = re.compile(r"^\| `(\w+)` \|.*\| ([^|]+) \|$", re.MULTILINE)


def documented() -> dict[str, str]:
    """Return the last column of the table of top-level keys, by key."""
    section = PAGE.read_text(encoding="utf-8").split("## Config keys\n")[1].split("\n#")[0]
    return dict(ROW.findall(section))


def test_the_documented_keys_are_those_of_the_table() -> None:
    """``docs/config.md`` names exactly the known keys, and says which of them are required."""
    assert sorted(documented()) == sorted(KEYS)
    required = [key for key, default in documented().items() if default == "required"]
    assert required == [key.name for key in KEYS.values() if key.required]


@pytest.mark.parametrize("name", ["workflow", "log_level", "deterministic", "timer_config", "seed"])
def test_the_documented_default_is_that_of_the_table(name: str) -> None:
    """A default that is documented as a value is the one that is used."""
    assert eval(documented()[name].strip("`")) == KEYS[name].default


@pytest.mark.parametrize("key", KEYS.values(), ids=KEYS)
def test_every_key_is_described(key: Any) -> None:
    """The meaning is one sentence."""
    assert re.fullmatch(r"[A-Z][^\n]*\.", key.meaning)


@pytest.mark.parametrize("key", HOOK_KEYS.values(), ids=HOOK_KEYS)
def test_a_hook_key_names_a_hook_and_a_priority(key: Any) -> None:
    """The default hook is registered, and the priority exists; a key without them leaves both to the hook."""
    if key.default_type is not None:
        hook = HOOKS.get(key.default_type)
        assert isinstance(hook, type)
        assert issubclass(hook, Hook)
        parameters = parameters_of(hook)
        assert parameters is not None
        assert not key.follows_runner or "by_epoch" in parameters.names
    if key.priority is not None:
        get_priority(key.priority)


def test_a_setting_has_the_value_of_the_config_or_the_default() -> None:
    """A value that is set, None too, replaces the default."""
    assert setting(Config({"workflow": [("val", 2)]}), "workflow") == [("val", 2)]
    assert setting({"workflow": None}, "workflow") is None
    assert setting({}, "workflow") == [("train", 1)]


@pytest.mark.parametrize(("by_epoch", "interval"), [(True, 1), (False, 1000)])
def test_a_default_may_depend_on_the_runner(by_epoch: bool, interval: int) -> None:
    """Checkpoints are saved every epoch, or every 1,000 iterations."""
    assert setting({}, "checkpoint_config", by_epoch) == {"interval": interval}
    assert setting({}, "log_level", by_epoch) == "INFO"


def test_a_default_can_be_changed_safely() -> None:
    """Each call returns a new value."""
    setting({}, "workflow").append(("val", 1))
    assert setting({}, "workflow") == [("train", 1)]
