import enum
import math
import re
import subprocess
import sys
from collections import OrderedDict, namedtuple
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

import addict
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cfgtrain.config.pretty import MAX_DEPTH, WIDTH, pretty_python
from cfgtrain.errors import ConfigValueError

CALLED = ["dict", "float", "complex", "set", "frozenset", "globals"]


def run(text: str) -> dict[str, object]:
    """Run printed source and return the names that it sets."""
    names: dict[str, object] = {"__builtins__": __builtins__}
    exec(compile(text, "printed", "exec", dont_inherit=True), names)
    del names["__builtins__"]
    return names


def anatomy(value: object) -> object:
    """Return the types and parts of a value in a form in which nan equals nan and -0.0 is not 0.0."""
    if isinstance(value, dict):
        return [(anatomy(key), anatomy(part)) for key, part in value.items()]
    if isinstance(value, list | tuple):
        return type(value), [anatomy(part) for part in value]
    if isinstance(value, set | frozenset):
        return type(value), sorted(repr(anatomy(part)) for part in value)
    if isinstance(value, complex):
        return complex, repr(value.real), repr(value.imag)
    return type(value), repr(value)


def assert_same(found: Mapping[str, object], tree: Mapping[str, object]) -> None:
    assert set(found) == set(tree)
    for key, value in tree.items():
        assert anatomy(found[key]) == anatomy(value)


TEXTS: list[tuple[dict[str, object], str]] = [
    ({}, "\n"),
    ({"a": []}, "a = []\n"),
    ({"a": {}}, "a = dict()\n"),
    ({"a": ()}, "a = ()\n"),
    ({"a": (1,)}, "a = (1,)\n"),
    ({"a": (1, 2)}, "a = (1, 2)\n"),
    ({"a": ({"b": 1},)}, "a = (dict(b=1),)\n"),
    ({"a": [1, {"b": 2}, "x"]}, "a = [1, dict(b=2), 'x']\n"),
    ({"a": {6: 1, "6": 2}}, "a = {6: 1, '6': 2}\n"),
    ({"a": {"b": {"c d": 1}}}, "a = dict(b={'c d': 1})\n"),
    ({"a": {"class": {"b": 1}}}, "a = {'class': dict(b=1)}\n"),
    ({"a": {"__debug__": 1}}, "a = {'__debug__': 1}\n"),
    ({"a": {"\ufb01": 1}}, "a = {'\ufb01': 1}\n"),  # a ligature that Python would read as fi
    ({"a": {"größe": 1}}, "a = dict(größe=1)\n"),
    ({"a": {"match": 1, "type": 2, "self": 3}}, "a = dict(match=1, type=2, self=3)\n"),
    ({"a": {(1, "x"): 1, None: 2}}, "a = {(1, 'x'): 1, None: 2}\n"),
    ({"b": 1, "a": 2}, "b = 1\na = 2\n"),
    ({"a": "it's"}, 'a = "it\'s"\n'),
    ({"a": "C:\\a\nb"}, "a = 'C:\\\\a\\nb'\n"),
    ({"a": b"\x00b"}, "a = b'\\x00b'\n"),
    ({"a": [None, True, -3, 0.1, 1e-05]}, "a = [None, True, -3, 0.1, 1e-05]\n"),
    ({"a": (math.inf, -math.inf, math.nan)}, "a = (float('inf'), float('-inf'), float('nan'))\n"),
    ({"a": complex(-0.0, math.inf)}, "a = complex(-0.0, float('inf'))\n"),
    ({"a": {"z", "x", "y"}}, "a = {'x', 'y', 'z'}\n"),
    ({"a": [set(), frozenset(), frozenset({1})]}, "a = [set(), frozenset(), frozenset({1})]\n"),
    ({"class": 1, "a": 2}, "a = 2\nglobals().update({'class': 1})\n"),
    ({"a b": {"c": 1}}, "globals().update({'a b': dict(c=1)})\n"),
    ({"dict": 1, "a": {"b": 2}}, "a = dict(b=2)\nglobals().update({'dict': 1})\n"),
]


@pytest.mark.parametrize(("tree", "text"), TEXTS)
def test_text(tree: dict[str, object], text: str) -> None:
    """Each kind of value has one text, which evaluates to that value."""
    assert pretty_python(tree) == text
    assert_same(run(text), tree)


LONG = """\
model = dict(
    type='ResNet',
    norm_cfg=dict(type='BN', requires_grad=True),
    stages=[
        dict(type='Stage', index=0, dilations=(1, 2), strides=(1, 1)),
        dict(type='Stage', index=1, dilations=(1, 2), strides=(2, 2)),
    ],
    odd={
        'a b': [
            'a string that could be on the line before',
            'but for this one',
        ],
        1: dict(a=1),
        (2, 3): dict(),
    },
    one=(
        'a single string which is so long that it has its own line and a bit more',
    ),
)
names = {
    'a string in a set that is long enough',
    'and another one that makes it too long',
}
exactly = ['79 columns wide stays on one line................................']
too_wide = [
    '80 columns wide is broken........................................',
]
commas = [
    dict(a='79 with its comma...............................................'),
    dict(
        a='80 with its comma................................................',
    ),
]
"""


LONG_LISTS = {
    "a": {"b": [f"item {i}" for i in range(30)], "c": tuple(range(40)), "d": [[1] * 40, {"e": [0.5] * 40}]},
    "f": [["x" * 80], [math.inf] * 20, ({"g": 1},) * 20, ("y" * 90,)],
    "h i": {("k" * 50, ("l" * 50,)): {"m n": ["o" * 90] * 2}},
}


def test_long_lists() -> None:
    """Lists of plain values are broken into lines if they are too long, at every level."""
    text = pretty_python(LONG_LISTS)
    assert run(text) == LONG_LISTS
    assert max(map(len, text.splitlines())) < 130


def test_layout() -> None:
    """A value that fits in 79 columns is on one line, other values have one item per line."""
    assert pretty_python(run(LONG)) == LONG


def test_the_layout_is_that_of_ruff() -> None:
    """The formatter that people run on their configs changes nothing but quotes."""
    pytest.importorskip("ruff")
    command = [sys.executable, "-m", "ruff", "format", "--isolated", f"--line-length={WIDTH}"]
    command += ["--config=format.quote-style='preserve'", "--stdin-filename=a.py", "-"]
    done = subprocess.run(command, input=LONG, capture_output=True, text=True, check=True)
    assert done.stdout == LONG


class Colour(enum.IntEnum):
    RED = 1


class Mode(str, enum.Enum):  # noqa: UP042  # StrEnum would already print as its value
    FAST = "fast"


class Ratio(float):
    def __repr__(self) -> str:
        return "a ratio"


Pair = namedtuple("Pair", "x y")


def test_subclasses_are_printed_as_their_builtin_type() -> None:
    """A subclass of a builtin type is printed as that type, whatever its repr is."""
    tree = addict.Dict(a=addict.Dict(b=[addict.Dict(c=1)]), d=OrderedDict(e=1))
    tree.update(f=Colour.RED, g=Mode.FAST, h=Ratio(0.5), i={Mode.FAST: 1})
    dict.update(tree, j=Pair(1, 2))
    text = (
        "a = dict(b=[dict(c=1)])\nd = dict(e=1)\nf = 1\ng = 'fast'\nh = 0.5\ni = dict(fast=1)\nj = (1, 2)\n"
    )
    assert pretty_python(tree) == text


def test_placeholders_in_strings_are_not_filled_in() -> None:
    """Double braces are written so that a loader does not fill them in, and are loaded as the same text."""
    tree = {"a": "{{ fileDirname }}", "b": {"{{{{ _base_.x }}": b"{{{ fileBasename }}}"}, "c": "\\{{ x }}"}
    text = pretty_python(tree)
    assert "{{" not in text
    assert run(text) == tree


@pytest.mark.parametrize("name", CALLED)
def test_keys_that_hide_builtins(name: str) -> None:
    """A top-level key with the name of a builtin that the text calls does not break the other values."""
    values = {"a": {"b": 1}, "c": math.inf, "d": 1j, "e": set(), "f": frozenset(), "no name": 1}
    tree: dict[str, object] = {name: values, "dict": values, **values}
    assert_same(run(pretty_python(tree)), tree)


def function() -> None:
    pass


BAD_VALUES = [
    ({"a": {"b": 1}, "c": [1], "d": {1}, "e": len}, "e", "of type builtin_function_or_method"),
    ({"a": function}, "a", f"'{__name__}.function'"),
    ({"a": {"b": [1, {"c": OrderedDict}]}}, "a.b[1].c", "'collections.OrderedDict'"),
    ({"a": (0, object())}, "a[1]", "of type object"),
    ({"a": {"b": {len}}}, "a.b", "of type builtin_function_or_method"),
    ({"a": {"b": {function: 1}}}, "a.b", "of type function"),
    ({"a b": {"c": ...}}, "a b.c", "of type ellipsis"),
]


@pytest.mark.parametrize(("tree", "key", "words"), BAD_VALUES)
def test_values_without_text(tree: dict[str, object], key: str, words: str) -> None:
    """A value that has no literal is an error with its key path and the types that are allowed."""
    with pytest.raises(ConfigValueError) as caught:
        pretty_python(tree)
    assert caught.value.key == key
    assert words in caught.value.message


def chain(depth: int, wrap: Callable[[object], object]) -> object:
    value: object = "end"
    for _ in range(depth):
        value = wrap(value)
    return value


WRAPS: list[Callable[[object], object]] = [
    lambda value: [value],
    lambda value: (value,),
    lambda value: {"key": value},
    lambda value: {"a key": value, "x": 1},
]


@pytest.mark.parametrize("wrap", WRAPS)
def test_deep_trees(wrap: Callable[[object], object]) -> None:
    """Deep trees are printed, and can be loaded as far as Python parses them."""
    assert pretty_python({"a": chain(MAX_DEPTH - 2, wrap)}).count("'end'") == 1
    tree = {"a": chain(90, wrap)}
    assert run(pretty_python(tree)) == tree


def test_too_deep_trees() -> None:
    """Trees deeper than the limit are an error, not a stack overflow."""
    with pytest.raises(ConfigValueError, match="deeper than"):
        pretty_python({"a": chain(MAX_DEPTH + 2, lambda value: [value])})


def test_a_value_that_contains_itself() -> None:
    """A cycle is an error that says so; the same value in two places is not."""
    shared = [1]
    assert pretty_python({"a": [shared, shared]}) == "a = [[1], [1]]\n"
    circle: list[object] = []
    circle.append({"again": circle})
    with pytest.raises(ConfigValueError, match="contains itself"):
        pretty_python({"a": circle})


@contextmanager
def counted_calls() -> Iterator[list[int]]:
    """Count every call of a function in the block, in Python and in C."""
    count = [0]

    def on_event(_frame: object, event: str, _arg: object) -> None:
        count[0] += event in ("call", "c_call")

    before = sys.getprofile()
    sys.setprofile(on_event)
    try:
        yield count
    finally:
        sys.setprofile(before)


def calls_for(tree: dict[str, object]) -> int:
    with counted_calls() as count:
        pretty_python(tree)
    return count[0]


def wide(size: int) -> dict[str, object]:
    layer = {"type": "Conv", "norm": {"type": "BN", "affine": True}, "sizes": [1, (2, 3)]}
    return {"model": {"layers": [layer] * size}}


def deep(size: int) -> dict[str, object]:
    return {"a": chain(size, lambda value: {"inner": value, "n": 1})}


@pytest.mark.parametrize("build", [wide, deep])
def test_work_is_linear(build: Callable[[int], dict[str, object]]) -> None:
    """A tree of eight times the size, wide or deep, takes about eight times the calls."""
    assert calls_for(build(96)) < 10 * calls_for(build(12))


scalars = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.complex_numbers() | st.text() | st.binary()
)
hashable = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3).map(tuple) | st.frozensets(inner, max_size=3),
    max_leaves=4,
)
names = st.sampled_from(["type", "lr", "class", "a b", "", "_x", *CALLED]) | st.text()
values = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner)
        | st.lists(inner).map(tuple)
        | st.sets(hashable, max_size=3)
        | st.dictionaries(names | hashable, inner)
    ),
    max_leaves=12,
)


@settings(deadline=None, max_examples=60)
@given(st.dictionaries(names, values, max_size=4))
def test_round_trip(tree: dict[str, object]) -> None:
    """Running the text gives an equal tree, with its types, signs and nans."""
    assert_same(run(pretty_python(tree)), tree)


small = st.integers(0, 10_000) | st.text("abc", max_size=8)
keys = st.text("abc", min_size=1, max_size=3)


@settings(deadline=None)
@given(st.recursive(small, lambda inner: st.lists(inner) | st.dictionaries(keys, inner), max_leaves=60))
def test_lines_are_not_wider_than_they_must_be(value: object) -> None:
    """No line that could be broken is wider than 79 columns."""
    wider = [line for line in pretty_python({"key": value}).splitlines() if len(line) > WIDTH]
    assert not [line for line in wider if re.search(r"[\[({][^\])}]", line)]
