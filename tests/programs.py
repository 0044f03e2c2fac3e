"""Random Python configs, each of whose writes writes a value of its own, and what really happened in them."""

from __future__ import annotations

import ast
import sys
from collections.abc import Callable, Iterator
from random import Random
from types import FrameType
from typing import Any, NamedTuple

# How often a kind of statement is chosen, by profile; the others are chosen once.
PROFILES: dict[str, dict[str, int]] = {
    "straight": dict.fromkeys(
        ("branch", "loop", "dict_loop", "while_loop", "attempt", "context", "function", "call", "choose", "match",
         "star", "reflect", "generator", "klass", "odd_flow"), 0,
    ),
    "wild": {},
    "functions": {"function": 4, "call": 6, "klass": 2, "generator": 3},
    "failures": {"attempt": 8, "context": 4, "call": 2, "function": 2},
    "lists": {"lists_change": 8, "loop": 3, "alias": 3},
    "aliases": {"alias": 8, "item_of": 5, "copies": 4, "write": 4},
    "loops": {"loop": 6, "dict_loop": 4, "while_loop": 3, "comprehend": 3, "choose": 3},
    "reflective": {"reflect": 3, "star": 2},
}  # fmt: skip


class Program:
    """One random config; ``text`` is its source.

    Args:
        seed: Of the random choices.
        profile: One of PROFILES.
        module: Name of a module to import all names of; its dict is ``star`` and its function ``star_set``.
    """

    def __init__(self, seed: int, profile: str = "wild", module: str = "") -> None:
        self.random = Random(f"{profile} {seed}")
        self.module = module
        self.lines: list[str] = []
        self.indent = 0
        self.values = 0
        self.loops: list[str] = []
        self.dicts: list[str] = []
        self.lists: list[str] = []
        self.functions: list[str] = []
        self.generators: list[str] = []
        weights = PROFILES[profile]
        self.kinds: list[Callable[[], None]] = [
            kind for kind in self._kinds() for _ in range(weights.get(kind.__name__, 1))
        ]
        self.one("a", "dict")
        self.one("b", "dict")
        self.one("p", "list")
        for _ in range(self.random.randint(4, 14)):
            self.random.choice(self.kinds)()
        self.text = repaired("\n".join(self.lines) + "\n")

    def _kinds(self) -> list[Callable[[], None]]:
        return [
            self.new, self.write, self.write, self.item_of, self.update, self.lists_change, self.alias,
            self.copies, self.branch, self.loop, self.dict_loop, self.while_loop, self.attempt, self.context,
            self.function, self.call, self.choose, self.match, self.star, self.reflect, self.comprehend, self.remove,
            self.augment, self.generator, self.klass, self.spread, self.unpack, self.odd, self.odd_flow,
        ]  # fmt: skip

    # --------------------------------------------------------------------------------------- parts

    def add(self, *lines: str) -> None:
        self.lines += ["    " * self.indent + line for line in lines]

    def atom(self) -> str:
        """Return an expression for a value of its own, in each turn of the loops around it."""
        self.values += 1
        number = str(self.values * 10000)
        for i, name in enumerate(self.loops):
            number += f" + {name} * {10 ** (i + 1)}"
        kind = self.random.randrange(6)
        if kind == 0 and not self.loops:
            return f"'s{number}'"
        return f"int({number})" if kind == 1 else number

    def value(self, depth: int = 0) -> str:
        """Return an expression for an atom, a dict or a list."""
        r = self.random
        kind = r.randrange(10)
        newline = "\n" + "    " * (self.indent + 1) if r.random() < 0.2 else " "
        if depth < 2 and kind == 0:
            return f"dict(a={self.value(depth + 1)},{newline}b={self.value(depth + 1)})"
        if depth < 2 and kind == 1:
            return f"{{'a': {self.value(depth + 1)},{newline}'c': {self.value(depth + 1)}}}"
        if depth < 2 and kind == 2:
            return f"[{self.value(depth + 1)},{newline}{self.value(depth + 1)}]"
        if depth < 2 and kind == 3:
            return f"({self.value(depth + 1)}, {self.value(depth + 1)})"
        if kind == 4:
            return r.choice(self.dicts + self.lists or ["0"])
        if kind == 5 and depth == 0:
            return (
                r.choice(
                    [
                        f"({self.atom()} if {self.truth()} else{newline}{self.atom()})",
                        f"({self.falsy()} or {self.value(1)})",
                        f"({self.truth()} and {self.value(1)})",
                    ]
                )
                if self.profile_flow()
                else self.atom()
            )
        return self.atom()

    def profile_flow(self) -> bool:
        return any(kind.__name__ == "branch" for kind in self.kinds)

    def key(self) -> str:
        r = self.random
        if self.loops and r.random() < 0.5:
            return f"'k' + str({r.choice(self.loops)})"
        return repr(r.choice("abcdk"))

    def truth(self) -> str:
        r = self.random
        if self.loops and r.random() < 0.6:
            return f"{r.choice(self.loops)} {r.choice(['==', '<', '>'])} {r.randrange(3)}"
        return r.choice(["0", "1", "a", "len(p) > 2", "'a' in a", "[]", "not b"])

    def falsy(self) -> str:
        return self.random.choice(["0", "[]", "None", "''", "a.get('zz')"])

    def dict(self) -> str:
        r = self.random
        name = r.choice(self.dicts)
        return name if r.random() < 0.8 else f"{name}.setdefault({self.key()}, {{}})"

    def list(self) -> str:
        return self.random.choice(self.lists)

    def name(self) -> str:
        return self.random.choice("abcdefg") + self.random.choice(["", "", "1", "2"])

    def forget(self, name: str) -> None:
        """Leave at least one name of each kind."""
        self.dicts = [each for each in self.dicts if each != name] or ["b"]
        self.lists = [each for each in self.lists if each != name] or ["p"]

    def one(self, name: str, kind: str) -> None:
        kind = {"b": "dict", "p": "list"}.get(name, kind)
        self.forget(name)
        if kind == "dict":
            self.add(f"{name} = dict(a={self.value(1)}, b={self.value(1)})")
            self.dicts.append(name)
        else:
            self.add(f"{name} = [{self.value(1)}, {self.value(1)}, {self.value(1)}]")
            self.lists.append(name)

    def body(self, statements: int | None = None) -> None:
        """Add a block."""
        self.indent += 1
        before = len(self.lines)
        for _ in range(statements or self.random.randint(1, 3)):
            kind = self.random.choice(self.kinds)
            if self.indent < 4 or kind.__name__ in ("write", "lists_change", "update"):
                kind()
        if len(self.lines) == before:
            self.write()
        self.indent -= 1

    # ---------------------------------------------------------------------------------- statements

    def new(self) -> None:
        name = self.name()
        if self.indent and name in self.dicts + self.lists:
            self.add(f"{name} = {name}")
        elif self.indent or self.random.random() < 0.3:
            self.add(f"s{self.random.randrange(9)} = {self.value()}")
        else:
            self.one(name, self.random.choice(["dict", "list"]))

    def write(self) -> None:
        self.add(f"{self.dict()}[{self.key()}] = {self.value()}")

    def item_of(self) -> None:
        name = f"i{self.random.randrange(4)}"
        self.add(f"{name} = {self.dict()}.setdefault({self.key()}, {{}})")
        self.add(
            f"if isinstance({name}, dict): {name}[{self.key()}] = {self.atom()}"
        ) if self.profile_flow() else None

    def update(self) -> None:
        r = self.random
        self.add(
            r.choice(
                [
                    f"{self.dict()}.update({r.choice('abz')}={self.value(1)})",
                    f"{self.dict()}.update({{{self.key()}: {self.value(1)}}})",
                    f"{self.dict()}.update({self.dict()})",
                    f"{self.dict()}.setdefault({self.key()}, {self.value(1)})",
                    f"{r.choice(self.dicts)} |= {{{self.key()}: {self.value(1)}}}",
                    f"{self.dict()}.update(zip('ab', [{self.value(1)}, {self.value(1)}]))",
                    f"{self.dict()}.update([({self.key()}, {self.value(1)})])",
                ]
            )
        )

    def lists_change(self) -> None:
        r = self.random
        one = self.list()
        i = r.choice(["0", "1", "-1", "len(p) - len(p)"] + [f"{x} - {x}" for x in self.loops])
        self.add(
            r.choice(
                [
                    f"{one}.append({self.value(1)})",
                    f"{one}.insert({i}, {self.value(1)})",
                    f"{one}.extend([{self.value(1)}, {self.value(1)}])",
                    f"{one} += [{self.value(1)}]",
                    f"{one} += ({self.value(1)},)",
                    f"{one}[{i}] = {self.value(1)}",
                    f"{one}[0:1] = [{self.value(1)}, {self.value(1)}]",
                    f"{one}[{i}:] = [{self.value(1)}]",
                    f"{one}.reverse()",
                    f"{one}.sort(key=str)",
                    f"{one}.extend({self.list()}[:1])",
                    f"{one} *= 2" if not self.loops else f"{one}.reverse()",
                    f"{one}.append({self.dict()})",
                ]
            )
        )

    def remove(self) -> None:
        r = self.random
        one, two = self.list(), self.dict()
        flow = self.profile_flow()
        self.add(
            r.choice(
                [
                    f"if len({one}) > 2: del {one}[{r.choice(['0', '1', '-1', '1:2', ':1'])}]"
                    if flow
                    else f"del {one}[:1]",
                    f"if len({one}) > 2: {one}.pop({r.choice(['', '0', '-2'])})"
                    if flow
                    else f"{one}.append({self.value(1)})",
                    f"{two}.pop({self.key()}, None)",
                    f"s9 = {two}.pop({self.key()}, {self.atom()})",
                    f"if 'b' in {two}: del {two}['b']" if flow else f"{two}.pop('b', 0)",
                    f"{two}.clear()",
                ]
            )
        )

    def alias(self) -> None:
        name = f"l{self.random.randrange(4)}"
        source = self.random.choice(["dict", "list"])
        self.forget(name)
        if source == "dict":
            self.add(f"{name} = {self.random.choice(self.dicts)}")
            if not self.indent:
                self.dicts.append(name)
        else:
            self.add(f"{name} = {self.list()}")
            if not self.indent:
                self.lists.append(name)

    def copies(self) -> None:
        r = self.random
        name = f"m{r.randrange(4)}"
        d, one = r.choice(self.dicts), self.list()
        self.forget(name)
        form = r.choice(
            [f"dict({d})", f"dict({d}, a={self.value(1)})", f"{d}.copy()", f"{{**{d}, {self.key()}: {self.value(1)}}}",
             f"{d} | {{'b': {self.value(1)}}}", f"copy.deepcopy({d})", f"dict(c={d}, d={d})"]
        )  # fmt: skip
        if r.random() < 0.4:
            form = r.choice(
                [f"list({one})", f"{one}[:]", f"{one}[1:]", f"[*{one}, {self.value(1)}]", f"{one} + [{self.value(1)}]",
                 f"copy.deepcopy({one})", f"{one}.copy()", f"[{one}, {one}]", f"{one} * 2", f"sorted({one}, key=str)",
                 f"list(reversed({one}))"]
            )  # fmt: skip
            if not self.indent:
                self.lists.append(name)
        elif not self.indent:
            self.dicts.append(name)
        if "copy.deepcopy" in form:
            self.add("import copy")
        self.add(f"{name} = {form}")

    def spread(self) -> None:
        self.add(
            f"t{self.random.randrange(3)} = dict(x={self.value(1)}, **{self.random.choice(self.dicts)})"
            if self.random.random() < 0.5
            else f"t3 = [{self.value(1)}, *{self.list()}]"
        )

    def unpack(self) -> None:
        r = self.random
        self.add(
            r.choice(
                [
                    f"u0, u1 = {self.value(1)}, {self.value(1)}",
                    f"u2, *u3 = {self.list()} + [1]",
                    f"u0 = u1 = {self.value()}",
                    f"{r.choice(self.dicts)}['a'], u4 = {self.value(1)}, {self.value(1)}",
                    f"for u5, u6 in [({self.value(1)}, {self.value(1)})]: pass"
                    if self.profile_flow()
                    else "u7 = 1",
                ]
            )
        )

    def branch(self) -> None:
        self.add(f"if {self.truth()}:")
        self.body()
        if self.random.random() < 0.3:
            self.add(f"elif {self.truth()}:")
            self.body()
        if self.random.random() < 0.5:
            self.add("else:")
            self.body()

    def loop(self) -> None:
        if len(self.loops) > 1:
            return
        name = f"n{len(self.loops)}"
        r = self.random
        over = r.choice(
            ["range(3)", "range(2)", "[2, 0, 1]", "(1, 2)", "range(0)"]
            + ([f"{g}()" for g in self.generators])
        )
        self.add(f"for {name} in {over}:")
        self.loops.append(name)
        self.body()
        if r.random() < 0.2:
            self.add(f"    if {self.truth()}: {r.choice(['break', 'continue'])}")
            self.indent += 1
            self.write()
            self.indent -= 1
        self.loops.pop()
        if r.random() < 0.15:
            self.add("else:")
            self.body()

    def dict_loop(self) -> None:
        r = self.random
        self.loops.append("n3")
        self.add(
            r.choice(
                [
                    f"for n3, x in enumerate([{r.choice(self.dicts)}, {r.choice(self.dicts)}]):",
                    f"for n3, x in enumerate(list({r.choice(self.dicts)}.values())):",
                    f"for k, x in list({r.choice(self.dicts)}.items()):",
                    f"for x in [{r.choice(self.dicts)}, {r.choice(self.dicts)}]:",
                    f"for x in {self.list()}[:]:",
                    f"for k, x in {r.choice(self.dicts)}.items():",
                    f"for k in list({r.choice(self.dicts)}):",
                ]
            )
        )
        line = self.lines[-1]
        self.loops.pop()
        if "n3" in line:
            self.loops.append("n3")
        if " x in" in line:
            self.add(f"    if isinstance(x, dict): x[{self.key()}] = {self.atom()}")
            self.add(f"    s5 = {self.value()}")
        else:
            self.add(f"    {r.choice(self.dicts)}[k] = {self.value()}")
        if "n3" in line:
            self.loops.pop()

    def while_loop(self) -> None:
        if "w" in self.loops:
            return
        self.add(
            "w = 0",
            f"while {self.random.choice(['w < 2', 'w < 3 and ' + self.truth(), '(w := w + 1) < 4'])}:",
        )
        self.loops.append("w")
        self.body()
        self.add("    w += 1")
        self.loops.pop()

    def attempt(self) -> None:
        r = self.random
        self.add("try:")
        self.body(r.randint(1, 2))
        self.indent += 1
        fail = r.choice(
            ["raise KeyError(1)", f"{r.choice(self.dicts)}[{self.key()}] = a['no']", f"s6 = [{self.atom()}, a['no']]",
             f"{self.list()}.append(a['no'])", f"{self.list()}.insert(0, 1 / 0)", "int('x')", "pass",
             f"{r.choice(self.dicts)}.update(a={self.atom()}, b=1 / 0)", f"b['q'] = {self.value()}", "{}['x'] += 1",
             f"s7 = {self.list()}.pop() + a['no']", f"s8 = dict(\n{'    ' * (self.indent + 1)}a=a['no'],\n{'    ' * (self.indent + 1)}b={self.atom()})"]
            + [f"{f}({r.choice(self.dicts)})['no']" for f in self.functions]
        )  # fmt: skip
        self.add(fail)
        if r.random() < 0.3:
            self.write()
        self.indent -= 1
        if r.random() < 0.8:
            self.add(
                r.choice(
                    [
                        "except Exception:",
                        "except (LookupError, ArithmeticError, TypeError, ValueError, AttributeError) as error:",
                    ]
                )
            )
            self.body(r.randint(1, 2))
            if r.random() < 0.3:
                self.add("else:")
                self.body(1)
        else:
            self.add("except Exception: pass")
        if r.random() < 0.3:
            self.add("finally:")
            self.body(1)

    def context(self) -> None:
        r = self.random
        kind = r.randrange(3)
        if kind == 0:
            self.add("import contextlib", "with contextlib.suppress(Exception):")
            self.body(1)
            self.add(f"    {r.choice(self.dicts)}['w'] = {r.choice(['1 / 0', self.value()])}")
            self.body(1)
        elif kind == 1:
            self.add("from contextlib import nullcontext", f"with nullcontext({r.choice(self.dicts)}) as y:")
            self.body(1)
            self.add(f"    y[{self.key()}] = {self.atom()}")
        else:
            d, name = r.choice(self.dicts), f"C{self.values}"
            self.add(
                f"class {name}:",
                "    def __enter__(self):",
                f"        {d}['en'] = {self.atom()}",
                "        return self",
                "    def __exit__(self, *args):",
                f"        {d}['a'] = {self.atom()}",
                f"        return {r.choice(['True', 'False'])}",
            )
            self.add(f"with {name}():")
            self.body(1)
            self.add(f"    {d}['a'] = {self.value()}")

    def function(self) -> None:
        r = self.random
        if self.indent:
            return
        name = f"f{len(self.functions)}"
        kind = r.randrange(7)
        d, loops, self.loops = r.choice(self.dicts), self.loops, []
        body = [
            [f"    d[{self.key()}] = {self.atom()}", "    return d"],
            [f"    {d}[{self.key()}] = {self.atom()}", "    return d"],
            [
                f"    global {self.random.choice(['s0', 's1', 's2', 's5'])}",
                f"    s0 = s1 = {self.atom()}",
                "    return d",
            ],
            [f"    d['z'] = {d}", "    d['a'] = dict(t=" + self.atom() + ")", "    return d['a']"],
            ["    if 'a' in d: d.pop('a')", f"    return dict(q=d, r={self.atom()})"],
            [
                "    for k in list(d):",
                f"        d[k] = {self.atom()}",
                f"    {self.list()}.append({self.atom()})",
                "    return {}",
            ],
            ["    def inner():", f"        d['a'] = {self.atom()}", "    inner()", "    return inner and d"],
        ][kind]
        if kind == 2:
            body[1] = body[0].replace("global", "").strip() + f" = {self.atom()}"
            body[1] = "    " + body[1]
        self.add(f"def {name}(d):", *body)
        self.functions.append(name)
        self.loops = loops

    def call(self) -> None:
        if not self.functions:
            self.function()
        if not self.functions:
            return
        r = self.random
        f, d = r.choice(self.functions), r.choice(self.dicts)
        self.add(
            r.choice(
                [
                    f"{f}({d})",
                    f"s{r.randrange(4)} = {f}({d})",
                    f"{d}[{self.key()}] = {f}({d})",
                    f"s4 = [{f}({d}), {self.atom()}]",
                    f"s5 = {f}({{'n': {self.atom()}}})",
                    f"s6 = [{f}({d}) for _ in range(2)]",
                    f"s7 = dict(\n{'    ' * (self.indent + 1)}a={f}({d}),\n{'    ' * (self.indent + 1)}b={self.atom()})",
                    f"if {f}({d}): s8 = {self.atom()}",
                    f"(s9 := {f}({d}))['w'] = {self.atom()}",
                    f"s3 = {f}({d}) or {self.atom()}",
                    f"s2 = f'{{{f}({d})}}'",
                    f"{f}({f}({d}))",
                ]
            )
        )

    def choose(self) -> None:
        r = self.random
        d = r.choice(self.dicts)
        self.add(
            r.choice(
                [
                    f"({d} if {self.truth()} else {r.choice(self.dicts)})[{self.key()}] = {self.atom()}",
                    f"c0 = {d} if {self.truth()} else {r.choice(self.dicts)}",
                    f"c1 = ({self.truth()}) and {d} or {r.choice(self.dicts)}",
                    f"c2 = {{'x': {d} or 1}}",
                    f"c3 = {self.atom()} if {self.truth()} else {self.atom()}",
                    f"c4 = dict(\n{'    ' * (self.indent + 1)}a={self.atom()} if {self.truth()}\n{'    ' * (self.indent + 1)}else {self.atom()})",
                ]
            )
        )
        if self.random.random() < 0.3 and not self.indent:
            self.add(f"c0 = {d} if {self.truth()} else {r.choice(self.dicts)}", f"c0['e'] = {self.atom()}")

    def match(self) -> None:
        r = self.random
        self.add(f"match {r.choice([r.choice(self.dicts), self.list(), '1'])}:")
        self.indent += 1
        self.add(
            r.choice(
                ["case {'a': v}:", "case [v, *_]:", "case {'b': dict(v)}:", "case 1:", "case [v, _] if v:"]
            )
        )
        self.body(1)
        if "v" in self.lines[-2] and r.random() < 0.5:
            self.add(f"    if isinstance(v, dict): v['m'] = {self.atom()}") if " v" in self.lines[
                -2
            ] else None
        self.add("case _:")
        self.body(1)
        self.indent -= 1

    def star(self) -> None:
        if self.module and not self.indent:
            self.add(f"from {self.module} import *", f"star['a'] = {self.atom()}")
            self.add(
                self.random.choice(
                    [f"star_set('b', {self.atom()})", "sd = star", f"star_two['x'] = {self.atom()}", "pass"]
                )
            )

    def reflect(self) -> None:
        r = self.random
        if self.indent > 1:
            return
        self.add(
            r.choice(
                [
                    f"globals()['s{r.randrange(4)}'] = {self.atom()}",
                    f"exec({f's{r.randrange(4)} = {self.atom()}'!r})" if not self.loops else "pass",
                    f"globals()['{r.choice(self.dicts)}']['a'] = {self.atom()}",
                    f"globals().update(s1={self.atom()})",
                    f"vars().get('{r.choice(self.dicts)}').update(b={self.atom()})",
                ]
            )
        )

    def comprehend(self) -> None:
        r = self.random
        d, one = r.choice(self.dicts), self.list()
        self.values += 2
        base = self.values * 10000
        name = f"q{r.randrange(4)}"
        self.add(
            r.choice(
                [
                    f"{name} = [{base} + i for i in range(3)]",
                    f"{name} = {{'x' + str(i): {base} + i for i in range(2)}}",
                    f"{name} = [{d} for _ in range(2)]",
                    f"{name} = {{k: v for k, v in {d}.items()}}",
                    f"{name} = [dict(a={base} + i, b={d}) for i in range(2)]",
                    f"{name} = [x for x in {one} if x]",
                    f"{name} = list(map(str, {one}))",
                    f"{name} = [{d}.pop('a', {base}) for _ in range(2)]",
                    f"{name} = [(s3 := {base} + i) for i in range(2)]",
                    f"{name} = list({base} + i for i in range(2))",
                    f"{name} = [{d}.update(b={base} + i) for i in range(2)]",
                    f"{name} = tuple({one})",
                    f"{name} = [\n{'    ' * (self.indent + 1)}{d}\n{'    ' * (self.indent + 1)}for _ in range(2)]",
                ]
            )
        )
        if r.random() < 0.4 and f"[{d} for" in self.lines[-1]:
            self.add(f"{name}[0]['y'] = {self.atom()}")

    def augment(self) -> None:
        r = self.random
        self.add(
            r.choice([f"g{r.randrange(3)} = {self.atom()}", f"{r.choice(self.dicts)}['n'] = {self.atom()}"])
        )
        target = self.lines[-1].strip().split(" = ")[0]
        if target:
            self.add(f"{target} += {self.values * 7}")

    def generator(self) -> None:
        if self.indent:
            return
        d, loops, self.loops = self.random.choice(self.dicts), self.loops, []
        name = f"gen{len(self.generators)}"
        lines = [f"def {name}():", "    yield 1", f"    {d}['a'] = {self.atom()}"]
        if self.random.random() < 0.5:
            lines += ["    try:", "        yield 2", "    finally:", f"        {d}['b'] = {self.atom()}"]
        self.add(*lines)
        self.generators.append(name)
        self.loops = loops

    def klass(self) -> None:
        if self.indent:
            return
        d, r, loops, self.loops = self.random.choice(self.dicts), self.random, self.loops, []
        name = f"K{self.values}"
        self.values += 1
        self.add(*r.choice([
            [f"class {name}:", f"    {d}['a'] = {self.atom()}"],
            [f"class {name}:", "    def __add__(self, other):", f"        {d}['b'] = {self.atom()}", "        return other",
             f"z0 = {name}() + {self.atom()}"],
            [f"class {name}(dict):", "    def __setitem__(self, key, value):", f"        {d}[key] = {self.atom()}",
             f"z1 = {name}()", f"z1['a'] = {self.atom()}"],
            [f"class {name}:", "    def __eq__(self, other):", f"        {d}['c'] = {self.atom()}", "        return True", "    __hash__ = None",
             f"z2 = [{name}(), 1]", "z3 = z2.count(3)"],
            ["def deco(f):", f"    {d}['a'] = {self.atom()}", "    return f", "@deco", "@deco", f"def {name.lower()}(x={d}):", "    pass"],
            [f"{name.lower()} = lambda x: {d}.update(a={self.atom()})", f"{name.lower()}(1)"],
        ]))  # fmt: skip
        self.loops = loops

    def odd(self) -> None:
        """Add what nobody writes, but might."""
        r = self.random
        d, e, one = r.choice(self.dicts), r.choice(self.dicts), self.list()
        self.add(*r.choice([
            [f"{d}['a'], {e}['b'] = {e}.get('b'), {d}.get('a')"],
            [f"{d}.__setitem__('a', {self.atom()})"],
            [f"dict.update({d}, b={self.atom()})"],
            [f"list.append({one}, {self.atom()})"],
            ["import operator", f"operator.setitem({d}, 'c', {self.atom()})"],
            [f"up{self.values} = {d}.update", f"up{self.values}(a={self.atom()})"],
            [f"r0 = r1 = [{self.atom()}]", f"r0.append({self.atom()})", f"r1[0] = {self.atom()}"],
            [f"r2 = [{d}, {e}]", f"r2[0]['a'] = {self.atom()}", f"r2[-1]['b'] = {self.atom()}"],
            [f"({d}, {e})[1]['c'] = {self.atom()}"],
            [f"r3 = {{'x': {d}}}", f"r3['x']['a'] = {self.atom()}", "r3.clear()", f"r3['y'] = {self.atom()}"],
            [f"{one}[0:2] += [{self.atom()}]"],
            [f"r4 = f'{{{one}.pop()}} {{f\"{{{one}.append({self.values} * 7)}}\"}}'"],
            [f"r5 = {{{self.atom()}}}", f"r5.add({self.atom()})", "r6 = sorted(r5)"],
            [f"r7 = {d}", "del r7", f"r7 = {self.atom()}"],
            [f"r8 = min({one}, {one})", f"r8.append({self.atom()})"],
            [f"r9 = dict([('x', {d})])", f"r9['x']['a'] = {self.atom()}"],
            [f"r9 = next(iter([{d}]))", f"r9['b'] = {self.atom()}"],
            [f"r9 = max([{d}], key=str)", f"r9['b'] = {self.atom()}"],
            [f"{d}['self'] = {one}", f"{one}.append({self.atom()})"],
            ["import json", f"r9 = json.loads('{{\"a\": {self.atom().split()[0].replace('int(', '').replace(')', '').strip(chr(39) + 's')}, \"b\": [1]}}')", f"r9['b'][0] = {self.atom()}"],
            ["import types", f"r9 = types.SimpleNamespace(d={d})", f"r9.d['a'] = {self.atom()}"],
        ]))  # fmt: skip

    def odd_flow(self) -> None:
        """Add control flow that nobody writes, but might."""
        r = self.random
        d, e, one = r.choice(self.dicts), r.choice(self.dicts), self.list()
        value = self.atom
        name = f"h{self.values}"
        self.add(*r.choice([
            [f"o0 = len({one}) < 2 < len([{one}.append({value()})])"],
            ["try:", f"    if int('x') and {one}.append({value()}): pass", f"except ValueError: {d}['a'] = {value()}"],
            ["try:", f"    for o1 in ({one}.append({value()}), 1 / 0): pass", f"except ArithmeticError: {d}['b'] = {value()}"],
            ["try:", f"    for o1 in (1 / 0, {one}.append({value()})): pass", "except ArithmeticError: pass"],
            ["try:", f"    {d}[[]] = {one}.pop()", "except TypeError: pass"],
            ["for o2 in range(3):", "    try:", f"        {d}['a'] = {value()} + o2", f"        if o2: {r.choice(['break', 'continue'])}",
             f"        {d}['b'] = {value()} + o2", "    finally:", f"        {e}['c'] = {value()} + o2"],
            ["for o2 in range(2):", "    try:", "        1 / 0", "    finally:", f"        {d}['a'] = {value()} + o2", "        break"],
            [f"for {d}['k'] in [{value()}, {value()}]: pass"],
            [f"if (o3 := {d}) and (o4 := {value()}): o3['a'] = {value()}"],
            [f"def {name}(x={d}):", "    def inner():", f"        x['a'] = {value()}", "    return inner", f"{name} = {name}()", f"{d}['a'] = {value()}", f"{name}()"],
            [f"{name} = [lambda: {d}.update(a={value()})]", f"{d}['a'] = {value()}", f"{name}[0]()"],
            [f"class {name}:", f"    held = {d}", f"{d}['a'] = {value()}", f"{name}.held['a'] = {value()}"],
            [f"class {name}:", "    def __init__(self): self.d = None", "    def __del__(self):", "        try:", f"            {d}['a'] = {value()}", "        except NameError: pass", f"{name} = {name}()",
             f"{d}['a'] = {value()}", f"{name} = 1"],
            ["import functools", f"{name} = functools.partial({d}.update, b={value()})", f"{d}['b'] = {value()}", f"{name}()"],
            [f"def {name}():", f"    yield {d}", f"    {d}['a'] = {value()}", f"for o5 in {name}():", f"    o5['a'] = {value()}"],
            [f"def {name}():", f"    yield {d}", f"    {d}['a'] = {value()}", "    raise ValueError", "try:", f"    for o5 in {name}():", f"        o5['a'] = {value()}", "except ValueError: pass"],
            [f"o6 = ({d}['x'] for _ in [1])", f"{d}['x'] = {value()}", "o7 = list(o6)", "o6 = 1"],
            [f"o6 = ({d}.update(x={value()}) for _ in [1])", f"{d}['x'] = {value()}", "o7 = list(o6)", "o6 = 1"],
            [f"o8 = map(lambda k: {d}.update(a={value()}), [1])", f"{d}['a'] = {value()}", "for o9 in o8: pass"],
            [f"while {d}.pop('a', 0):", f"    {e}['w'] = {value()}"],
            [f"while len({one}) < 6 and {one}.append({value()} + len({one})) is None: pass"],
            [f"with open(__import__('os').devnull) as {name}:", f"    {d}['a'] = {value()}", f"{name} = 1"],
            [f"o0 = {d} if {self.truth()} else [{one}.append({value()}), {e}][1]", f"o0['b'] = {value()}"],
            [f"for o1, o2 in zip([{d}, {e}], ['a', 'b']):", f"    o1[o2] = {value()}"],
            [f"o3 = {d}.get('no') or {e}", f"o3['a'] = {value()}"],
            [f"o3 = [{d}, {e}][bool({self.truth()})]", f"o3['a'] = {value()}"],
            ["try:", f"    import nothing_of_the_kind as {name}", f"except ImportError: {name} = {value()}"],
        ]))  # fmt: skip


def repaired(text: str) -> str:
    """Return a program without the statements at the top that raise an error."""
    while True:
        tree = ast.parse(text)
        try:
            exec(compile(text, "the config", "exec"), {"__name__": "<config>", "__file__": "c.py"})
        except Exception as error:
            place = error.__traceback__
            line = None
            while place is not None:
                if line is None and place.tb_frame.f_code.co_filename == "the config":
                    line = place.tb_lineno
                place = place.tb_next
        else:
            return text
        [failed] = [each for each in tree.body if _first_line(each) <= (line or 0) <= (each.end_lineno or 0)][
            :1
        ]
        lines = text.split("\n")
        text = "\n".join([*lines[: _first_line(failed) - 1], *lines[failed.end_lineno :]])


def _first_line(node: ast.stmt) -> int:
    return min([node.lineno, *(each.lineno for each in getattr(node, "decorator_list", []))])


class Event(NamedTuple):
    """One step: a line that ran, and the lines of the calls that were open."""

    line: int
    open: tuple[int, ...]


class Truth:
    """What happened when a config was run, seen by a tracer.

    Attributes:
        namespace: What the config came to.
        births: The last step in which each value came to be, by value.
        events: All steps.
    """

    def __init__(self, text: str) -> None:
        self.text = text
        self.namespace: dict[str, Any] = {"__name__": "<config>", "__file__": "c.py"}
        self.births: dict[object, int] = {}
        self.paths: dict[tuple[object, ...], int] = {}
        self.events: list[Event] = []
        self._there: dict[object, None] = {}
        self._leaves: dict[tuple[object, ...], object] = {}
        self._spans = _spans(ast.parse(text))
        code = compile(text, "the config", "exec")
        before = sys.gettrace()
        sys.settrace(self._trace)
        try:
            exec(code, self.namespace)
        finally:
            sys.settrace(before)
        self._look(None)

    def _trace(self, frame: FrameType, event: str, arg: object) -> Any:
        if frame.f_code.co_filename != "the config":
            return None
        if event == "line":
            self._look(frame)
            stack, each = [], frame.f_back
            while each is not None:
                if each.f_code.co_filename == "the config":
                    stack.append(each.f_lineno)
                each = each.f_back
            self.events.append(Event(frame.f_lineno, tuple(stack)))
        return self._trace

    def _look(self, frame: FrameType | None) -> None:
        there: dict[object, None] = {}
        leaves = dict(walk({key: value for key, value in self.namespace.items() if not key.startswith("__")}))
        for value in leaves.values():
            there[value] = None
        while frame is not None and frame.f_code.co_filename == "the config":
            if frame.f_locals is not self.namespace:
                there.update((value, None) for _, value in walk(frame.f_locals))
            frame = frame.f_back
        step = len(self.events) - 1
        for value in there:
            if value not in self._there:
                self.births[value] = step
        for path, value in leaves.items():
            if path not in self._leaves or self._leaves[path] != value:
                self.paths[path] = step
        self._there, self._leaves = there, leaves

    def allowed(self, step: int) -> set[int]:
        """Return the lines that ran at or after a step, and those of the calls open then."""
        lines = {line for event in self.events[max(step, 0) :] for line in (event.line, *event.open)}
        return {each for line in lines for each in self._spans.get(line, (line,))}

    def ran(self) -> set[int]:
        """Return every line that ran."""
        return self.allowed(0)


def walk(
    tree: object, path: tuple[object, ...] = (), depth: int = 0
) -> Iterator[tuple[tuple[object, ...], object]]:
    """Yield path and value of each number, text and empty dict or list."""
    if isinstance(tree, dict) and tree and depth < 8:
        for key, value in list(tree.items()):
            yield from walk(value, (*path, key), depth + 1)
    elif isinstance(tree, (list, tuple)) and tree and depth < 8:
        for i, value in enumerate(list(tree)):
            yield from walk(value, (*path, i), depth + 1)
    elif isinstance(tree, (str, int)) and not isinstance(tree, bool):
        yield path, tree
    elif isinstance(tree, (dict, list)) and not tree:
        yield path, ("empty", id(tree))


def _spans(tree: ast.Module) -> dict[int, tuple[int, ...]]:
    """Return the lines of the innermost statement, or head of one, on each line."""
    spans: dict[int, tuple[int, ...]] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.stmt):
            body = getattr(node, "body", None)
            if isinstance(node, ast.Match):
                body = [node.cases[0].pattern]
            end = body[0].lineno - 1 if body else node.end_lineno or 0
            spans.update(dict.fromkeys(range(node.lineno, end + 1), tuple(range(node.lineno, end + 1))))
    return spans
