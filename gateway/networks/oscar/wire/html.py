"""AIM's HTML and plain text, either way.

What AIM clients send is a fragment of the HTML of 1997, tags left open and all. No tree is made of
it: a text is wanted, in one pass whose cost grows with its length alone.
"""

import html
import re
from collections.abc import Iterator

_ATTRIBUTE = re.compile(
    r"""([a-z]++)\s*+=\s*+(?:"([^"]*+)"|'([^']*+)'|([^\s>"']++))""", re.IGNORECASE
)
_BREAKS = re.compile(r"<(?:br|p)\b", re.IGNORECASE)
_LINE_ENDS = re.compile(r"\r\n|\r|\n")
_SPACES = re.compile(r"  +")
_HUGE_NUMBER = re.compile(r"&#x?[0-9a-f]{9,}+;?", re.IGNORECASE)  # no character, and slow to read
_TAG_STARTS = re.compile(r"<(?=[a-z/!])", re.IGNORECASE)

_WRAPPED = re.compile(r"\s*<html[\s>]", re.IGNORECASE)
_BLANKS = re.compile("&(?:nbsp|#160|#[xX][aA]0);?")
_HIDDEN = frozenset({"style", "script", "head", "title"})
_LINES = frozenset({"p", "div", "hr", "tr", "li", "blockquote", "h1", "h2", "h3"})


def looks_like_html(text: str) -> bool:
    """Say whether a text that need not be HTML is: clients of ICQ that send it wrap all of it."""
    return _WRAPPED.match(text) is not None and text.rstrip()[-7:].lower() == "</html>"


def from_html(text: str) -> str:
    """Return what a person reads in this HTML."""
    return _Reading(text).text()


def to_html(text: str) -> str:
    """Write a plain text as HTML, line by line and space by space."""
    escaped = html.escape(text).replace("&#x27;", "'")
    escaped = _SPACES.sub(_alternating, escaped)
    return f"<HTML><BODY>{_LINE_ENDS.sub('<BR>', escaped)}</BODY></HTML>"


def _alternating(run: re.Match[str]) -> str:
    """Write several spaces so that none is lost."""
    return " &nbsp;" * (len(run[0]) // 2) + " " * (len(run[0]) % 2)


class _Reading:
    def __init__(self, source: str) -> None:
        self._source = source
        self._collapses = _BREAKS.search(source) is not None
        self._out: list[str] = []
        self._hidden = ""  # the tag whose content is not shown
        self._link = ""
        self._link_start = 0

    def text(self) -> str:
        at = 0
        for start, end in _tags(self._source):
            self._say(self._source[at:start])
            at = end
            self._tag(self._source[start + 1 : end - 1])
        self._say(self._source[at:])
        self._end_link()
        return "".join(self._out).rstrip("\n")

    def _say(self, raw: str) -> None:
        if self._hidden or not raw:
            return
        if self._collapses:  # as a browser does: line ends are blanks, and none at a line's start
            at_start = not self._out or self._out[-1].endswith("\n")
            raw = _LINE_ENDS.sub(" ", raw.lstrip("\r\n") if at_start else raw)
        else:
            raw = _LINE_ENDS.sub("\n", raw)
        self._out.append(_unescaped(_BLANKS.sub(" ", raw)))

    def _tag(self, inside: str) -> None:
        closing = inside.startswith("/")
        name, _, rest = inside.removeprefix("/").replace("\n", " ").partition(" ")
        name = name.rstrip("/").lower()
        if self._hidden:
            if closing and name == self._hidden:
                self._hidden = ""
        elif name in _HIDDEN:
            self._hidden = "" if closing else name
        elif name == "br" or (name in _LINES and (closing or name == "hr")):
            self._out.append("\n")
        elif name == "a":
            self._end_link()
            if not closing:
                self._link = _attributes(rest).get("href", "")
                self._link_start = len(self._out)
        elif name == "img" and not closing:
            self._out.append(_attributes(rest).get("alt", ""))

    def _end_link(self) -> None:
        """Add where a link leads, unless its text says so."""
        if not self._link:
            return
        said = "".join(self._out[self._link_start :]).strip()
        if not said:
            self._out.append(self._link)
        elif _bare(said) != _bare(self._link):
            self._out.append(f" ({self._link})")
        self._link = ""


def _tags(source: str) -> Iterator[tuple[int, int]]:
    """Yield where each tag and comment starts and ends; what never ends is none."""
    at = 0
    while (opening := _TAG_STARTS.search(source, at)) is not None:
        start = opening.start()
        end = -1
        if source.startswith("<!--", start):
            end = source.find("-->", start + 4) + 2
            end = end if end > 1 else len(source) - 1
        else:
            end = source.find(">", start)
        if end < 0:
            return
        at = end + 1
        yield start, at


def _attributes(text: str) -> dict[str, str]:
    return {
        found[1].lower(): _unescaped(found[2] or found[3] or found[4] or "")
        for found in _ATTRIBUTE.finditer(text)
    }


def _unescaped(text: str) -> str:
    return html.unescape(_HUGE_NUMBER.sub("\N{REPLACEMENT CHARACTER}", text))


def _bare(url: str) -> str:
    """Return a link's address without what people leave out."""
    return re.sub(r"^(?:[a-z]+://|mailto:)", "", url.strip().lower()).rstrip("/")
