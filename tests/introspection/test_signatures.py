"""Signatures, and checking calls against them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Literal, Optional

import pytest

from cfgtrain import Config
from cfgtrain.introspection.signatures import (
    accepted_args,
    argument_problem,
    callable_name,
    parameters_of,
    positional_names,
    signature_text,
    split_positional,
    type_problem,
)

ADDRESS = object()


def plain(a: int, b: str = "x", *args: int, c: float = 1.0) -> None: ...


def open_ended(a: int, **rest: int) -> None: ...


def positional(a: int, /, b: int) -> None: ...


class Base:
    def __init__(self, depth: int, width: int = 1, *, name: str = "") -> None: ...


class Tensor:
    """A class with the name of torch's."""


class Inherits(Base):
    pass


class PassesOn(Base):
    def __init__(self, extra: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)


class PassesOnTwice(PassesOn):
    def __init__(self, more: int = 0, **others: Any) -> None:
        super().__init__(**others)


class BelowPassing(PassesOn):
    pass


class PassesAll(Base):
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)


class PassesByName(Base):
    def __init__(self, **kwargs: Any) -> None:
        Base.__init__(self, **kwargs)


class FillsFirst(Base):
    def __init__(self, **kwargs: Any) -> None:
        super().__init__(18, **kwargs)


class FillsFirstByName(Base):
    def __init__(self, **kwargs: Any) -> None:
        Base.__init__(self, 18, **kwargs)


class FillsKeyword(Base):
    def __init__(self, **kwargs: Any) -> None:
        super().__init__(depth=18, **kwargs)


class Renames(Base):
    def __init__(self, layers: int = 3, **kwargs: Any) -> None:
        super().__init__(layers, **kwargs)


class BelowRenames(Renames):
    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)


class HasDefault(Base):
    def __init__(self, depth: int = 18, **kwargs: Any) -> None:
        super().__init__(depth=depth, **kwargs)


class BelowDefault(HasDefault):
    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)


class Swallows(Base):
    def __init__(self, a: int, **kwargs: Any) -> None:
        super().__init__(a)
        self.kwargs = kwargs


class Takes(Base):
    def __init__(self, **kwargs: Any) -> None:
        self.own = kwargs.pop("own", None)
        super().__init__(**kwargs)


class Chooses(Base):
    def __init__(self, deep: bool, **kwargs: Any) -> None:
        if deep:
            super().__init__(50, **kwargs)
        else:
            super().__init__(18, **kwargs)


class Spreads(Base):
    def __init__(self, sizes: Sequence[int] = (), **kwargs: Any) -> None:
        super().__init__(*sizes, **kwargs)


class OfObject:
    def __init__(self, a: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)


class BelowBuiltin(dict[str, int]):
    def __init__(self, a: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)


class Sourceless:
    exec("def __init__(self, a, **kwargs): super().__init__(**kwargs)")


class Lambda:
    __init__ = lambda self, a, **kwargs: None  # noqa: E731


@pytest.mark.parametrize(
    ("target", "names", "required", "is_open"),
    [
        (plain, "a b c", "a", False),
        (open_ended, "a", "a", True),
        (positional, "b", "b", False),
        (partial(plain, 1), "b c", "", False),
        (partial(plain, a=1), "a b c", "", False),
        (Base, "depth width name", "depth", False),
        (Inherits, "depth width name", "depth", False),
        # **kwargs that are passed to the base class
        (PassesOn, "extra depth width name", "extra depth", False),
        (PassesOnTwice, "more extra depth width name", "extra depth", False),
        (BelowPassing, "extra depth width name", "extra depth", False),
        (PassesAll, "depth width name", "depth", False),
        (PassesByName, "depth width name", "depth", False),
        (OfObject, "a", "a", False),
        # arguments that the constructor itself passes cannot be given again
        (FillsFirst, "width name", "", False),
        (FillsFirstByName, "width name", "", False),
        (FillsKeyword, "width name", "", False),
        (Renames, "layers width name", "", False),
        (BelowRenames, "layers width name", "", False),
        (HasDefault, "depth width name", "", False),
        (BelowDefault, "depth width name", "", False),
        # other uses of them are not known
        (Swallows, "a", "a", True),
        (Takes, "", "", True),
        (Chooses, "deep", "deep", True),
        (Spreads, "sizes", "", True),
        (BelowBuiltin, "a", "a", True),
        (Sourceless, "a", "a", True),
        (Lambda, "a", "a", True),
    ],
)
def test_parameters(target: Callable[..., Any], names: str, required: str, is_open: bool) -> None:
    """The names, those without a default, and whether others are accepted, are read from the signatures."""
    found = parameters_of(target)
    assert found is not None
    assert (list(found.names), list(found.required)) == (names.split(), required.split())
    assert found.open_ended == is_open


def test_a_target_without_a_signature() -> None:
    """Some builtins have no signature: any call of them is accepted."""
    assert parameters_of(dict) is None
    assert argument_problem(dict, {"x": 1}) is None
    assert type_problem(dict, "x", 1) is None
    assert accepted_args(dict, {"x": 1}) == {"x": 1}


@pytest.mark.parametrize(
    ("target", "args", "text", "argument"),
    [
        (plain, {"a": 1}, None, None),
        (plain, {"a": 1, "b": "", "c": 1}, None, None),
        (open_ended, {"a": 1, "z": 1}, None, None),
        (plain, {"aa": 1}, "plain takes no argument 'aa'. Did you mean 'a'?", "aa"),
        (plain, {"a": 1, "zzz": 1}, "plain takes no argument 'zzz'.", "zzz"),
        (plain, {}, "plain needs the argument 'a'.", None),
        (open_ended, {"z": 1}, "open_ended needs the argument 'a'.", None),
        (PassesOn, {}, "PassesOn needs the arguments 'extra' and 'depth'.", None),
        (PassesOn, {"extra": 1, "depth": 1, "widht": 2}, "PassesOn takes no argument 'widht'. Did you mean 'width'?", "widht"),
        (FillsFirst, {"width": 2}, None, None),
        (Takes, {"own": 1, "depth": 1}, None, None),
        (partial(plain, 1), {"b": "x"}, None, None),
    ],
)  # fmt: skip
def test_argument_problems(
    target: Callable[..., Any], args: dict[str, Any], text: str | None, argument: str | None
) -> None:
    """The message for an unknown or missing argument has a correction."""
    problem = argument_problem(target, args)
    assert (problem and str(problem.error({})).split("\n")[0], problem and problem.argument) == (
        text,
        argument,
    )


@pytest.mark.parametrize(
    ("target", "text"),
    [
        (plain, "plain(a, b='x', *args, c=1.0)"),
        (open_ended, "open_ended(a, **kwargs)"),
        (PassesOnTwice, "PassesOnTwice(more=0, extra, depth, width=1, name='')"),
        (HasDefault, "HasDefault(depth=18, width=1, name='')"),
        (partial(plain, a=3), "plain(a=3, b='x', c=1.0)"),
        (dict, "dict(...)"),
        (lambda x=Base, y=len, z=ADDRESS, w="w" * 50: None, "<lambda>(x=Base, y=len, z=..., w=...)"),
    ],
)
def test_signatures_as_text(target: Callable[..., Any], text: str) -> None:
    """Each name has its default; a default that is long, or an address, is left out."""
    assert signature_text(target).split(".<locals>.")[-1] == text


def test_the_error_has_the_message_the_place_and_the_signature(write: Callable[[str, str], Path]) -> None:
    """The problem, the location and the signature are on three lines, and can be read one by one."""
    write("cat.py", "\n\ncat = dict(aa=1)\n")
    problem = argument_problem(plain, {"aa": 1})
    assert problem is not None
    error = problem.error(Config.fromfile("cat.py").cat)
    assert str(error).splitlines() == [
        "plain takes no argument 'aa'. Did you mean 'a'?",
        "  at cat.aa (cat.py:3)",
        "  in plain(a, b='x', *args, c=1.0)",
    ]
    assert (error.message, error.hint) == ("plain takes no argument 'aa'.", "Did you mean 'a'?")
    assert (error.file, error.line, error.key) == ("cat.py", 3, "cat.aa")
    assert error.signature == "plain(a, b='x', *args, c=1.0)"


def test_arguments_that_will_be_added() -> None:
    """With partial_args no argument is missing, but an unknown name is still an error."""
    assert argument_problem(plain, {}, partial_args=True) is None
    assert argument_problem(plain, {"zzz": 1}, partial_args=True) is not None


class Unhashable:
    """A callable that cannot be hashed."""

    __hash__ = None  # type: ignore[assignment]

    def __call__(self, a: int = 1) -> int:
        return a


def test_a_target_that_cannot_be_hashed() -> None:
    """Its signature is read without the cache."""
    assert signature_text(Unhashable()).endswith("(a=1)")
    assert argument_problem(Unhashable(), {"b": 1}) is not None


def test_an_argument_that_is_not_a_str() -> None:
    """A key such as 1 is not an argument, and is shown as it is."""
    problem = argument_problem(plain, {"a": 1, 1: 2})  # type: ignore[dict-item]
    assert problem is not None
    assert (problem.message, problem.hint) == ("plain takes no argument 1.", "")


@pytest.mark.parametrize(
    ("target", "taken"),
    [(plain, ["a", "b"]), (open_ended, ["a", "b", "depth"]), (Base, ["depth"]), (PassesOn, ["depth"])],
)
def test_accepted_args(target: Callable[..., Any], taken: list[str]) -> None:
    """Only the arguments that the target accepts are returned."""
    assert list(accepted_args(target, {"a": 1, "b": 2, "depth": 3})) == taken


@pytest.mark.parametrize(
    ("target", "name"),
    [
        (plain, "plain"),
        (Base, "Base"),
        (partial(plain, 1), "plain"),
        (Base.__init__, "Base.__init__"),
        (len, "len"),
    ],
)
def test_names_for_messages(target: Callable[..., Any], name: str) -> None:
    """Classes, functions and partials have the name in their source."""
    assert callable_name(target) == name


# ------------------------------------------------------------------------------------ types

FITTING: list[tuple[Any, list[Any], list[Any]]] = [
    # annotation, valid values, invalid values
    (int, [1, -1], [1.0, "1", None, True, [1]]),
    (float, [1, 1.5], ["1e-3", None, True]),
    (bool, [True], [1, 0, "true", None]),
    (str, ["", "x"], [1, None, ["x"]]),
    (None, [None], [0, "", False]),
    (list, [[], [1], (1,)], ["x", 1, {}, None]),
    (list[int], [[], (1,)], ["x", 1, ["x"], [1, None]]),
    (tuple[int, ...], [(), [1]], ["x", 1, [1, "x"]]),
    (tuple[int, str], [(1, "x"), [1, "x"]], ["x", 1]),
    (Sequence[int], [[1], (1,), range(3)], [1, None, {}, "x", [32, "a"]]),
    (Sequence[str], [["a"], ("a",), "x"], [1, None, {}, [1]]),
    (Sequence, [["a", 1], "x"], [1, None]),
    (list[float | None], [[1, 0.5, None]], [["x"]]),
    (list[Path], [["x"], [1]], ["x"]),
    (dict, [{}], [[], 1, None]),
    (dict[str, int], [{"a": 1}], [[], None]),
    (Mapping[str, int], [{}], ["x"]),
    (int | None, [1, None], ["x", 1.5]),
    (Optional[str], ["x", None], [1]),  # noqa: UP045  # as in older code
    (int | list[int], [1, [1]], ["x", None]),
    (Literal["a", "b"], ["a"], ["c", None]),
    (Literal[1] | None, [1, None], [2]),
    # annotations that are not checked
    (Any, [1, "x", None], []),
    (Path, ["x", 1, None], []),
    (Base, [{}, "x", 3], []),
    (Tensor, [[1.0], 3], ["x"]),  # a tensor cannot be made from a str
    (int | Base, [1, {}, "x"], []),
    (Callable[..., Any], ["x", len], []),
    (set[int], [[], "x"], []),
]


@pytest.mark.parametrize(
    ("annotation", "value", "fits"),
    [(kind, value, True) for kind, good, _ in FITTING for value in good]
    + [(kind, value, False) for kind, _, bad in FITTING for value in bad],
)
def test_types(annotation: Any, value: Any, fits: bool) -> None:
    """Simple annotations are checked: an int is a float, a bool is not a number, a list is any sequence."""

    def target(x) -> None: ...  # type: ignore[no-untyped-def]

    target.__annotations__["x"] = annotation
    assert (type_problem(target, "x", value) is None) == fits


def old_style(x: int = None, y: list[str] | None = None) -> None:  # type: ignore[assignment]  # noqa: RUF013
    """Defaults of None without None in the annotation, as in much code."""


@pytest.mark.parametrize(("name", "value", "fits"), [("x", None, True), ("x", "a", False), ("y", None, True)])
def test_a_default_of_none_fits(name: str, value: Any, fits: bool) -> None:
    """An argument whose default is None may be None, whatever its annotation is."""
    assert (type_problem(old_style, name, value) is None) == fits


@pytest.mark.parametrize(
    ("annotation", "text"),
    [
        (float, "x of target must be a float, not 'no'."),
        (int, "x of target must be an int, not 'no'."),
        (int | None, "x of target must be an int or None, not 'no'."),
        (Literal["by", 1], "x of target must be 'by' or 1, not 'no'."),
        (list[int] | dict[str, int], "x of target must be a list or a dict, not 'no'."),
    ],
)
def test_the_message_for_a_wrong_type(annotation: Any, text: str) -> None:
    """The message has the expected types and the given value."""

    def target(x) -> None: ...  # type: ignore[no-untyped-def]

    target.__annotations__["x"] = annotation
    target.__qualname__ = "target"
    assert type_problem(target, "x", "no") == text


def fixed(a: int, b: str = "x", *, c: float = 1.0) -> None: ...


def test_arguments_of_the_calling_code() -> None:
    """Arguments that the calling code gives are not missing, must be known, and must not be given twice."""
    assert argument_problem(fixed, {"b": "y"}, given=("a",)) is None
    for args, given, message in (
        ({"a": 1}, ("a",), "fixed gets the argument 'a' from the code that builds it."),
        ({"a": 1}, ("d",), "fixed takes no argument 'd'."),
        ({}, ("b",), "fixed needs the argument 'a'."),
    ):
        problem = argument_problem(fixed, args, given=given)
        assert problem is not None
        assert problem.message == message


def test_names_of_positional_arguments() -> None:
    """They are the first parameters; not known with too many arguments, with ``*args`` or no signature."""
    assert positional_names(fixed, (1,)) == ("a",)
    assert positional_names(fixed, (1, "y")) == ("a", "b")
    assert positional_names(fixed, (1, "y", 2.0)) is None
    assert positional_names(plain, (1,)) is None
    assert positional_names(dict, ({},)) is None


def test_types_of_inherited_arguments() -> None:
    """Arguments that are passed on by **kwargs are checked against the base class."""
    assert type_problem(PassesOnTwice, "depth", "x") == "depth of PassesOnTwice must be an int, not 'x'."
    assert type_problem(PassesOnTwice, "nothing", "x") is None


def unreadable(x: NotThere) -> None:  # type: ignore[name-defined]  # noqa: F821
    """An annotation with an undefined name."""


def test_an_annotation_that_cannot_be_resolved_is_ignored() -> None:
    """Any value is accepted for such an argument."""
    assert type_problem(unreadable, "x", 1) is None
    assert argument_problem(unreadable, {"x": 1}) is None


def test_an_object_that_can_be_called_has_the_name_of_its_class() -> None:
    """Messages contain no address in memory."""

    class Scorer:
        def __call__(self, top: int) -> int:
            return top

    problem = argument_problem(Scorer(), {"tpo": 1})
    assert problem is not None
    assert problem.message.endswith("Scorer takes no argument 'tpo'.")
    assert problem.hint == " Did you mean 'top'?"
    assert " at 0x" not in f"{problem.message}{problem.signature}"


class Layers:
    """Like a container of torch."""

    def __init__(self, *args: Any) -> None:
        self.args = args


def test_positional_arguments_are_a_list() -> None:
    """The name of ``*args`` takes a list; the parameters before it then are positional too."""
    assert argument_problem(Layers, {"args": [1, 2]}) is None
    assert split_positional(Layers, {"args": [1, 2]}) == ([1, 2], {})
    assert split_positional(plain, {"a": 1, "args": [3], "c": 2.0}) == ([1, "x", 3], {"c": 2.0})
    assert split_positional(plain, {"a": 1, "c": 2.0}) == ([], {"a": 1, "c": 2.0})
    assert signature_text(Layers) == "Layers(*args)"


@pytest.mark.parametrize(
    ("target", "args", "message"),
    [
        (Layers, {"args": 3}, "args of Layers must be a list of positional arguments, not 3."),
        (Layers, {"arg": [3]}, "Layers takes no argument 'arg'."),
        (plain, {"args": [3]}, "plain needs the argument 'a'."),
    ],
)
def test_wrong_positional_arguments(target: Any, args: dict[str, Any], message: str) -> None:
    """Anything but a list, a misspelled name and a missing argument before the list are wrong."""
    problem = argument_problem(target, args)
    assert problem is not None
    assert problem.message == message
