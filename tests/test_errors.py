"""The family of errors, and the suggestions in their messages."""

from __future__ import annotations

import builtins
import copy
import difflib
import inspect
import pickle
import re
from collections.abc import Iterable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import cfgtrain
from cfgtrain import errors
from cfgtrain.arguments import check_choice
from cfgtrain.errors import ArgumentError, BuildError, CfgTrainError, CheckError, ConfigError, ConfigKeyError
from cfgtrain.origin import Origin
from cfgtrain.suggestions import close_names, listed, suggest, with_article

CLASSES = [cls for _, cls in inspect.getmembers(errors, inspect.isclass) if issubclass(cls, CfgTrainError)]
TREE = re.compile(r"^ {4}[│ ]*[├└]── (\w+) *(?:\(([\w, ]+)\))?", re.MULTILINE)


def tree() -> dict[str, set[str]]:
    """Return the builtins of each class in the tree at the top of the module."""
    return {name: set(filter(None, kinds.split(", "))) for name, kinds in TREE.findall(errors.__doc__ or "")}


@pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: cls.__name__)
def test_the_tree_shows_each_class_with_its_builtins(cls: type[CfgTrainError]) -> None:
    """The tree in the docstring has every class with the builtins that it inherits."""
    kinds = {base.__name__ for base in cls.__bases__ if hasattr(builtins, base.__name__)}
    assert cls is CfgTrainError or tree()[cls.__name__] == kinds


@pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: cls.__name__)
def test_the_text_is_the_message(cls: type[CfgTrainError]) -> None:
    """No builtin base class adds quotes or an errno to the text."""
    assert str(cls("It's wrong.")) == "It's wrong."
    assert str(cls()) == cls().message


@pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: cls.__name__)
@pytest.mark.parametrize("through", [copy.copy, lambda error: pickle.loads(pickle.dumps(error))])
def test_an_error_can_be_copied_and_pickled(cls: type[CfgTrainError], through: object) -> None:
    """A copy, such as one from a worker process, keeps the class, text, place, hint and notes."""
    error = cls("wrong", origin=Origin("a.py", 3), key="a.b", near=("lr", ["lrs"]))
    error.add_note("while building")
    twin = through(error)  # type: ignore[operator]
    assert type(twin) is cls
    assert str(twin) == str(error)
    assert (twin.file, twin.line, twin.key, twin.hint) == ("a.py", 3, "a.b", "Did you mean 'lrs'?")
    assert repr(vars(twin)) == repr(vars(error))


@pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: cls.__name__)
def test_every_error_can_have_a_place(cls: type[CfgTrainError]) -> None:
    """File, line and key follow the message on a separate line, and are attributes."""
    error = cls("wrong", origin=Origin("a.py", 3), key="a.b")
    assert str(error) == "wrong\n  at a.b (a.py:3)"
    assert (error.file, error.line, error.key) == ("a.py", 3, "a.b")
    assert (cls().file, cls().line, cls().key) == (None, None, None)


@pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: cls.__name__)
@pytest.mark.parametrize("fields", [{"hint": "Did you mean 'lr'?"}, {"near": ("lrr", ["lr", "momentum"])}])
def test_every_error_can_have_a_hint(cls: type[CfgTrainError], fields: Any) -> None:
    """The hint follows the message, before the place, and is an attribute apart from the message."""
    error = cls("wrong", key="a.lrr", **fields)
    assert str(error) == "wrong Did you mean 'lr'?\n  at a.lrr"
    assert (error.message, error.hint) == ("wrong", "Did you mean 'lr'?")
    assert cls("wrong").hint == cls("wrong", near=("lr", ["momentum"])).hint == ""


@pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: cls.__name__)
def test_a_message_does_not_control_the_terminal(cls: type[CfgTrainError]) -> None:
    """Control characters of a file's content or name are written as escapes; lines and tabs are kept."""
    error = cls("a\x1b[31m\n\tb\x07\r\x9b\u202e", origin=Origin("\x1b[2J.py", 3), hint="c\x00")
    assert str(error) == "a\\x1b[31m\n\tb\\x07\\r\\x9b\\u202e c\\x00\n  at \\x1b[2J.py:3"
    assert error.message == "a\\x1b[31m\n\tb\\x07\\r\\x9b\\u202e"


def test_names_are_compared_only_when_the_hint_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """Raising an error with ``near`` costs nothing: ``hasattr`` on a config must stay fast."""
    monkeypatch.setattr(errors, "suggest", lambda *_: pytest.fail("searched"))
    error = ConfigKeyError("wrong", near=("lrr", ["lr"]))
    assert error.message == "wrong"
    with pytest.raises(pytest.fail.Exception, match="searched"):
        str(error)


def test_a_build_error_ends_with_the_signature() -> None:
    """The signature of what is built is the last line, and an attribute."""
    error = BuildError("wrong", signature="Cat(name)", key="cat")
    assert str(error) == "wrong\n  at cat\n  in Cat(name)"
    assert error.signature == "Cat(name)"


@pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: cls.__name__)
def test_errors_of_usage_have_exit_code_2(cls: type[CfgTrainError]) -> None:
    """Errors in a config, registry, hook, init_cfg, argument or launch are wrong usage; the others are failures."""
    given = errors.ArgumentError | errors.LauncherError | errors.RendezvousError
    usage = issubclass(
        cls, errors.ConfigError | errors.RegistryError | errors.HookError | errors.InitError | given
    )
    assert cls.exit_code == (2 if usage else 1)


def test_a_check_error_contains_each_problem() -> None:
    """CheckError has each problem as a separate error in ``errors``, and lists them."""
    problems = [ConfigKeyError("one", key="a.b"), CfgTrainError("two")]
    error = CheckError("Two problems.", problems)
    assert error.errors == tuple(problems)
    assert str(error) == "Two problems.\n1. one\n  at a.b\n2. two"
    assert error.message == "Two problems."


@pytest.mark.parametrize(
    ("file", "line", "key", "text"),
    [
        (None, None, None, ""),
        (None, 3, None, ""),
        ("a.py", None, None, "\n  at a.py"),
        ("a.py", 3, None, "\n  at a.py:3"),
        (None, None, "a.b", "\n  at a.b"),
        ("a.py", None, "a.b", "\n  at a.b (a.py)"),
        ("a.py", 3, "a.b", "\n  at a.b (a.py:3)"),
    ],
)
def test_a_place_is_one_line(file: str | None, line: int | None, key: str | None, text: str) -> None:
    """The place is one line with the key, file and line that are known."""
    assert str(CfgTrainError("wrong", origin=Origin(file, line), key=key)) == f"wrong{text}"
    if file is None:
        assert str(CfgTrainError("wrong", key=key)) == f"wrong{text}"


def test_a_place_may_be_a_command_line_argument() -> None:
    """An origin that is not in a file is shown by its text."""
    error = ConfigError("wrong", origin=Origin(None, None, "--seed -1"), key="seed")
    assert str(error) == "wrong\n  at seed (--seed -1)"
    assert (error.file, error.line) == (None, None)


def test_the_base_class_is_exported_from_the_root() -> None:
    """``except cfgtrain.CfgTrainError`` needs no other import."""
    assert cfgtrain.CfgTrainError is CfgTrainError
    assert "CfgTrainError" in dir(cfgtrain)


@pytest.mark.parametrize(
    ("value", "choices", "text"),
    [
        ("linaer", ("linear", "cos"), "mode must be 'linear' or 'cos', not 'linaer'. Did you mean 'linear'?"),
        (3, ("linear", None), "mode must be 'linear' or None, not 3."),
        (["a"], {"a": 1}, "mode must be 'a', not ['a']."),
    ],
)
def test_a_wrong_choice_is_an_error(value: object, choices: Any, text: str) -> None:
    """The message has the argument, the choices, the value and the most similar choice."""
    with pytest.raises(ArgumentError) as caught:
        check_choice("mode", value, choices)
    assert str(caught.value) == text


@pytest.mark.parametrize(("value", "choices"), [("a", ["a", "b"]), (None, ("a", None)), ("a", {"a": 1})])
def test_a_right_choice_is_accepted(value: object, choices: Any) -> None:
    """Each of the choices is valid, None too."""
    check_choice("mode", value, choices)


@pytest.mark.parametrize(
    ("word", "names", "close"),
    [
        ("optimzer", ["model", "optimizer"], ["optimizer"]),
        ("sgd", ["Adam", "SGD", "Sgd"], ["SGD", "Sgd"]),
        ("ab", ["abc", "abd", "abe", "abf"], ["abf", "abe", "abd"]),
        ("zzz", ["model", "optimizer"], []),
        ("lr", [], []),
        ("mom", ["model_momentum", "momentum_config"], ["momentum_config"]),
    ],
)
def test_close_names_are_found_in_any_case(word: str, names: list[str], close: list[str]) -> None:
    """At most three names that are similar to the word, or begin with it, are returned, ignoring case."""
    assert sorted(close_names(word, names)) == sorted(close)


def test_the_closest_name_comes_first() -> None:
    """Names are ordered by similarity."""
    assert close_names("momentun", ["moment", "momentum"])[0] == "momentum"


@pytest.mark.parametrize(
    ("names", "text"),
    [
        (["x"], ""),
        (["depth"], " Did you mean 'depth'?"),
        (["depth", "depths"], " Did you mean 'depth' or 'depths'?"),
        (["depth", "depths", "depthss"], " Did you mean 'depth', 'depths' or 'depthss'?"),
    ],
)
def test_a_suggestion_is_a_sentence(names: list[str], text: str) -> None:
    """The similar names are in one question; without any the text is empty."""
    assert suggest("depth", names) == text


@given(
    word=st.text("abcde", min_size=1, max_size=8),
    names=st.lists(st.text("abcdef", min_size=1, max_size=9), unique=True),
    count=st.integers(1, 4),
)
@settings(max_examples=60, deadline=None)
def test_similar_names_are_those_of_difflib(word: str, names: list[str], count: int) -> None:
    """For names that do not begin with the word the result is that of difflib."""
    others = [name for name in names if not name.startswith(word)]  # those are also found without difflib
    assert close_names(word, others, count) == difflib.get_close_matches(word, others, count, 0.6)


@pytest.mark.parametrize(
    ("names", "text"),
    [
        ([], "none"),
        (["a", 3], "'a', 3"),
        ("abcde", "'a', 'b', 'c', 'd', 'e'"),
        (range(2005), "0, 1, 2, 3, 4 and 2,000 more"),
    ],
)
def test_a_list_of_names_is_short(names: Iterable[object], text: str) -> None:
    """The first five names are listed, and the others are counted."""
    assert listed(names) == text


@pytest.mark.parametrize(
    ("word", "text"),
    [("int", "an int"), ("OrderedDict", "an OrderedDict"), ("str", "a str"), ("uint8", "a uint8")],
)
def test_a_word_has_its_article(word: str, text: str) -> None:
    """A word that begins with a vowel has "an", except u, as in unit."""
    assert with_article(word) == text
