"""What each name of a Python config was made of: lines, and the variables that were read."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from programs import PROFILES, Program, Truth, walk

from cfgtrain import Config
from cfgtrain.config.loader import load_file, load_text
from cfgtrain.config.provenance.dependencies import all_uses, leaves
from cfgtrain.config.provenance.explain import explain
from cfgtrain.config.provenance.file_source import Dependency
from cfgtrain.config.provenance.python_source import PythonSource
from cfgtrain.errors import ConfigValueError

CONFIGS = Path(__file__).parents[3] / "configs"


def source(text: str) -> PythonSource:
    """Run a text as a config is run, and return it as a source of its values."""
    loaded = load_text(text, ".py").source
    assert isinstance(loaded, PythonSource)
    loaded.file = "c.py"
    return loaded


def keys(dotted: str) -> tuple[object, ...]:
    return tuple(int(part) if part.isdecimal() else part for part in dotted.split("."))


LINES = {
    # What ran, and no other line.
    "a key set in a loop": ("x = dict(a=1)\nfor k in ['a']:\n    x[k] = 2\n", "x.a", 2),
    "a line that never ran": ("y = dict(a=1)\nif False:\n    y['a'] = 1\n", "y.a", 1),
    "an equal value that was set again": ("y = dict(a=1)\nif True:\n    y['a'] = 1\n", "y.a", 3),
    "a branch of a conditional expression": ("a = [1 if 1 else\n2, 3 if 0 else\n4]\n", "a.1", 2),
    "an operand": ("a = (0 or\n5 or\n6)\n", "a", 1),
    "a key that is computed in a loop": (
        "a = dict(x1=dict(v=0), x2=dict(v=0))\nfor i in (1, 2):\n    if i == 2:\n        a[f'x{i}']['v'] = 5\n",
        "a.x1.v", 2,
    ),
    "a statement that failed": ("a = dict(x=1)\ntry:\n    a['x'] = 1 / 0\nexcept ZeroDivisionError:\n    b = 1\n", "a.x", None),
    "a function that changes a dict": ("def f(d):\n    d['x'] = 2\n\n\na = dict(x=1)\nf(a)\n", "a.x", 6),
    "a function that changes a name": ("def f():\n    global a\n    a = 2\n\n\na = 1\nf()\n", "a", 7),
    "a function that changes what it closes over": ("a = dict(x=1)\nf = lambda: a.update(x=2)\nb = 1\nf()\n", "a.x", 4),
    "a dict that was stored away": ("class A:\n    pass\n\n\na = dict(x=1)\nA.d = a\nA.d['x'] = 2\n", "a.x", 7),
    "globals": ("a = 1\nglobals()['a'] = 2\n", "a", None),
    "exec": ("a = 1\nexec('a = 2')\nb = 1\n", "a", None),
    "a builtin that was replaced": ("def dict(**kw):\n    a.update(kw)\n\n\na = {'x': 1}\nb = dict(x=2)\n", "a.x", 6),
    "a with that changes a dict at its end": (
        "class A:\n    def __enter__(self): pass\n    def __exit__(self, *_): a['x'] = 3\n\n\n"
        "a = dict(x=1)\nwith A():\n    a['x'] = 2\n", "a.x", 7,
    ),
    "a generator that changes a dict at its end": (
        "def g():\n    yield 1\n    a['x'] = 3\n\n\na = dict(x=1)\nfor i in g():\n    a['x'] = 2\n", "a.x", 7,
    ),
    "a with that suppresses an error": (
        "import contextlib\nwith contextlib.suppress(TypeError):\n    a = dict(\n        x=1)\n    a['x'] = [\n"
        "        1 / None,\n        2]\n", "a.x", None,
    ),
    "a with around a break": (
        "class A:\n    def __enter__(self): pass\n    def __exit__(self, *_): a['x'] = 3\n\n\n"
        "a = dict(x=1)\nfor i in (j for j in [A()]):\n    with i:\n        break\n", "a.x", None,
    ),
    "words that are not reflection": ("a = dict(\n    eval=1,\n    compile=2)\nb = dict(vars='exec')\n", "a.compile", 3),
    "a list emptied": ("a = [1]\na.clear()\n", "a", 2),
    # Branches.
    "the branch that ran": ("if 0:\n    a = 1\nelif 1:\n    a = 2\nelse:\n    a = 3\n", "a", 4),
    "the branch that did not": ("a = 1\nif 0:\n    a = 2\n", "a", 1),
    "a part in a branch": ("a = dict(x=1)\nif 0:\n    a['x'] = 2\n", "a.x", 1),
    "an item in a branch": ("a = [1]\nif 0:\n    a[0] = 2\n", "a.0", 1),
    "a list or a dict": ("if 1:\n    a = [1]\nelse:\n    a = dict(x=1)\n", "a.0", 2),
    "dicts with other keys": ("if 1:\n    a = dict(x=1)\nelse:\n    a = dict(y=1)\n", "a.x", 2),
    "a conditional expression": ("a = (1 if 0 else\n2)\n", "a", 1),
    "except": ("try:\n    a = 1 / 0\nexcept ZeroDivisionError:\n    a = 2\n", "a", None),
    "while and else": ("while 0:\n    a = 1\nelse:\n    a = 2\n", "a", None),
    "match": ("match 1:\n    case 2:\n        a = 2\n    case _:\n        a = 1\n", "a", 5),
    "with": ("import io\nwith io.StringIO('x') as file:\n    a = file.read()\nfile = 0\n", "a", 3),
    "the name of a with": ("from contextlib import nullcontext\nwith nullcontext(1) as a:\n    pass\n", "a", 2),
    "a with that names nothing": (
        "from contextlib import nullcontext\nwith nullcontext(1):\n    a = 1\n", "a", 3,
    ),
    # Lists that grow and shrink.
    "append": ("a = [1]\na.append(\n2)\n", "a.1", 3),
    "append of a dict": ("a = []\na.append(dict(\nx=2))\n", "a.0.x", 3),
    "extend": ("a = [1]\na.extend([2,\n3])\n", "a.2", 3),
    "extend by what is not known": ("a = [1]\na.extend(range(3))\n", "a.2", 2),
    "first items before an extension": ("a = [1]\na.extend(range(3))\n", "a.0", 2),
    "insert": ("a = [1]\na.insert(0, 2)\n", "a.0", 2),
    "what was before an insertion": ("a = [1]\na.insert(0, 2)\n", "a.1", 2),
    "insert where it is not known": ("i = 1\na = [1, 2]\na.insert(i, 3)\n", "a.1", 3),
    "insert in a loop": ("a = [1]\nfor i in range(2):\n    a.insert(0, i)\n", "a.0", 2),
    "added": ("a = [1]\na += [\n2]\n", "a.1", 3),
    "in a sum": ("b = [\n1]\na = b + [\n2] + [3]\n", "a.0", 2),
    "last in a sum": ("b = [\n1]\na = b + [\n2] + [\n3]\n", "a.2", 5),
    "append in a loop": ("a = [0]\nfor i in range(2):\n    a.append(i)\n", "a.2", 2),
    "before a loop": ("a = [0]\nfor i in range(2):\n    a.append(i)\n", "a.0", 2),
    "deleted": ("a = [1,\n2]\ndel a[0]\n", "a.0", 3),
    "popped": ("a = [1,\n2,\n3]\na.pop(-3)\n", "a.1", 4),
    "sorted": ("a = [2,\n1]\na.sort()\n", "a.0", 3),
    "deleted in a loop": ("a = [1,\n2,\n3]\nfor i in range(2):\n    del a[0]\n", "a.0", 4),
    "deleted by a variable": ("i = 0\na = [1,\n2]\ndel a[i]\n", "a.0", 4),
    "sliced": ("b = [1,\n2,\n3]\na = b[1:]\n", "a.1", 3),
    "sliced from the end": ("b = [1,\n2,\n3]\na = b[-2:]\n", "a.0", 2),
    "sliced by a variable": ("i = 1\nb = [1,\n2,\n3]\na = b[i:]\n", "a.1", 4),
    "an item by index": ("b = [1,\ndict(\nx=2)]\na = b[-1]\n", "a.x", 3),
    "an item that was replaced": ("a = [1, 2]\na[-1] = 3\n", "a.1", 2),
    "an item that a slice replaced": ("a = [1, 2]\na[0:1] = [3]\n", "a.0", 2),
    "spread": ("b = [1,\n2]\na = [0,\n*b]\n", "a.2", 2),
    "spread of what is not known": ("a = [0,\n*range(2)]\n", "a.2", 1),
    "a copy": ("b = [1,\n2]\na = list(b)\na[0] = 5\nb = []\n", "a.1", 2),
    "a copy that was changed": ("b = [1,\n2]\na = list(b)\na[0] = 5\n", "b.0", 1),
    "an empty list": ("a = list()\n", "a", 1),
    # Dicts.
    "setdefault": ("a = dict(x=1)\na.setdefault('x', 2)\na.setdefault('y', 3)\n", "a.y", 3),
    "setdefault of what is there": ("a = dict(x=1)\na.setdefault('x', 2)\n", "a.x", 1),
    "a key that a loop sets": ("a = dict(z=1)\nfor k in 'xy':\n    a[k] = dict(\n    v=1)\n", "a.y.v", 2),
    "a key beside those of a loop": ("a = dict(z=1)\nfor k in 'xy':\n    a[k] = 1\n", "a.z", 2),
    "updated by what is not known": ("a = dict(x=1)\na.update(zip('xy', 'xy'))\n", "a.y", 2),
    "or": ("b = dict(\nx=1)\na = b | dict(y=2)\n", "a.x", 2),
    "or in place": ("a = dict(x=1)\na |= dict(\ny=2)\n", "a.y", 3),
    "a copy of a dict": ("b = dict(\nx=1)\na = b.copy()\na['y'] = 2\n", "a.x", 2),
    "a deep copy": ("import copy\nb = dict(\nx=1)\na = copy.deepcopy(b)\ncopy = 0\n", "a.x", 3),
    "a dict of a dict": ("b = dict(\nx=1)\na = dict(b,\ny=2)\n", "a.x", 2),
    "a keyword beside a dict": ("b = dict(\nx=1)\na = dict(b,\ny=2)\n", "a.y", 4),
    "a dict of pairs": ("a = dict([('x', 1)],\ny=2)\n", "a.x", 1),
    "through another name": ("a = dict(x=1)\nb = a\nb['x'] = 2\n", "a.x", 3),
    "deleted key": ("a = dict(x=1)\na['y'] = 1\ndel a['x']\n", "a.y", 2),
    "popped key": ("a = dict(x=1)\na['y'] = 1\na.pop('x')\n", "a.y", 2),
    "keys that are numbers": ("a = {\n-1: 2}\na['x'] = 1\n", "a", 1),
    "a key that is computed": ("a = {\n'x' + 'y': 2}\n", "a.xy", 1),
    "updated by keywords of any name": ("a = dict(x=1)\na.update(self=2, method=3, holder=4, name=5)\n", "a.method", 2),
    "a copy of its own": ("import copy\nb = dict(x=[1])\na = copy.deepcopy(b)\na['x'][0] = 2\ncopy = 0\n", "b.x.0", 2),
    "a copy that shares its parts": ("import copy\nb = dict(x=[1])\na = copy.copy(b)\na['x'][0] = 2\ncopy = 0\n", "b.x.0", 4),
    "a part that was taken out of what is not known": (
        "p = dict(y=1)\na = dict(x=p)\nr = [a.pop('x'), *range(2)]\nr[0]['y'] = 2\n", "p.y", 4,
    ),
    # Everything else.
    "exchanged": ("a = [dict(x=1),\ndict(x=2)]\na[1], a[0] = a\na[1]['x'] = 3\n", "a.1.x", 4),
    "exchanged, the other": ("a = [dict(x=1),\ndict(x=2)]\na[1], a[0] = a\na[1]['x'] = 3\n", "a.0.x", 2),
    "a method that is kept": ("a = dict(x=1)\nf = [a.update]\nf[0](x=2)\nf = 0\n", "a.x", 3),
    "a method that a comprehension calls": ("a = dict(x=1)\nb = [len(x=2) for len in [a.update]]\n", "a.x", 2),
    "a pattern that calls code": (
        "def f(v):\n    a['x'] = 2\n\n\na = dict(x=1)\nmatch 1:\n    case 1 if f(1):\n        pass\n", "a.x", None,
    ),
    "several at once": ("a, b = 1, (\n2)\n", "b", 2),
    "several of what is not known": ("a, b = range(\n2)\n", "b", 1),
    "times": ("a = 1\na *= 2\n", "a", 2),
    "times, a part": ("a = dict(x=1)\na['x'] *= 2\n", "a.x", 2),
    "deleted name": ("a = 1\ndel a\na = 2\n", "a", 3),
    "an annotation alone": ("a: int\na = 1\n", "a", 2),
    "a class": ("class a:\n    pass\n", "a", 1),
    "an attribute": ("class A:\n    pass\nx = A()\nx.y = 1\na = x.y\n", "a", 5),
    "deleted attribute": ("class A:\n    y = 1\nx = A()\nx.y = 1\ndel x.y\na = x.y\n", "a", 6),
    "a method of what is not known": ("a = set()\n{1}.add(2)\na.add(1)\n", "a", 3),
    "a call of an expression that is not a name": ("a = [1]\n(lambda: 0)()\nprint()\n", "a", 1),
    "a subscript of a call": ("a = [1]\n(lambda: a)()[0] = 2\n", "a.0", 2),
    "deleted from a call": ("a = [1,\n2]\ndel (lambda: a)()[0]\n", "a.0", 3),
    "a part of what is not there": ("a = dict(x=dict())\na['x']['y'] = dict(\nz=1)\n", "a.x.y.z", 3),
    "beyond what is known": ("a = [0]\na.extend(range(3))\na[2] = 5\n", "a.2", 3),
    "a method that changes nothing": ("a = [0]\na.count(1)\n", "a.0", 1),
    "a part of what is opaque": ("a = dict(zip('x', [[0]]))\na['x'][0] = 1\n", "a.x.0", 2),
}  # fmt: skip


@pytest.mark.parametrize(("text", "key", "line"), LINES.values(), ids=LINES.keys())
def test_lines(text: str, key: str, line: int | None) -> None:
    """A value has the line that set it, or the nearest that can be read off the text."""
    assert source(text).line(keys(key)) == line


READS = {
    "a variable": ("lr = 1\na = dict(x=lr)\n", "a.x", {("lr",): 1}),
    "an expression": ("lr = 1\nn = 2\na = dict(x=lr * n + 1)\n", "a.x", {("lr",): 1, ("n",): 2}),
    "a text": ("n = 'r'\na = f'{n}50'\n", "a", {("n",): "r"}),
    "a call": ("n = 2\na = max(n, 1)\n", "a", {("n",): 2}),
    "a part": ("c = dict(x=[1, 2])\na = c['x'][1]\n", "a", {("c", "x", 1): 2}),
    "a part by variable": (
        "i = 1\nc = [[1], [2]]\na = c[i][0]\n", "a", {("c",): [[1], [2]], ("i",): 1},
    ),
    "an attribute": ("c = 'x'\na = c.upper()\n", "a", {("c",): "x"}),
    "a comprehension": ("n = 2\na = [i * n for i in range(n)]\ni = 0\n", "a", {("n",): 2}),
    "a variable put in whole": ("b = dict(x=1)\na = dict(c=b)\n", "a.c.x", {("b", "x"): 1}),
    "another name": ("b = dict(x=1)\na = b\n", "a.x", {("b", "x"): 1}),
    "spread": ("b = dict(x=1)\na = dict(**b)\n", "a.x", {("b", "x"): 1}),
    "spread of a part": ("b = dict(c=dict(x=1))\na = dict(**b['c'])\n", "a.x", {("b", "c", "x"): 1}),
    "spread in a list": ("b = [1, 2]\na = [0, *b]\n", "a.2", {("b", 1): 2}),
    "no variable": ("a = dict(x=1)\n", "a.x", {}),
    "beside a variable": ("b = 2\na = dict(x=1, y=b)\n", "a.x", {}),
    "inside what a call made": ("n = 2\na = dict(zip('x', [n]))\n", "a.x", {("n",): 2}),
    "added to": ("n = 2\na = 1\na += n\n", "a", {("a",): 1, ("n",): 2}),
    "a loop": ("n = [1, 2]\nfor a in n:\n    pass\n", "a", {}),
    "set anew since": ("lr = 1\na = dict(x=lr)\nlr = 3\n", "a.x", {("lr",): 1}),
    "set anew since by what is not known": ("lr = max(1, 0)\na = dict(x=lr)\nlr = 3\n", "a.x", {("lr",): ...}),
    "a list set anew since": ("c = [1, -2]\na = dict(x=c)\nc = 3\n", "a.x", {("c",): [1, -2]}),
    "a tuple set anew since": ("c = (1, (2,))\na = dict(x=c)\nc = 3\n", "a.x", {("c",): (1, (2,))}),
    "a dict set anew since": ("c = dict(z=[1])\na = dict(x=c)\nc = 3\n", "a.x", {("c",): {"z": [1]}}),
    "a list of what is not known": ("c = [max(1, 2)]\na = dict(x=c)\nc = 3\n", "a.x", {("c",): ...}),
    "a list that a loop made": (
        "c = []\nfor i in range(2):\n    c.append(i)\na = dict(x=c)\nc = 3\n", "a.x", {("c",): ...},
    ),
    "a dict that was emptied": ("c = dict(z=1)\nc.clear()\na = dict(x=c)\nc = 3\n", "a.x", {("c",): {}}),
    "a part that is not there any more": ("c = dict(x=1)\na = c['x']\ndel c['x']\n", "a", {("c", "x"): 1}),
    "a private name": ("__lr = 1\na = dict(x=__lr)\n", "a.x", {("__lr",): 1}),
    "a module": ("import math\na = math.pi\n", "a", {("math",): ...}),
}  # fmt: skip


@pytest.mark.parametrize(("text", "key", "used"), READS.values(), ids=READS.keys())
def test_what_a_value_was_computed_from(text: str, key: str, used: dict[object, object]) -> None:
    """The variables that an expression read are known, with what they were then."""
    found = source(text).uses(keys(key))
    assert {use.path: use.value for use in found if use.path != ("math",)} == {
        path: value for path, value in used.items() if path != ("math",)
    }
    assert not any(use.inherited for use in found)


def test_variables_are_followed_back() -> None:
    """A variable that was computed from another knows it, each with its line."""
    first, *others = source("n = 4\nlr = 0.1 * n\na = dict(x=lr)\n").uses(("a", "x"))
    assert (str(first.origin), first.value, others) == ("c.py:2", 0.4, [])
    assert [(use.path, str(use.origin), use.value) for use in first.uses] == [(("n",), "c.py:1", 4)]


def test_variables_that_go_round_come_to_an_end() -> None:
    """Many steps are followed back only so far."""
    use: Any = source("n = 1\n" + "n = n + 1\n" * 50 + "a = n\n").uses(("a",))[0]
    depth = 0
    while use.uses:
        use, depth = use.uses[0], depth + 1
    assert depth == 8


def test_what_a_loop_mentions_has_its_line() -> None:
    """A loop ends at its head, unless it is left by a break or has an else; what it does not mention stays."""
    text = """\
a = dict(x=1)
b = dict(y=2)
for i in range(3):
    a['z'] = i
c = dict(a=a)
"""
    found = source(text)
    assert [found.line(keys(key)) for key in ("a", "b.y", "i", "a.x", "a.z", "c", "c.a.z")] == [
        1,
        2,
        3,
        3,
        3,
        5,
        5,
    ]
    for ending in (
        "    break\n",
        "    while i:\n        pass\n    else:\n        break\n",
        "else:\n    j = 1\n",
    ):
        found = source(text.replace("c = ", f"{ending}c = ").replace("range(3)", "range(0)"))
        assert [found.line(keys(key)) for key in ("b.y", "a.x")] == [2, None]


def test_what_is_recorded() -> None:
    """The marks of the blocks at the top level, and nothing of a file without any."""
    assert source("a = 1\nfor i in range(3):\n    if i:\n        a = 2\n").record is None
    text = "if 1:\n    a = 1\nelse:\n    a = 2\ntry:\n    b = 1 / 0\nexcept ZeroDivisionError:\n    b = 2\n"
    assert source(text).record == {0, 1, 4, 6, 7}


def test_reflection_leaves_the_file_alone() -> None:
    """Where any code may set any name no line is told."""
    found = source("a = 1\nnames = globals()\nnames['a'] = 2\ndel names\n")
    assert found.line(("a",)) is None


def test_marks_leave_a_config_as_it_is() -> None:
    """Names, docstring, line numbers and what functions see are those of the plain file."""
    text = (
        "'''A text.'''\nfrom __future__ import annotations\nimport sys, traceback\nif True:\n"
        "    line = sys._getframe().f_lineno\n    names = sorted(globals())\n    doc = __doc__\n"
        "    try:\n        (1 and\n         int('x'))\n    except ValueError as error:\n"
        "        where = traceback.extract_tb(error.__traceback__)[0].lineno\n"
    )
    plain: dict[str, Any] = {"__name__": "<config>", "__file__": "f"}
    exec(compile(text, "f", "exec"), plain)
    tree = source(text).tree
    assert {key: tree[key] for key in ("line", "names", "doc", "where")} == {
        key: plain[key] for key in ("line", "names", "doc", "where")
    }


PIECES = {
    "a text over several lines": ("x = '''\nif a:\nfor\n'''\nif x:\n    y = 1\n", "y", 6),
    "brackets at the margin": ("x = dict(\na=1 if 1 else 2,\nb=[\n3 or 4\n])\nif x:\n    y = 1\n", "x.b.0", 4),
    "a decorator": ("import functools\n@functools.cache\ndef f():\n    if 1:\n        return 2\nx = f()\nif x:\n    y = 1\n", "y", 8),
    "a future": ("from __future__ import annotations\nx: no_such_name = 1\nif x:\n    y: no_such_name = 2\n", "y", 4),
    "other line breaks": ("x = 1\r\nif x:\r\n    y = 1\r\n", "y", 3),
    "comments and blanks": ("# if\n\nx = 1  # or\n\n# and\nif x:\n    # for\n\n    y = 1\n# else\nelse:\n    y = 2\n", "y", 9),
    "several on a line": ("x = 1; y = 2 if x else 3; z = 4\nif x: y = 5; z = 6\n", "z", 2),
    "a line with a continuation": ("x = 1 \\\n    or 2\nif x \\\n    and x:\n    y = 1\n", "y", 5),
}  # fmt: skip


@pytest.mark.parametrize(("text", "key", "line"), PIECES.values(), ids=PIECES.keys())
def test_statements_are_recognized(text: str, key: str, line: int) -> None:
    """The statements and their lines are those of Python, for any layout of the file."""
    plain: dict[str, Any] = {"__name__": "<config>"}
    exec(compile(text, "c.py", "exec"), plain)
    found = source(text)
    assert found.tree == {name: plain[name] for name in found.tree}
    assert found.tree.keys() >= {"x"}
    assert found.line(keys(key)) == line


def test_a_config_too_deep_to_be_marked_is_run_all_the_same() -> None:
    """Where the tree with its marks is too deep for Python, the file runs unmarked, and no line is guessed."""
    found = source("if True:\n    a = " + "+".join(["1"] * 900) + "\nb = 1\n")
    assert (found.tree["a"], found.line(("b",))) == (900, 3)


def test_references_are_uses_of_the_bases() -> None:
    """A token is replaced by a value of the bases, at any depth and inside text."""
    text = "a = dict(x=__base_reference_0__)\nb = 'x__base_reference_1__'\nc = __base_reference_0__['z']\n"
    tree = {"a": {"x": {"y": 1}}, "b": "x2", "c": 3}
    config = PythonSource(
        "c.py", text, tree, text, {"__base_reference_0__": "opt.0", "__base_reference_1__": "lr"}
    )
    assert config.uses(("a", "x", "y")) == [Dependency(("opt", 0, "y"), True)]
    assert config.uses(("b",)) == [Dependency(("lr",), True)]
    assert config.uses(("c",)) == [Dependency(("opt", 0, "z"), True)]


def test_environment_variables_are_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A value that came from the environment knows which variable it was."""
    monkeypatch.setenv("SHOP_LR", "0.5")
    (tmp_path / "c.py").write_text("a = dict(lr={{$SHOP_LR}} * 2)\n")
    loaded = load_file(tmp_path / "c.py")
    assert (loaded.tree.a.lr, loaded.source.uses(("a", "lr"))) == (1.0, [Dependency(("$SHOP_LR",), False)])


# ------------------------------------------------------------------------------------- the truth


def configs(profile: str, number: int, module: str) -> Iterator[tuple[str, Config, Truth]]:
    """Yield random configs with what really happened in them."""
    for seed in range(number):
        text = Program(seed, profile, module).text
        truth = Truth(text)
        try:
            yield f"{profile} {seed}:\n{text}", Config.fromstring(text, ".py"), truth
        except ConfigValueError:  # it holds itself
            continue


@pytest.fixture
def star(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Return the name of a module with names to import all of."""
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "star_names.py").write_text(
        "star = {'a': 1, 'b': 2}\nstar_two = star\n\n\ndef star_set(k, v):\n    star[k] = v\n"
    )
    yield "star_names"
    sys.modules.pop("star_names", None)


# Python 3.12 warns when a tracer reads the locals of a comprehension.
@pytest.mark.filterwarnings("ignore:assigning None to unbound local:RuntimeWarning")
@pytest.mark.parametrize("profile", PROFILES)
def test_no_origin_is_wrong(profile: str, star: str) -> None:
    """Each line ran at or after the last change of its value, or is of a call that was open then."""
    wrong, known, total = [], 0, 0
    for text, cfg, truth in configs(profile, 80, star):
        own = {
            key: value for key, value in truth.namespace.items() if key in cfg and not key.startswith("star")
        }
        for path, value in walk(own):
            origin = cfg.origin(path) if path else None
            step = truth.births.get(value)
            if origin is None or step is None or (isinstance(value, tuple) and "copy" in text):
                continue
            total += 1
            known += origin.line is not None
            if origin.line is not None and origin.line not in truth.allowed(step):
                wrong.append((path, value, origin.line, text))
    assert wrong == []
    assert total > 1000
    assert known / total >= (0.95 if profile == "straight" else 0.2)


# Python 3.12 warns when a tracer reads the locals of a comprehension.
@pytest.mark.filterwarnings("ignore:assigning None to unbound local:RuntimeWarning")
@pytest.mark.parametrize("profile", ["straight", "wild", "aliases"])
def test_no_explanation_is_wrong(profile: str, star: str) -> None:
    """Each line of an explanation ran, and a value that it knows was set at or before a line that it names."""
    wrong = []
    named = 0
    for text, cfg, truth in configs(profile, 40, star):
        ran = truth.ran()
        own = {
            key: value for key, value in truth.namespace.items() if key in cfg and not key.startswith("star")
        }
        for path, value in [*walk(own)][:40]:
            if not path or any("." in str(key) for key in path):
                continue
            told = explain(cfg, ".".join(map(str, path)))
            steps = [(step.origin, step.value) for step in told.steps]
            uses = [
                (use.origin, use.value) for use in all_uses([use for step in told.steps for use in step.uses])
            ]
            for origin, found in [*steps, *uses]:
                line = None if origin is None else origin.line
                named += line is not None
                step = truth.births.get(found) if isinstance(found, int) and found >= 10_000 else None
                if line is not None and line not in (ran if step is None else truth.allowed(step)):
                    wrong.append((path, value, line, found, text))
    assert wrong == []
    assert named > 500


def test_the_lines_of_the_shipped_configs_are_known() -> None:
    """At least 95 of 100 values have their line."""
    for file in sorted(CONFIGS.rglob("*.py")):
        cfg = Config.fromfile(file)
        found = [cfg.origin(path) for path in leaves(cfg._cfg_dict)]
        assert sum(origin is not None and origin.line is not None for origin in found) >= 0.95 * len(found), (
            file
        )
