import argparse
import math
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cfgtrain.config.options import MAX_DEPTH, DictAction, parse_options, parse_value
from cfgtrain.errors import OptionError

VALUES = [
    # numbers
    ("1", 1),
    ("+5", 5),
    ("-5", -5),
    ("1_000", 1000),
    ("0.1", 0.1),
    ("1e3", 1000.0),
    ("1e-3", 0.001),
    (".5", 0.5),
    ("1.", 1.0),
    ("inf", math.inf),
    ("-inf", -math.inf),
    ("0x10", "0x10"),
    # words
    ("false", False),
    ("TRUE", True),
    ("None", None),
    ("none", "none"),
    ("x", "x"),
    ("", ""),
    ("  ", ""),
    ("b=c", "b=c"),
    ("x y", "x y"),
    ("  x  y ", "x  y"),
    ("s3://b", "s3://b"),
    # quotes
    ("'1'", "1"),
    ('"1"', "1"),
    ('"true"', "true"),
    ("''", ""),
    ("' x '", " x "),
    ('"x,y"', "x,y"),
    ('"[1,2]"', "[1,2]"),
    ("'{{ fileDirname }}'", "{{ fileDirname }}"),
    (r"'it\'s'", "it's"),
    (r'"a\\b"', r"a\b"),
    (r"'C:\data'", r"C:\data"),
    (r"'\"'", r"\""),
    ("""['x',"y"]""", ["x", "y"]),
    ("'a','b'", ["a", "b"]),
    # commas
    ("a,b", ["a", "b"]),
    ("s3://b,c", ["s3://b", "c"]),
    ("1,", [1]),
    (",1", ["", 1]),
    (",", [""]),
    ("a, b c ,d", ["a", "b c", "d"]),
    ("[1,2],[3,4]", [[1, 2], [3, 4]]),
    ("(1,2),", [(1, 2)]),
    # lists and tuples
    ("[]", []),
    ("[ ]", []),
    ("()", ()),
    ("(1)", (1,)),
    ("(1,)", (1,)),
    ("[1,,2]", [1, "", 2]),
    ("[1,2,]", [1, 2]),
    ("[1, 2 ,3]", [1, 2, 3]),
    ("[[1]]", [[1]]),
    ("[(a,b), [1,2], false]", [("a", "b"), [1, 2], False]),
    ("[a,[b,(c,1.5)],None,true]", ["a", ["b", ("c", 1.5)], None, True]),
    # dicts
    ("{}", {}),
    ("{'a':1,'b':2}", {"a": 1, "b": 2}),
    ("{a: 1, b: x y,}", {"a": 1, "b": "x y"}),
    (
        "{type: SGD, betas: (0.9, 0.999), sub: {x: []}}",
        {"type": "SGD", "betas": (0.9, 0.999), "sub": {"x": []}},
    ),
    ("{1: a, (1,2): b, '1': c}", {1: "a", (1, 2): "b", "1": "c"}),
    ("{path: C:\\x, url: s3://b}", {"path": "C:\\x", "url": "s3://b"}),
    ("{a:}", {"a": ""}),
    ("[{a: 1}, {b: 2}]", [{"a": 1}, {"b": 2}]),
    # brackets and quotes within a bare word
    ("a[1]", "a[1]"),
    ("f(a,b)[1],c", ["f(a,b)[1]", "c"]),
    ("[f(a,[b]), 2]", ["f(a,[b])", 2]),
    ("{k: f(x:y, z)}", {"k": "f(x:y, z)"}),
    ("it's", "it's"),
    ("it's,5 o'clock", ["it's", "5 o'clock"]),
]


@pytest.mark.parametrize(("text", "value"), VALUES)
def test_value(text: str, value: object) -> None:
    """Each text is parsed to one value, with exactly these types at every level."""
    parsed = parse_value(text)
    assert parsed == value
    assert repr(parsed) == repr(value)


def test_nan() -> None:
    """The word nan is the float."""
    parsed = parse_value("nan")
    assert isinstance(parsed, float)
    assert math.isnan(parsed)


# The word, the 1-based column, the piece and what would be right.
BAD_WORDS = [
    ("novalue", 1, "'novalue'", "such as 'novalue=1'"),
    ("", 1, "''", "such as 'optimizer.lr=1'"),
    ("=3", 1, "'=3'", "KEY=VALUE"),
    (" + =3", 1, "' + =3'", "KEY=VALUE"),
    ("k='ab", 3, '"\'ab"', "End the string with '"),
    ("k=[1, 'a, b]", 7, '"\'a, b]"', "End the string with '"),
    ("k=ab'", 3, '"ab\'"', "quotes around the whole"),
    ("k=[1,2", 3, "'[1,2'", "Add ']'"),
    ("k=[1,(2,3]", 10, "']'", "add '['"),
    ("k=(1]", 5, "']'", "add '['"),
    ("k=1]", 4, "']'", "add '['"),
    ("k=[1]]", 6, "']'", "add '['"),
    ("k=f(x", 4, "'(x'", "Add ')'"),
    ("k=[f(x]", 7, "']'", "add '['"),
    ("k={a: 1", 3, "'{a: 1'", "Add '}'"),
    ("k={a", 3, "'{a'", "Add '}'"),
    ("k=[a-z]+", 8, "'+'", "this follows '[a-z]' directly"),
    ("k='a'b", 6, "'b'", "quotes around the whole"),
    ("k={a}", 4, "'a}'", "Write {key: value}"),
    ("k={a, b: 1}", 4, "'a, b: 1}'", "Write {key: value}"),
    ("k={: 1}", 4, "': 1}'", "Write {key: value}"),
    ("k={[1]: 2}", 4, "'[1]: 2}'", "Use a string"),
]


@pytest.mark.parametrize(("word", "column", "piece", "advice"), BAD_WORDS)
def test_bad_word(word: str, column: int, piece: str, advice: str) -> None:
    """The error has the word, the piece, its column and a correction."""
    with pytest.raises(OptionError) as caught:
        parse_options(["good=1", word])
    assert caught.value.key == word
    assert str(caught.value).startswith(f"{piece} at column {column}: ")
    assert advice in str(caught.value)


def test_columns_of_a_value_alone() -> None:
    """The columns of parse_value count from the start of its text."""
    with pytest.raises(OptionError, match=r"'\]' at column 2"):
        parse_value("1]")


def test_long_piece_is_cut_short() -> None:
    """The message quotes only the start of a long piece."""
    with pytest.raises(OptionError) as caught:
        parse_value("[" + "a," * 1000)
    assert len(caught.value.message) < 200


def test_deep_nesting_works() -> None:
    """Brackets may nest up to the limit."""
    value = parse_value("[" * MAX_DEPTH + "]" * MAX_DEPTH)
    for _ in range(MAX_DEPTH - 1):
        assert isinstance(value, list)
        (value,) = value
    assert value == []


@pytest.mark.parametrize("opener", ["[", "(", "{a:", "[(", "x["])
@pytest.mark.parametrize("count", [MAX_DEPTH + 1, 10_000])
def test_too_deep_nesting(opener: str, count: int) -> None:
    """Deeper brackets are an OptionError, however many there are."""
    with pytest.raises(OptionError):
        parse_value(opener * count)


def test_siblings_do_not_count_as_depth() -> None:
    """Brackets next to each other do not add up to the limit."""
    assert parse_value(",".join(["[1]"] * 500)) == [[1]] * 500


def test_options_split_at_the_first_equals_sign() -> None:
    """Words are split at the first equals sign only, and spaces around the key are ignored."""
    assert parse_options(["a.b=x=y", " c = 1 "]) == {"a.b": "x=y", "c": 1}


def test_plus_stays_in_the_key() -> None:
    """A leading plus is kept in the key for the strict merge."""
    assert parse_options(["+new.key=1", "a+b=2"]) == {"+new.key": 1, "a+b": 2}


def test_the_last_word_of_a_repeated_key_counts() -> None:
    """A repeated key has the value and the position of its last word."""
    assert list(parse_options(["a.b=1", "a={c: 2}", "a.b=3"]).items()) == [("a", {"c": 2}), ("a.b", 3)]


def make_parser(default: object = None) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="prog")
    parser.add_argument("--options", nargs="+", action=DictAction, default=default)
    return parser


def test_action_collects_words() -> None:
    """The action makes one dict of the words after the option."""
    words = ["--options", "item2.a=1", "item2.b=0.1", "item2.c=x", "item3=false"]
    options = make_parser().parse_args(words).options
    assert options == {"item2.a": 1, "item2.b": 0.1, "item2.c": "x", "item3": False}


def test_action_unset() -> None:
    """An option that is not given is None."""
    assert make_parser().parse_args([]).options is None


def test_action_adds_up() -> None:
    """A repeated option adds to the words before it, and later words override earlier ones."""
    words = ["--options", "a=1", "b=1", "--options", "a=2", "c=[1,2]"]
    options = make_parser().parse_args(words).options
    assert list(options.items()) == [("b", 1), ("a", 2), ("c", [1, 2])]


def test_action_starts_from_a_dict_as_default() -> None:
    """The items of a default dict come first, and the default is not changed."""
    default = {"a": 0, "b": 0}
    options = make_parser(default).parse_args(["--options", "a=1"]).options
    assert options == {"a": 1, "b": 0}
    assert default == {"a": 0, "b": 0}


def test_action_without_nargs() -> None:
    """The action also works with one word per option."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--option", action=DictAction, dest="options")
    assert parser.parse_args(["--option", "ab=1", "--option", "c=2"]).options == {"ab": 1, "c": 2}


@pytest.mark.parametrize("word", ["novalue", "=1", "k='a", "k=[1]x", "k={a}"])
def test_action_reports_bad_words_as_usage(word: str, capsys: pytest.CaptureFixture[str]) -> None:
    """A bad word exits with a usage error that names the word."""
    with pytest.raises(SystemExit) as caught:
        make_parser().parse_args(["--options", word])
    assert caught.value.code == 2
    complaint = capsys.readouterr().err
    assert "prog: error: argument --options: " in complaint
    assert f"at {word}" in complaint


@pytest.mark.parametrize("word", ["k=[(a,b), [1,2], false", "k=[a,b))", "k=(1]", "k=f(x", "k={a"])
def test_action_raises_for_unbalanced_brackets(word: str) -> None:
    """Brackets that do not match raise the AssertionError that users of MMCV catch."""
    with pytest.raises(AssertionError) as caught:
        make_parser().parse_args(["--options", word])
    assert isinstance(caught.value, OptionError)


def written(value: object) -> str:
    """Write a value in the grammar, with every string in quotes."""
    if isinstance(value, str):
        return "'" + value.replace("\\", r"\\").replace("'", r"\'") + "'"
    if isinstance(value, list):
        return "[" + ", ".join(map(written, value)) + "]"
    if isinstance(value, tuple):
        return "(" + ",".join(map(written, value)) + ")"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{written(k)}: {written(v)}" for k, v in value.items()) + "}"
    return repr(value)


scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text()
values = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner) | st.lists(inner).map(tuple) | st.dictionaries(st.text() | st.integers(), inner)
    ),
)


@settings(deadline=None)
@given(values)
def test_round_trip(value: object) -> None:
    """A value that is written in the grammar is parsed to the same value and types."""
    assert repr(parse_value(written(value))) == repr(value)


@settings(deadline=None)
@given(st.text(st.sampled_from("[](){},:='\"\\ +-.1ab\n")))
def test_any_text_is_a_value_or_an_option_error(text: str) -> None:
    """Any text is parsed to a value, or is an OptionError with a column in the word."""
    word = f"k={text}"
    try:
        assert list(parse_options([word])) == ["k"]
    except OptionError as error:
        column = re.search(r" at column (\d+): ", error.message)
        assert column is not None
        assert 3 <= int(column[1]) <= len(word)


@settings(deadline=None)
@given(st.text(st.sampled_from("ab1 .:/-_'*")))
def test_a_text_without_commas_and_brackets_stays_whole(text: str) -> None:
    """Bare text that is neither a number nor a known word is a string without its outer spaces."""
    bare = f"x{text}x"
    assert parse_value(f" {bare} ") == bare
