"""The family of errors."""

from __future__ import annotations

import builtins
import copy
import difflib
import inspect
import pickle
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cfgtrain import errors
from cfgtrain.errors import CfgTrainError, CheckError, ConfigError, ConfigKeyError, place
from cfgtrain.suggestions import close_names, suggest, with_article

CLASSES = [cls for _, cls in inspect.getmembers(errors, inspect.isclass) if issubclass(cls, CfgTrainError)]
CONFIG_ERRORS = [cls for cls in CLASSES if issubclass(cls, ConfigError) and cls is not CheckError]
DRAWN = re.compile(r"^ {4}[│ ]*[├└]── (\w+) *(?:\(([\w, ]+)\))?", re.MULTILINE)


def drawn() -> dict[str, set[str]]:
    """Return the builtins behind each class in the drawing at the top of the module."""
    return {name: set(filter(None, kinds.split(", "))) for name, kinds in DRAWN.findall(errors.__doc__ or "")}


@pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: cls.__name__)
def test_the_drawing_shows_each_class_with_its_builtins(cls: type[CfgTrainError]) -> None:
    """Every class stands in the tree of the docstring, beside the builtins that it is caught as."""
    kinds = {base.__name__ for base in cls.__bases__ if hasattr(builtins, base.__name__)}
    assert cls is CfgTrainError or drawn()[cls.__name__] == kinds


@pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: cls.__name__)
def test_the_text_is_the_message(cls: type[CfgTrainError]) -> None:
    """No builtin parent puts quotes or an errno into the text."""
    assert str(cls("It's wrong.")) == "It's wrong."
    assert str(cls()) == cls().message


@pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: cls.__name__)
@pytest.mark.parametrize("through", [copy.copy, lambda error: pickle.loads(pickle.dumps(error))])
def test_an_error_travels_whole(cls: type[CfgTrainError], through: object) -> None:
    """A copy, such as a worker process sends home, keeps class, text, places and notes."""
    error = cls("wrong", key="a.b") if cls in CONFIG_ERRORS else cls("wrong")
    error.add_note("while building")
    twin = through(error)  # type: ignore[operator]
    assert type(twin) is cls
    assert str(twin) == str(error)
    assert repr(vars(twin)) == repr(vars(error))


@pytest.mark.parametrize("cls", CONFIG_ERRORS, ids=lambda cls: cls.__name__)
def test_a_config_error_names_its_place(cls: type[ConfigError]) -> None:
    """File, line and key follow the message on a line of their own and can be read off."""
    error = cls("wrong", file="a.py", line=3, key="a.b")
    assert str(error) == "wrong\n  at a.b (a.py:3)"
    assert (error.file, error.line, error.key) == ("a.py", 3, "a.b")


@pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: cls.__name__)
def test_what_the_user_got_wrong_exits_with_2(cls: type[CfgTrainError]) -> None:
    """Errors in a config, a registry, a hook, an init_cfg or an argument are wrong usage; the others are a failure."""
    given = errors.ArgumentError | errors.ArgumentTypeError
    usage = issubclass(
        cls, errors.ConfigError | errors.RegistryError | errors.HookError | errors.InitError | given
    )
    assert cls.exit_code == (2 if usage else 1)


def test_a_check_keeps_each_problem() -> None:
    """CheckError hands on the problems as the errors they would have been alone."""
    problems = [ConfigKeyError("one"), CfgTrainError("two")]
    assert CheckError("Two problems.", problems).errors == tuple(problems)


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
def test_a_place_says_what_is_known(file: str | None, line: int | None, key: str | None, text: str) -> None:
    """Of key, file and line those that are known make one line."""
    assert place(file, line, key) == text


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
    """At most three names that look like the word, or begin with it, are returned, in any case."""
    assert sorted(close_names(word, names)) == sorted(close)


def test_the_closest_name_comes_first() -> None:
    """Names are ordered by how near they are."""
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
    """The near names are one question, and nothing is said when none is near."""
    assert suggest("depth", names) == text


@given(
    word=st.text("abcde", min_size=1, max_size=8),
    names=st.lists(st.text("abcdef", min_size=1, max_size=9), unique=True),
    count=st.integers(1, 4),
)
@settings(max_examples=60, deadline=None)
def test_near_names_are_those_of_difflib(word: str, names: list[str], count: int) -> None:
    """Names that do not begin with the word are found as difflib finds them."""
    others = [name for name in names if not name.startswith(word)]  # these are found in another way, too
    assert close_names(word, others, count) == difflib.get_close_matches(word, others, count, 0.6)


@pytest.mark.parametrize(
    ("word", "text"),
    [("int", "an int"), ("OrderedDict", "an OrderedDict"), ("str", "a str"), ("uint8", "a uint8")],
)
def test_a_word_has_its_article(word: str, text: str) -> None:
    """What begins with a vowel has an, but for u, which is mostly said as in unit."""
    assert with_article(word) == text
