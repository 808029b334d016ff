"""Ways to break a source, each on a few lines."""

from textwrap import dedent

import pytest

from scripts.mutate_source import breakages, chosen, constants, enumerations

NAMES = {"Show": ("ONLINE", "AWAY"), "ns": ("DELAY", "IDLE")}

# kind, what stands in a function, and the lines that may come of it
BROKEN = [
    ("condition negated", "if a:\n    b", {"if not a:"}),
    ("condition negated", "if not a:\n    b", {"if a:"}),
    ("condition negated", "if a == 1:\n    b", {"if a != 1:"}),
    ("condition negated", "while a is None:\n    b", set()),
    ("wrong comparison", "while a is None:\n    b", {"while a is not None:"}),
    ("condition negated", "c = b if a else d", {"c = b if not a else d"}),
    ("condition negated", "b([one for one in a if one])", {"b([one for one in a if not one])"}),
    ("wrong comparison", "return a in b", {"return a not in b"}),
    ("off by one", "return len(a) > 1", {"return len(a) >= 1"}),
    ("off by one", "return a[0]", {"return a[1]"}),
    ("off by one", "return b >= MAX_WAITING", set()),
    ("off by one", "return now >= deadline", set()),
    ("and, or", "return a and b", {"return a or b"}),
    ("condition left out", "return a and b", {"return a", "return b"}),
    (
        "condition left out",
        "if a and (b or c):\n    d",
        {"if a:", "if b or c:", "if a and (b):", "if a and (c):"},
    ),
    ("statement dropped", "self.a = b", {"pass"}),
    ("statement dropped", "a = 1", {"pass"}),
    ("statement dropped", "unknown = 1", set()),
    ("statement dropped", "b()", {"pass"}),
    ("statement dropped", "await b()", {"pass"}),
    ("statement dropped", "raise a", {"pass"}),
    ("statement dropped", "del a[b]", {"pass"}),
    ("statement dropped", "return", {"pass"}),
    ("statement dropped", "while a:\n    break", {"pass"}),
    ("return value dropped", "return a", {"return None"}),
    ("return value dropped", "return None", set()),
    ("other member", "return Show.ONLINE", {"return Show.AWAY"}),
    ("other member", "return ns.DELAY", {"return ns.IDLE"}),
    ("other member", "match a:\n    case Show.AWAY:\n        b", {"case Show.ONLINE:"}),
    ("case removed", "match a:\n    case 1:\n        b\n    case 2:\n        c", {"case 2:", ""}),
    ("case removed", "match a:\n    case 1:\n        b", set()),
    ("alternative removed", "match a:\n    case 1 | 2:\n        b", {"case 1:", "case 2:"}),
    ("pattern widened", "match a:\n    case A(b=1):\n        b", {"case A(b=_):"}),
    ("condition negated", "match a:\n    case 1 if b:\n        b", {"case 1 if not b:"}),
    ("loop emptied", "for one in a:\n    b", {"for one in ():"}),
    ("loop emptied", "while a:\n    b", {"while False:"}),
    ("loop emptied", "while True:\n    b", set()),
    ("loop lived once", "while a:\n    b", {"if a:"}),
    ("true, false", "return True", {"return False"}),
    ("argument left out", "return b(a, c=1)", {"return b(a)"}),
    ("argument left out", "return b(c=1, d=2)", {"return b(c=1)", "return b(d=2)"}),
    ("sender and addressee swapped", "b(from_=a, to=c)", {"b(from_=c, to=a)"}),
    ("resource kept", "return a.bare", {"return a"}),
    (
        "exception not caught",
        "try:\n    b\nexcept (A, B):\n    c",
        {"except (A,):", "except (B,):"},
    ),
    (
        "no deadline",
        "with trio.move_on_after(a):\n    b",
        {'with trio.move_on_after(float("inf")):'},
    ),
    ("wrong function", "return min(a, b)", {"return max(a, b)"}),
    ("wrong end", "a.appendleft(b)", {"a.append(b)"}),
    ("order lost", "return reversed(a)", {"return a"}),
    ("arithmetic", "return a + b", {"return a - b"}),
    ("arithmetic", "a -= b", {"a += b"}),
    ("misspelt", 'return Element("idle", ns.IDLE)', {'return Element("misspelt", ns.IDLE)'}),
    ("entry removed", "return a in (1, 2)", {"return a in (1,)", "return a in (2,)"}),
]


def changed(kind: str, source: str) -> set[str]:
    """Return what the first changed line becomes, for each breakage of one kind."""
    before = source.splitlines()
    found = set()
    for one in breakages(source, NAMES):
        if one.kind == kind:
            after = one.apply(source).splitlines()
            after += [""] * (len(before) - len(after))
            found.add(next(b.strip() for a, b in zip(before, after, strict=True) if a != b))
    return found


@pytest.mark.parametrize(("kind", "body", "wanted"), BROKEN)
def test_each_kind_of_breakage(kind: str, body: str, wanted: set[str]) -> None:
    lines = "".join(f"    {line}\n" for line in body.splitlines())
    assert changed(kind, f"async def f(self, a, b, c, d):\n{lines}") == wanted


@pytest.mark.parametrize(
    ("kind", "source", "wanted"),
    [
        ("limit of nothing", "MAX = 50\n", {"MAX = 0"}),
        ("limit far away", "MAX = 50\n", {"MAX = 50 * 1000"}),
        ("entry removed", "A = {1: b, 2: c}\n", {"A = {1: b}", "A = {2: c}"}),
        ("entry removed", "A = (\n    b,\n    c,\n)\n", {""}),
        ("misspelt", 'A = {"b": 1}\n', {'A = {"misspelt": 1}'}),
        ("true, false", "class A:\n    b: bool = False\n", {"b: bool = True"}),
    ],
)
def test_what_stands_outside_of_functions(kind: str, source: str, wanted: set[str]) -> None:
    assert changed(kind, source) == wanted


def test_what_nobody_would_call_a_bug_is_left_alone() -> None:
    source = '''
        """A docstring: True."""

        import a
        from b import c

        log = logging.getLogger(__name__)

        class Colour(Enum):
            RED = "red"

        class Life(Protocol):
            async def live(self) -> None:
                """Live."""

        class A:
            secret: str = attrs.field(repr=False)
            b: Literal[True]

            def __init__(self) -> None:
                self.b = None

            def __repr__(self) -> str:
                return "A" if self.b else ""

        def f(a: Literal[True]) -> Literal[False]:
            """Return nothing."""
            assert a is not None
            if log.isEnabledFor(DEBUG):
                log.info("%s", a + b, extra=not a)
    '''
    assert [one for one in breakages(dedent(source), NAMES) if one.line != 7] == []


def test_a_breakage_is_shown_as_a_small_diff() -> None:
    source = "def f():\n    a()\n    if b:\n        c()\n"
    [one] = [one for one in breakages(source, NAMES) if one.kind == "condition negated"]
    assert one.diff(source) == "     a()\n-    if b:\n+    if not b:\n         c()"
    assert (one.line, one.text) == (3, "if b:")


def test_enumerations_and_constants_are_read_from_the_sources() -> None:
    source = 'class Show(StrEnum):\n    """How."""\n\n    ONLINE = "online"\n    AWAY = "away"\n'
    assert enumerations([source, "class Other:\n    A = 1\n"]) == {"Show": ("ONLINE", "AWAY")}
    assert constants('A = "a"\nB = "b"\n') == ("A", "B")


SOURCES = {
    "one.py": "def f():\n" + "".join(f"    if a{number}:\n        b\n" for number in range(20)),
    "two.py": "def f():\n" + "".join(f"    return a{number} and c\n" for number in range(20)),
}


def draw(sources: dict[str, str], seed: int) -> list[tuple[str, str]]:
    found = [(path, one.text) for path, one in chosen(sources, NAMES, seed, lambda one: False)]
    return found[:10]


def test_a_seed_chooses_the_same_places_each_time_and_another_seed_others() -> None:
    assert draw(SOURCES, 1) == draw(dict(SOURCES), 1)
    assert draw(SOURCES, 1) != draw(SOURCES, 2)
    assert len(set(draw(SOURCES, 1))) == 10


def test_the_places_of_a_seed_stay_when_others_come_and_go() -> None:
    before = draw(SOURCES, 1)
    shorter = SOURCES | {"one.py": SOURCES["one.py"].replace("    if a3:\n        b\n", "# so\n")}
    assert [one for one in before if one != ("one.py", "if a3:")] == [
        one for one in draw(shorter, 1) if one in before
    ]


def test_each_line_is_broken_once_and_what_is_no_python_never() -> None:
    source = "def f():\n    return a and b or c\n"
    drawn = [one for _, one in chosen({"a.py": source}, NAMES, 1, lambda one: False)]
    assert [one.line for one in drawn] == [2]
    for path, one in chosen(SOURCES, NAMES, 3, lambda one: False):
        compile(one.apply(SOURCES[path]), path, "exec")


def test_what_is_ignored_is_not_chosen() -> None:
    drawn = chosen(SOURCES, NAMES, 1, lambda one: one.text == "if a3:")
    texts = [one.text for _, one in drawn]
    assert "if a3:" not in texts
    assert "if a4:" in texts
