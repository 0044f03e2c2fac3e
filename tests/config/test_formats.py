"""Parsing the text of one config: errors have a location, and hostile input is rejected at once."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from cfgtrain import Config
from cfgtrain.config.formats import parse_json, parse_python
from cfgtrain.errors import ConfigKeyError, ConfigSyntaxError, ConfigValueError

Write = Callable[[str, str], Path]

N = 10_000
LONG = "k" * 1_000_000
FLAT = "del _\n"


def bomb(first: str, line: str) -> str:
    return first + "".join(line.format(i=i, old=", ".join([f"*a{i - 1}"] * 9)) for i in range(1, 30))


HOSTILE = {
    "list.py": ("a = " + "[" * N + "]" * N, ConfigSyntaxError, "syntax errors in config file"),
    "call.py": ("a = " + "dict(a=" * N + "1" + ")" * N, ConfigSyntaxError, "syntax errors in config file"),
    "minus.py": ("a = " + "-" * N + "1", ConfigSyntaxError, "nested too deeply for Python"),
    "sum.py": ("a = 1" + "+1" * N, ConfigSyntaxError, "nested too deeply for Python"),
    "loop.py": (f"a = 1\nfor _ in range({N}):\n    a = dict(a=a)\n{FLAT}", ConfigValueError, "deeper than 100"),
    "itself.py": ("a = {}\na['b'] = [a]\n", ConfigValueError, "contains itself"),
    "bomb.py": (f"a = [1]\nfor _ in range(30):\n    a = [a] * 9\n{FLAT}", ConfigValueError, "repeated many times"),
    "key.py": (f"a = [{{'{LONG}': 1}}]\n", ConfigKeyError, "1,000,000 characters"),
    "digits.py": ("a = " + "9" * N, ConfigSyntaxError, "limit"),
    "list.json": ('{"a": ' + "[" * N + "]" * N + "}", ConfigSyntaxError, "deeper than 100 levels"),
    "open.json": ('{"a": ' + "[" * N * 10, ConfigSyntaxError, "deeper than 100 levels"),
    "later.json": ('{"a": [[1], "]"], "b": ' + "[" * N, ConfigSyntaxError, "deeper than 100 levels"),
    "dict.json": ('{"a": ' * N + "1" + "}" * N, ConfigSyntaxError, "deeper than 100 levels"),
    "dict200.json": ('{"a": ' * 200 + "1" + "}" * 200, ConfigValueError, "deeper than 100 levels"),
    "key.json": (f'{{"a": {{"{LONG}": 1}}}}', ConfigKeyError, "1,000,000 characters"),
    "digits.json": (f'{{"a": {"9" * N}}}', ConfigSyntaxError, "limit"),
    "list.yaml": ("a: " + "[" * N + "]" * N, ConfigSyntaxError, "deeper than 100 levels"),
    "map.yaml": ("a: " + "{a: " * N + "1" + "}" * N, ConfigSyntaxError, "deeper than 100 levels"),
    "open.yaml": ("a: " + "[" * N * 100, ConfigSyntaxError, "deeper than 100 levels"),
    "dash.yaml": ("a:\n" + "- " * N + "1", ConfigSyntaxError, "deeper than 100 levels"),
    "block.yaml": ("\n".join(" " * i + "a:" for i in range(1000)), ConfigSyntaxError, "deeper than 100 levels"),
    "bomb.yaml": (bomb("a0: &a0 [1, 2]\n", "a{i}: &a{i} [{old}]\n"), ConfigSyntaxError, "repeat more than"),
    "merge.yaml": (bomb("a0: &a0 {k: 1}\n", "a{i}: &a{i} {{<<: [{old}]}}\n"), ConfigSyntaxError, "repeat more than"),
    "itself.yaml": ("a: &x\n  b: [*x]\n", ConfigSyntaxError, "is inside the value that it refers to"),
    "key.yaml": (f"? {LONG}\n: 1\n", ConfigKeyError, "1,000,000 characters"),
    "plain key.yaml": (f"a: 1\n{LONG}: 1\n", ConfigKeyError, "1,000,000 characters"),
    "first key.yaml": (f"{LONG}: 1\n", ConfigKeyError, "1,000,000 characters"),
    "quoted key.yaml": (f"a:\n  '{LONG}': 1\n", ConfigKeyError, "1,000,000 characters"),
    "long value.yaml": (f"a: {LONG}: 1\n", ConfigSyntaxError, "mapping values are not allowed"),
    "digits.yaml": (f"a: {'9' * N}\n", ConfigSyntaxError, "limit"),
}  # fmt: skip

MEASURE = """
import sys, time
from pathlib import Path
from cfgtrain import Config
from cfgtrain.errors import ConfigError
for file in sys.argv[1:]:
    start = time.process_time()
    try:
        Config.fromfile(file)
    except ConfigError as error:
        seconds = time.process_time() - start
        peak = int(Path("/proc/self/status").read_text().partition("VmHWM:")[2].split()[0])
        print(file, int(seconds < 1), int(peak < 200_000))
"""


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_input_is_rejected(name: str, write: Write) -> None:
    """Excessive depth, repetition, keys and numbers are errors that have the file."""
    text, kind, message = HOSTILE[name]
    with pytest.raises(kind, match=message) as caught:
        Config.fromfile(write(name, text))
    assert str(caught.value.file).endswith(name)  # type: ignore[attr-defined]


@pytest.mark.skipif(
    sys.platform != "linux", reason="only on Linux is the peak memory of a forked process known"
)
def test_rejecting_is_cheap(write: Write) -> None:
    """Each takes less than a second of CPU time, and all of them less than 200 MB."""
    files = [write(name, text).name for name, (text, _, _) in HOSTILE.items()]
    done = subprocess.run([sys.executable, "-c", MEASURE, *files], capture_output=True, text=True, check=True)
    assert done.stdout.split("\n")[:-1] == [f"{file} 1 1" for file in files]


@pytest.mark.parametrize(
    ("name", "text", "line", "message"),
    [
        ("a.json", '{"a": 1,\n "b": 2,\n "a": 3}', 3, "The key 'a' occurs twice in one object"),
        ("a.json", '[{"a": 1, "a": 1}, {"a": 2}]', None, "The key 'a' occurs twice"),
        ("a.yaml", "a: 1\nb:\n  c: 1\n  c: 2\n", 4, "The key 'c' occurs twice, first on line 3"),
        ("a.yaml", "1: 2\nx: 1\n1: 3\n", 3, "The key 1 occurs twice, first on line 1"),
    ],
)
def test_duplicate_keys(name: str, text: str, line: int | None, message: str, write: Write) -> None:
    """The second of two equal keys does not replace the first silently."""
    with pytest.raises(ConfigKeyError, match=message) as caught:
        Config.fromfile(write(name, text))
    assert caught.value.line == line


def test_json() -> None:
    """JSON is parsed, and an empty text is None."""
    value = {"a": [1, 2.5, None, True, "x"], "b": {}}
    assert parse_json(json.dumps(value), "a.json") == value
    assert parse_json(" \n", "a.json") is None


@pytest.mark.parametrize("text", ["a = (", "a = '\0'", "-" * N + "1"])
def test_python_that_does_not_parse(text: str) -> None:
    """Code that Python cannot parse is a syntax error of the config."""
    with pytest.raises(ConfigSyntaxError, match=r"There are syntax errors in config file a\.py"):
        parse_python(text, "a.py")


def test_threads_can_load_configs(write: Write) -> None:
    """Configs that are loaded in several threads are the same as those loaded one by one."""
    write("base.py", "name = '{{ fileBasename }}'\n")
    files = [
        write(f"c{i}.py", f"_base_ = 'base.py'\nown = '{{{{ fileBasename }}}}'\nn = [{i}] * {i}\n")
        for i in range(12)
    ]
    alone = [Config.fromfile(file) for file in files]
    found: dict[int, list[Config]] = {}

    def load(number: int) -> None:
        found[number] = [Config.fromfile(file) for file in files for _ in range(3)]

    threads = [threading.Thread(target=load, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for configs in found.values():
        assert configs == [cfg for cfg in alone for _ in range(3)]
    assert len(found) == len(threads)


def test_long_values_are_allowed(write: Write) -> None:
    """Only keys have a limit: a value may have any length."""
    text = f"a = ['{LONG}', (1, {{'b': 2}})]\n"
    assert Config.fromfile(write("c.py", text)) == {"a": [LONG, (1, {"b": 2})]}


def test_json_with_a_nearly_full_stack(monkeypatch: pytest.MonkeyPatch) -> None:
    """If the parser runs out of stack, that is an error of the config too, without a line."""

    def give_up(*_: object, **__: object) -> None:
        raise RecursionError

    monkeypatch.setattr("cfgtrain.config.formats.json.loads", give_up)
    with pytest.raises(ConfigSyntaxError, match="deeper than 100") as caught:
        parse_json('{"a": [1]}', "a.json")
    assert caught.value.line is None
