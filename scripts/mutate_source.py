"""How a Python source can be broken: pure, text in, breakages out.

A breakage is a small edit that a reviewer would call a bug: a condition the other way round, a
statement gone, another member of an enumeration. What people read (logs, `__repr__`, docstrings),
types and imports are left alone, and so are numbers whose exact value is a matter of taste: those
become nothing, or a thousand times as much.
"""

import ast
import hashlib
import re
from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from copy import deepcopy
from difflib import unified_diff

import attrs

# Keyword arguments that say how something is shown, spelt or built, not what happens.
_STYLE = frozenset(
    ("default", "encoding", "eq", "factory", "frozen", "init", "kw_only", "name", "repr", "strict")
)
_TIME = re.compile(
    r"second|time|delay|until|deadline|since|before|born|now|_at\b|\bat\b|stayed|start"
)
_BOUND = re.compile(r"\b_?[A-Z][A-Z_]+\b|most|limit")
_DEADLINES = frozenset(("fail_after", "move_on_after", "move_on_at"))
_OPPOSITE: Mapping[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.Lt: ast.GtE,
    ast.GtE: ast.Lt,
    ast.Gt: ast.LtE,
    ast.LtE: ast.Gt,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
}
_ONE_MORE: Mapping[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
}
_OTHER_CALL = {"min": "max", "max": "min", "any": "all", "all": "any"}
_OTHER_END = {"appendleft": "append", "popleft": "pop"}


@attrs.frozen
class Breakage:
    """Replace the bytes from `start` to `end` of a source; `line` and `text` say where they are."""

    kind: str
    line: int
    text: str  # of that line, without what surrounds it
    start: int
    end: int
    replacement: str

    def apply(self, source: str) -> str:
        data = source.encode()
        return (data[: self.start] + self.replacement.encode() + data[self.end :]).decode()

    def diff(self, source: str) -> str:
        """Return the changed lines as a diff, without its head."""
        lines = unified_diff(source.splitlines(), self.apply(source).splitlines(), lineterm="", n=1)
        return "\n".join(list(lines)[3:])


def enumerations(sources: Iterable[str]) -> dict[str, tuple[str, ...]]:
    """Return the members of each enumeration that these sources define, by its name."""
    found: dict[str, tuple[str, ...]] = {}
    for source in sources:
        for node in ast.walk(ast.parse(source)):
            if isinstance(node, ast.ClassDef) and any("Enum" in ast.unparse(b) for b in node.bases):
                members = [one for one in node.body if isinstance(one, ast.Assign)]
                found[node.name] = tuple(ast.unparse(one.targets[0]) for one in members)
    return found


def constants(source: str) -> tuple[str, ...]:
    """Return the constants a module defines: a module of names is as good as an enumeration."""
    body = (one for one in ast.parse(source).body if isinstance(one, ast.Assign))
    return tuple(ast.unparse(one.targets[0]) for one in body)


def breakages(source: str, names: Mapping[str, Sequence[str]]) -> list[Breakage]:
    """Return every way to break `source`. `names` are enumerations and their members."""
    return list(_Finder(source, names).find())


def chosen(
    sources: Mapping[str, str],
    names: Mapping[str, Sequence[str]],
    seed: int,
    ignored: Callable[[Breakage], bool],
) -> Iterator[tuple[str, Breakage]]:
    """Yield breakages of these sources, by path, at most one a line, in the order of this seed.

    A line keeps its place in that order when other lines come and go; of its breakages, first the
    kind is drawn.
    """
    drawn: list[tuple[str, str, Breakage]] = []
    for path, source in sources.items():
        kinds: dict[int, dict[str, list[Breakage]]] = {}
        for one in breakages(source, names):
            if not ignored(one):
                kinds.setdefault(one.line, {}).setdefault(one.kind, []).append(one)
        same: Counter[str] = Counter()
        for _, by_kind in sorted(kinds.items()):
            text = next(iter(by_kind.values()))[0].text
            same[text] += 1
            key = f"{seed}\0{path}\0{text}\0{same[text]}"
            kind = min(by_kind, key=lambda kind: _hash(f"{key}\0{kind}"))
            one = min(by_kind[kind], key=lambda one: _hash(f"{key}\0{one.replacement}"))
            drawn.append((_hash(key), path, one))
    for _, path, one in sorted(drawn, key=lambda it: it[:2]):
        if _is_python(one.apply(sources[path])):
            yield path, one


def _is_python(source: str) -> bool:
    try:
        ast.parse(source)
    except SyntaxError:
        return False
    return True


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


class _Finder:
    """Goes through one source."""

    def __init__(self, source: str, names: Mapping[str, Sequence[str]]) -> None:
        self._tree = ast.parse(source)
        self._names = names
        self._function: ast.FunctionDef | ast.AsyncFunctionDef | None = None
        self._data = source.encode()
        self._lines = source.splitlines()
        self._starts = [0]
        for line in self._data.splitlines(keepends=True):
            self._starts.append(self._starts[-1] + len(line))

    def find(self) -> Iterator[Breakage]:
        yield from self._body(self._tree.body, inside=False)

    # --- edits ---

    def _start(self, node: ast.expr | ast.stmt | ast.pattern | ast.keyword) -> int:
        return self._starts[node.lineno - 1] + node.col_offset

    def _end(self, node: ast.expr | ast.stmt | ast.pattern | ast.keyword) -> int:
        return self._starts[(node.end_lineno or 0) - 1] + (node.end_col_offset or 0)

    def _edit(self, kind: str, start: int, end: int, replacement: str) -> Iterator[Breakage]:
        line = bisect_right(self._starts, start)
        yield Breakage(kind, line, self._lines[line - 1].strip(), start, end, replacement)

    def _replace(
        self, kind: str, node: ast.expr | ast.stmt | ast.pattern, by: ast.AST | str
    ) -> Iterator[Breakage]:
        text = by if isinstance(by, str) else ast.unparse(by)
        if isinstance(by, ast.BoolOp | ast.Compare | ast.UnaryOp | ast.IfExp | ast.NamedExpr):
            before = self._data[: self._start(node)].rstrip()
            is_whole = re.search(rb"(^|\s)(if|elif|while|return|=)$", before)
            text = text if is_whole else f"({text})"
        yield from self._edit(kind, self._start(node), self._end(node), text)

    def _remove(
        self, kind: str, node: ast.expr | ast.keyword, until: ast.expr | None = None
    ) -> Iterator[Breakage]:
        """Remove an item of a list together with its comma."""
        start, end = self._start(node), self._end(until or node)
        after = re.match(rb"\s*,[ \t]*", self._data[end:])
        before = re.search(rb",\s*$", self._data[:start])
        if after is not None:
            end += after.end()
        elif before is not None:
            start = before.start()
        yield from self._edit(kind, start, end, "")

    # --- statements ---

    def _body(self, body: Sequence[ast.stmt], *, inside: bool) -> Iterator[Breakage]:
        for node in body:
            yield from self._statement(node, inside=inside)

    def _statement(  # noqa: C901 - one case for each statement
        self, node: ast.stmt, *, inside: bool
    ) -> Iterator[Breakage]:
        match node:
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
                if name != "__repr__":
                    for default in [*node.args.defaults, *node.args.kw_defaults]:
                        yield from self._expression(default)
                    around, self._function = self._function, node
                    yield from self._body(node.body, inside=True)
                    self._function = around
            case ast.ClassDef():
                if not any("Protocol" in ast.unparse(base) for base in node.bases):
                    enum = any("Enum" in ast.unparse(base) for base in node.bases)
                    body = [one for one in node.body if isinstance(one, _FUNCTIONS) or not enum]
                    yield from self._body(body, inside=False)
            case ast.Expr(value=value):
                if _is_log(value) or isinstance(value, ast.Constant):
                    return
                if inside and isinstance(value, ast.Call | ast.Await):
                    yield from self._replace("statement dropped", node, "pass")
                yield from self._expression(value)
            case ast.Assign(value=value):
                if inside and self._matters(node):
                    yield from self._replace("statement dropped", node, "pass")
                if not inside:
                    yield from self._setting(node.targets[0], value)
                yield from self._expression(value, table=not inside)
            case ast.AnnAssign(target=target, value=ast.expr() as value):
                if not inside:
                    yield from self._setting(target, value)
                yield from self._expression(value, table=not inside)
            case ast.AugAssign(op=op, value=value):
                yield from self._replace("statement dropped", node, "pass")
                if isinstance(op, ast.Add | ast.Sub):
                    other = deepcopy(node)
                    other.op = ast.Sub() if isinstance(op, ast.Add) else ast.Add()
                    yield from self._replace("arithmetic", node, other)
                yield from self._expression(value)
            case ast.Return(value=value):
                if value is None:
                    yield from self._replace("statement dropped", node, "pass")
                elif not isinstance(value, ast.Constant) or value.value is not None:
                    yield from self._replace("return value dropped", node, "return None")
                    yield from self._expression(value)
            case ast.Raise():
                yield from self._replace("statement dropped", node, "pass")
            case ast.Break() | ast.Continue() | ast.Delete():
                yield from self._replace("statement dropped", node, "pass")
            case ast.If(test=test):
                if not all(_is_log_statement(one) for one in node.body) or node.orelse:
                    yield from self._condition(test)
                yield from self._body(node.body, inside=inside)
                yield from self._body(node.orelse, inside=inside)
            case ast.While(test=test):
                if not isinstance(test, ast.Constant):
                    yield from self._replace("loop emptied", test, "False")
                    yield from self._edit(
                        "loop lived once", self._start(node), self._start(node) + 5, "if"
                    )
                    yield from self._condition(test, whole=False)
                yield from self._body(node.body, inside=inside)
            case ast.For(iter=iterated) | ast.AsyncFor(iter=iterated):
                yield from self._replace("loop emptied", iterated, "()")
                yield from self._expression(iterated)
                yield from self._body(node.body, inside=inside)
            case ast.With() | ast.AsyncWith():
                for item in node.items:
                    yield from self._expression(item.context_expr)
                yield from self._body(node.body, inside=inside)
            case ast.Try() | ast.TryStar():
                for handler in node.handlers:
                    yield from self._elements("exception not caught", handler.type)
                    if not all(_is_log_statement(one) for one in handler.body):
                        yield from self._body(handler.body, inside=inside)
                for body in (node.body, node.orelse, node.finalbody):
                    yield from self._body(body, inside=inside)
            case ast.Match(cases=cases):
                for case in cases:
                    yield from self._case(case, only=len(cases) == 1)

    def _matters(self, node: ast.Assign) -> bool:
        """Say whether an assignment changes what was there; without others, names are missing."""
        if isinstance(node.value, ast.Lambda):
            return False
        targets = [part for target in node.targets for part in ast.walk(target)]
        if any(isinstance(one, ast.Attribute | ast.Subscript) for one in targets):
            return self._function is not None and self._function.name != "__init__"
        names = {one.id for one in targets if isinstance(one, ast.Name)}
        return self._function is not None and names <= set(_bound_before(self._function, node))

    def _setting(self, target: ast.expr, value: ast.expr) -> Iterator[Breakage]:
        """A constant of a module or class whose exact value is a matter of taste."""
        if isinstance(value, ast.Constant) and type(value.value) in (int, float):
            yield from self._replace("limit of nothing", value, "0")
            yield from self._replace("limit far away", value, f"{ast.unparse(value)} * 1000")

    def _case(self, case: ast.match_case, *, only: bool) -> Iterator[Breakage]:
        if not only:
            start = self._starts[case.pattern.lineno - 1]
            end = self._starts[case.body[-1].end_lineno or 0]
            yield from self._edit("case removed", start, end, "")
        if case.guard is not None:
            yield from self._condition(case.guard)
        yield from self._pattern(case.pattern)
        yield from self._body(case.body, inside=True)

    def _pattern(self, pattern: ast.pattern) -> Iterator[Breakage]:
        match pattern:
            case ast.MatchValue(value=value):
                yield from self._expression(value)
            case ast.MatchOr(patterns=patterns):
                for number, one in enumerate(patterns):
                    rest = [*patterns[:number], *patterns[number + 1 :]]
                    left = rest[0] if len(rest) == 1 else ast.MatchOr(rest)
                    yield from self._replace("alternative removed", pattern, left)
                    yield from self._pattern(one)
            case ast.MatchClass(patterns=patterns, kwd_patterns=named):
                for one in named:
                    yield from self._replace("pattern widened", one, "_")
                for one in [*patterns, *named]:
                    yield from self._pattern(one)

    # --- expressions ---

    def _condition(self, test: ast.expr, *, whole: bool = True) -> Iterator[Breakage]:
        if whole:
            yield from self._replace("condition negated", test, _negated(test))
        yield from self._expression(test, negate=not whole)

    def _expression(  # noqa: C901 - one case for each expression
        self, node: ast.expr | None, *, table: bool = False, negate: bool = True
    ) -> Iterator[Breakage]:
        match node:
            case None | ast.JoinedStr():  # what is in an f-string stands nowhere in 3.11
                return
            case ast.Compare():
                yield from self._comparison(node, negate=negate)
            case ast.BoolOp(op=op, values=values):
                other = deepcopy(node)
                other.op = ast.Or() if isinstance(op, ast.And) else ast.And()
                yield from self._replace("and, or", node, other)
                for number in range(len(values)):
                    rest = [*values[:number], *values[number + 1 :]]
                    left = rest[0] if len(rest) == 1 else ast.BoolOp(op, rest)
                    yield from self._replace("condition left out", node, left)
            case ast.UnaryOp(op=ast.Not(), operand=operand):
                if negate:
                    yield from self._replace("condition negated", node, operand)
            case ast.IfExp(test=test):
                yield from self._condition(test)
            case ast.Constant(value=bool(value)):
                yield from self._replace("true, false", node, str(not value))
            case ast.Attribute(value=ast.Name(id=name), attr=attr) if attr in self._names.get(
                name, ()
            ):
                for member in self._names[name]:
                    if member != attr:
                        yield from self._replace("other member", node, f"{name}.{member}")
                return
            case ast.Attribute(value=value, attr="bare"):
                yield from self._replace("resource kept", node, value)
            case ast.Call():
                if _is_log(node) or "attrs." in ast.unparse(node.func):
                    return
                yield from self._call(node)
            case ast.BinOp(op=ast.Add() | ast.Sub()):
                if not any(_is_literal_text(one) for one in (node.left, node.right)):
                    turned = deepcopy(node)
                    turned.op = ast.Sub() if isinstance(node.op, ast.Add) else ast.Add()
                    yield from self._replace("arithmetic", node, turned)
                    yield from self._one_more(node.left, node.right)
            case ast.Subscript(slice=index):
                yield from self._one_more(index)
            case ast.Slice(lower=lower, upper=upper):
                yield from self._one_more(lower, upper)
            case ast.Dict() if table:
                yield from self._entries(node)
            case ast.Tuple() | ast.Set() | ast.List() if table:
                yield from self._elements("entry removed", node)
            case ast.ListComp() | ast.SetComp() | ast.DictComp() | ast.GeneratorExp():
                for generator in node.generators:
                    yield from self._replace("loop emptied", generator.iter, "()")
                    for test in generator.ifs:
                        yield from self._condition(test)
            case ast.Lambda(body=body):
                yield from self._expression(body)
                return
        yield from self._below(node, table=table and isinstance(node, ast.Call | ast.BinOp))

    def _below(self, node: ast.expr, *, table: bool) -> Iterator[Breakage]:
        tests: list[ast.expr] = []
        if isinstance(node, ast.IfExp):
            tests = [node.test]
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.expr) and child not in tests:
                yield from self._expression(child, table=table)
            elif isinstance(child, ast.keyword) and child.arg not in _STYLE:
                yield from self._expression(child.value, table=table)
            elif isinstance(child, ast.comprehension):
                yield from self._expression(child.iter)

    def _comparison(self, node: ast.Compare, *, negate: bool) -> Iterator[Breakage]:
        for number, op in enumerate(node.ops):
            if negate or len(node.ops) > 1:
                yield from self._replace(
                    "wrong comparison", node, _with_op(node, number, _OPPOSITE)
                )
            # To the moment, or to the last of very many, it is a matter of taste.
            text = ast.unparse(node)
            if type(op) in _ONE_MORE and not (_TIME.search(text) or _BOUND.search(text)):
                yield from self._replace("off by one", node, _with_op(node, number, _ONE_MORE))
        if isinstance(node.ops[0], ast.In | ast.NotIn):
            yield from self._elements("entry removed", node.comparators[0])

    def _call(self, node: ast.Call) -> Iterator[Breakage]:
        match node.func:
            case ast.Name(id=name) if name in _OTHER_CALL:
                yield from self._replace("wrong function", node.func, _OTHER_CALL[name])
            case ast.Name(id="reversed" | "sorted") if node.args:
                yield from self._replace("order lost", node, node.args[0])
            case ast.Attribute(value=value, attr=attr) if attr in _OTHER_END:
                by = ast.Attribute(value, _OTHER_END[attr])
                yield from self._replace("wrong end", node.func, by)
            case ast.Attribute(attr=attr) if attr in _DEADLINES and node.args:
                yield from self._replace("no deadline", node.args[0], 'float("inf")')
            case ast.Name(id="frozenset") if node.args:
                yield from self._elements("entry removed", node.args[0])
        if _names_xml(node.func) and node.args and _is_literal_text(node.args[0]):
            yield from self._replace("misspelt", node.args[0], '"misspelt"')
        for keyword in node.keywords:
            if keyword.arg is not None and keyword.arg not in _STYLE:
                yield from self._remove("argument left out", keyword)
        named = {one.arg: one.value for one in node.keywords}
        if "from_" in named and "to" in named:
            swapped = deepcopy(node)
            for one in swapped.keywords:
                if one.arg in ("from_", "to"):
                    one.value = named["to" if one.arg == "from_" else "from_"]
            yield from self._replace("sender and addressee swapped", node, swapped)

    def _one_more(self, *numbers: ast.expr | None) -> Iterator[Breakage]:
        for one in numbers:
            if isinstance(one, ast.Constant) and type(one.value) is int and one.value <= 2:
                yield from self._replace("off by one", one, str(one.value + 1))

    def _entries(self, node: ast.Dict) -> Iterator[Breakage]:
        for key, value in zip(node.keys, node.values, strict=True):
            if key is not None:
                yield from self._remove("entry removed", key, value)
                if _is_literal_text(key):
                    yield from self._replace("misspelt", key, '"misspelt"')
            if _is_literal_text(value):
                yield from self._replace("misspelt", value, '"misspelt"')

    def _elements(self, kind: str, node: ast.expr | None) -> Iterator[Breakage]:
        if not isinstance(node, ast.Tuple | ast.Set | ast.List) or len(node.elts) < 2:
            return
        for number, one in enumerate(node.elts):
            if node.lineno == node.end_lineno:
                left = deepcopy(node)
                del left.elts[number]
                yield from self._replace(kind, node, left)
            else:
                yield from self._remove(kind, one)


_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)


def _negated(test: ast.expr) -> ast.expr:
    match test:
        case ast.UnaryOp(op=ast.Not(), operand=operand):
            return operand
        case ast.Compare(ops=[_]):
            return _with_op(test, 0, _OPPOSITE)
    return ast.UnaryOp(ast.Not(), test)


def _with_op(
    node: ast.Compare, number: int, ops: Mapping[type[ast.cmpop], type[ast.cmpop]]
) -> ast.Compare:
    other = deepcopy(node)
    other.ops[number] = ops[type(node.ops[number])]()
    return other


def _bound_before(
    function: ast.FunctionDef | ast.AsyncFunctionDef, node: ast.stmt
) -> Iterator[str]:
    """Yield the names that have a value when `node` is reached, as far as its lines tell."""
    yield from (one.arg for one in ast.walk(function.args) if isinstance(one, ast.arg))
    for one in ast.walk(function):
        if (
            isinstance(one, ast.Name)
            and isinstance(one.ctx, ast.Store)
            and (one.lineno < node.lineno)
        ):
            yield one.id


def _is_log(node: ast.expr) -> bool:
    return isinstance(node, ast.Call) and ast.unparse(node.func).startswith("log.")


def _is_log_statement(node: ast.stmt) -> bool:
    return isinstance(node, ast.Expr) and _is_log(node.value)


def _is_literal_text(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, str) and bool(node.value)


def _names_xml(function: ast.expr) -> bool:
    """Say whether the first argument of this function is the name of an element or attribute."""
    match function:
        case ast.Name(id="Element" | "_element") | ast.Attribute(attr="child"):
            return True
        case ast.Attribute(value=ast.Attribute(attr="attributes"), attr="get"):
            return True
    return False
