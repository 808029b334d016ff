"""Where the gateway's time goes, by part: the stacks that `sampler.py` wrote, folded."""

import re
from collections import Counter
from collections.abc import Iterable, Mapping

from scripts.measure.figures import number
from scripts.measure.sampler import COLLECTOR, OTHER_THREADS

REST = "Python, other"
# A sample belongs to the first frame, from the innermost on, that a pattern matches: what a library
# does for a part that has no pattern of its own (logging, contextlib) is the part's. The path of a
# frame is matched at its beginning.
PARTS: tuple[tuple[str, str], ...] = (
    ("sockets", r"trio/_(socket|highlevel_socket|highlevel_generic)\.py|socket\.py"),
    ("sockets: epoll", r"trio/_core/_io_"),
    ("Trio", r"(trio|outcome|sortedcontainers|sniffio)/"),
    ("codec: WebSocket", r"(wsproto|trio_websocket)/"),
    ("codec: JSON, cattrs", r"json/|cattrs/|<cattrs"),
    ("codec: wire", r"gateway/networks/\w+/wire"),
    ("driver: protocol", r"gateway/networks/\w+/protocol"),
    ("driver", r"gateway/networks/"),
    ("XML", r"gateway/xmpp/(stream|xml)\.py"),
    ("stanzas and JIDs", r"gateway/xmpp/(stanza|jid|stored)\.py"),
    ("link: writer, reader, acks", r"gateway/xmpp/"),
    ("feature", r"gateway/bridge/(features/|translate)"),
    ("journal and store", r"gateway/(store/|bridge/(journal|deliveries|delivery))|sqlalchemy/"),
    ("routing", r"gateway/bridge/(router|inbox|component|domain|addresses|privileges)"),
    ("session", r"gateway/bridge/"),
    ("gateway, other", r"gateway/"),
)
_PARTS = tuple((name, re.compile(pattern)) for name, pattern in PARTS)


def part_of(frames: Iterable[str]) -> str:
    """Return the part that a stack belongs to; its frames come outermost first."""
    for frame in reversed(list(frames)):
        for name, pattern in _PARTS:
            if pattern.match(frame):
                return name
    return REST


def fold(lines: Iterable[str]) -> Counter[str]:
    """Return the microseconds of each part of a file of stacks."""
    found: Counter[str] = Counter()
    for line in lines:
        stack, _, weight = line.rstrip("\n").rpartition(" ")
        if not stack:
            continue
        beside = stack in {OTHER_THREADS, COLLECTOR}
        found[stack.strip("()") if beside else part_of(stack.split(";"))] += int(weight)
    return found


def parts_table(folded: Mapping[str, Counter[str]], costs: Mapping[str, float], unit: str) -> str:
    """Return a table of what each part costs, by subject; all parts of one add up to its cost."""
    shared = {
        subject: {
            part: costs[subject] * weight / (each.total() or 1) for part, weight in each.items()
        }
        for subject, each in folded.items()
    }
    parts = {part for each in shared.values() for part in each}

    def most(part: str) -> float:
        return max(each.get(part, 0.0) for each in shared.values())

    lines = [f"| {unit} | {' | '.join(shared)} |", f"|---|{'---:|' * len(shared)}"]
    for part in sorted(parts, key=most, reverse=True):
        cells = (number(each.get(part)) for each in shared.values())
        lines.append(f"| {part} | {' | '.join(cells)} |")
    total = " | ".join(number(costs[subject]) for subject in shared)
    return "\n".join([*lines, f"| all | {total} |"]) + "\n"
