"""Text of data as it may stand before a person: on a terminal, in a sentence, in a cell of a Markdown table.

Here: what a terminal or Markdown would act upon, written so that it is only read. Not here: HTML, which templates
escape (`pages.rendering`), JSON inside a page (`pages.rendering.inline_json`).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

_ACTS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
"""Control characters but tab and newline; marks that turn the direction of what follows; halves of a pair."""
_MARKDOWN = re.compile(r"([\\`\[])")
_LINK = re.compile(r"\](?=\((?!data:image/))")
ROOM = 42
"""Characters beside each other that fit into a page of 1,400 pixels."""
BREAK = "\u200b"
"""Where a line may break, and nothing is seen otherwise."""
_LONG = re.compile(rf"\S{{{ROOM + 1},}}")
_JOINTS = re.compile(r"(?<=[_/.,=:;&?|])(?=\w)")
_TYPED = re.compile(r"(`[^`]*`|!?\[[^\]]*\]\([^)]*\)|--home \S+|\bhttps?://\S+)")
_MOST = 60
"""Characters of a name that a sentence quotes."""


def harmless(text: str) -> str:
    """A text without what a terminal acts upon; each such character as its escape."""
    return _ACTS.sub(lambda match: match[0].encode("unicode_escape", "surrogatepass").decode("ascii"), text)


def harmless_json(text: str) -> str:
    """JSON without what a terminal acts upon; the same values are read from it."""
    return _ACTS.sub(lambda match: f"\\u{ord(match[0]):04x}", text)


def shown(text: str) -> str:
    """A name or cell of data inside a sentence: one line, its beginning where it is long."""
    line = harmless(text.replace("\n", "\\n").replace("\t", "\\t"))
    return line if len(line) <= _MOST else f"{line[:_MOST]}..."


def row_numbers(places: Sequence[int], most: int = 1) -> str:
    """Rows in a sentence. Everywhere they are counted from 1, and the header is none: row 5 is line 6 of most files.

    Args:
        places: of the rows, counted from 0.
        most: how many are shown.
    """
    rows = ", ".join(f"{place + 1:,}" for place in places[:most]) + (", ..." if len(places) > most else "")
    return f"row{'s' if len(places) > 1 else ''} {rows}"


def breakable(text: str) -> str:
    """A sentence for a page that breaks lines between words alone: a longer word than `ROOM` may break within.

    A word that does not break widens a table, and pushes what stands beside it off the page. What is to be typed, in
    backticks or a path after `--home`, is left: a break that nobody sees would be typed with it.
    """
    parts = _TYPED.split(text)
    return "".join(part if place % 2 else _LONG.sub(_broken, part) for place, part in enumerate(parts))


def _broken(word: re.Match[str]) -> str:
    pieces = (re.findall(rf".{{1,{ROOM}}}", piece) for piece in _JOINTS.split(word[0]))
    return BREAK.join(piece for some in pieces for piece in some)


def some(texts: Sequence[str], most: int, *, between: str = ", ") -> str:
    """The first of some texts, and how many there are beside them: `a, b and 3 more`.

    What ends in a full stop loses it, so that the sentence around it has the only one.

    Args:
        texts: names, or whole sentences.
        most: how many are shown.
        between: what stands between two.
    """
    head = between.join(text[:-1] if text.endswith(".") and not text.endswith("..") else text for text in texts[:most])
    rest = len(texts) - most
    return f"{head}{between.rstrip(', ')} and {rest:,} more" if rest > 0 else head


def sentences(texts: Iterable[str]) -> str:
    """Some sentences one after the other, each with a full stop; empty ones are left out."""
    return " ".join(text if text.endswith((".", "!", "?")) else f"{text}." for text in texts if text)


def inert_markdown(text: str) -> str:
    """Markdown of ours that quotes values of the data, without HTML and without links; pictures of ours stay."""
    return _LINK.sub(r"\\]", harmless(text).replace("<", "&lt;"))


def markdown_text(text: str) -> str:
    """A sentence as one paragraph of Markdown, with what its values hold as it is."""
    return " ".join(_MARKDOWN.sub(r"\\\1", harmless(text)).replace("<", "&lt;").splitlines())


def markdown_cell(text: str) -> str:
    """A text as one cell of a Markdown table: no tag, code, link or further cell begins in it."""
    return markdown_text(text).replace("|", r"\|")
