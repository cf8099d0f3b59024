"""Texts of digits that are no numbers: addresses, versions, telephone numbers; and lengths of time and times of day.

Here: whether the texts of a column are such. Not here: numbers (`text_numbers`) and moments (`text_times`), codes that
look like one decimal (`onboarding.odd.merged_codes`).
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Literal

_DOTS = re.compile(r"v?\d+(?:\.\d+)*", re.ASCII | re.IGNORECASE)
_SEVERAL = re.compile(r"\d+(?:\.\d+){2,}", re.ASCII)
"""Two points or more: a version, an address, or thousands."""
_THOUSANDS = re.compile(r"[1-9]\d{0,2}(?:\.\d{3}){2,}", re.ASCII)
_ADDRESS = re.compile(r"(?:(?:25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)(?:\.|$)){4}", re.ASCII)
_CALLED = re.compile(r"\+\d[\d\s./()-]{6,}", re.ASCII)
"""A telephone number of another country, with something between its digits or ten of them and more."""
_DIGITS = re.compile(r"\+\d{1,9}", re.ASCII)
"""An amount with its sign."""
_TRIPLES = re.compile(r"\d{3}([ .\u00a0\u202f])\d{3}(?:\1\d{3}){1,2}", re.ASCII)
_FEW = 3

CodeKind = Literal["code", "triples"]


def code_kind(texts: Collection[str]) -> CodeKind | None:
    """What the different texts of a column are: codes, or groups of three digits of one length; None for neither.

    192.168.100.101 and 1.20.100 have points where thousands have them, and +49 170 123 456 has blanks there. Addresses
    are all addresses; a column of versions may hold 1.2 beside 1.2.10. Groups of three digits, 612 345 678, are
    telephone numbers where all are of one length, or amounts of which each is over a hundred million.
    """
    texts = [text.strip() for text in texts]
    if not texts:
        return None
    if all(_ADDRESS.fullmatch(text) for text in texts) or all(_is_called(text) for text in texts):
        return "code"
    several = [text for text in texts if _SEVERAL.fullmatch(text.lstrip("vV"))]
    apart = [text for text in several if not _THOUSANDS.fullmatch(text)]
    if apart and 2 * len(apart) >= len(several) and all(_DOTS.fullmatch(text) for text in texts):
        return "code"
    is_one_length = len(texts) >= _FEW and len({len(text) for text in texts}) == 1
    return "triples" if is_one_length and all(_TRIPLES.fullmatch(text) for text in texts) else None


def _is_called(text: str) -> bool:
    return _CALLED.fullmatch(text) is not None and _DIGITS.fullmatch(text) is None


_WORDS = r"(?:h|hrs?|hours?|min|mins|minutes?|sec|secs|seconds?|days?)"
CLOCK = r"-?\d{1,4}:[0-5]\d(?::[0-5]\d(?:[.,]\d+)?)?(?:\s*[AaPp]\.?[Mm]\.?)?"
"""A time of day, or hours and minutes, or minutes and seconds: nobody can tell."""
LENGTH = (
    r"-?P(?=T?\d)(?:\d+[YMWD])*(?:T(?:\d+(?:[.,]\d+)?[HMS])+)?|"
    r"-?\d+ days?,? [+-]?\d{1,2}:[0-5]\d(?::[0-5]\d(?:\.\d+)?)?|"
    rf"(?:\d+(?:[.,]\d+)?\s*{_WORDS}[\s,]*)+|(?:\d+\s*h\s*)?(?:\d+\s*m\s*)(?:\d+\s*s)?"
)
"""A length of time with its units."""
_TIME = re.compile(rf"(?:{CLOCK})|(?P<length>{LENGTH})", re.ASCII | re.IGNORECASE)


@dataclass(frozen=True)
class Clocks:
    """What texts say about time of day.

    Attributes:
        count: texts looked at.
        clocks: how many are times of day, or lengths that look so.
        lengths: how many are lengths of time with their units.
    """

    count: int
    clocks: int
    lengths: int

    @property
    def most(self) -> int:
        """Texts of the more frequent kind."""
        return max(self.clocks, self.lengths)


def clocks_among(texts: Iterable[str]) -> Clocks:
    """How many texts are times of day (04:05, 9:30 PM), and how many lengths of time (PT5M, 1h 30m, 90 min)."""
    matches = [_TIME.fullmatch(text.strip()) for text in texts]
    lengths = sum(1 for match in matches if match is not None and match["length"])
    return Clocks(len(matches), sum(1 for match in matches if match is not None) - lengths, lengths)
