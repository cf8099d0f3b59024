"""Numbers and missing values as people and programs write them: the one reader of all ways in.

Here: the words for a missing value, numbers with separators, signs of currencies and of percent, and what a column's
texts say about how they are written. Not here: times (`text_times`), whose columns they are.

A plain number needs no statement. `1,234` is a thousand and more in one country and a little over one in another, and
`12 %` is 0.12 where the day before had 12: such texts are read where a column says how it is written, and else refused.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from decimal import Decimal
from functools import cache

import pandas as pd

from mlops_assets.core.values.text_formats import NUMBER_FORMATS, NUMBERS_IN_WORDS, PLAIN, Mark, NumberFormat

_SIGN = (
    r"(?:[$€£¥₹₽₩₺₫₪฿₴₦₱₡₲₵₸]|(?:US|R|A|C)\$|kr\.?|zł|Kč|Ft|Fr\.|"
    "USD|EUR|GBP|CHF|JPY|CNY|INR|SEK|NOK|DKK|PLN|CZK|HUF|RON|CAD|AUD|NZD|BRL|MXN|ZAR|KRW|TRY|RUB|SGD|HKD)"
)
_TEXT = re.compile(
    rf"(?P<sign>[+-])?\s*(?P<before>{_SIGN})?\s*(?P<sign2>[+-])?\s*(?P<number>[\d.,'’\s]*\d[.,]?(?:[eE][+-]?\d+)?)"
    rf"(?P<behind>-)?\s*(?P<per>[%‰])?\s*(?P<after>{_SIGN})?"
)
_GROUPED = {
    "point": re.compile(
        r"(?:\d+|[1-9]\d{0,2}(?:([,'’\s])\d{2,3})(?:\1\d{2,3})*(?<=\d{3}))?(?:\.\d*)?(?:[eE][+-]?\d+)?"
    ),
    "comma": re.compile(r"(?:\d+|[1-9]\d{0,2}(?:([.'’\s])\d{2,3})(?:\1\d{2,3})*(?<=\d{3}))?(?:,\d*)?(?:[eE][+-]?\d+)?"),
}
_LONE = {"point": re.compile(r"[1-9]\d{0,2},\d{3}"), "comma": re.compile(r"[1-9]\d{0,2}\.\d{3}")}
_PER = {"%": 100, "‰": 1000}
_SHARES = {"%": "percent", "‰": "per mille"}
LEADING_ZERO = r"^\s*0[0-9]"
"""Begins a text such as 0105, which is not 105 where it names something (what has a sign is an amount); for Python,
Arrow and DuckDB alike."""


_ASCII = str.maketrans(
    {
        **dict.fromkeys("−–‒﹣－", "-"),
        **{chr(zero + digit): str(digit) for zero in (0x660, 0x6F0, 0x966, 0xFF10) for digit in range(10)},
        "٫": ".",
        "٬": ",",
        "٪": "%",
        "．": ".",
        "，": ",",
        "％": "%",
        "＋": "+",
    }
)
"""Minus signs and dashes, and the digits and marks of other scripts and of full width, as programs write them."""


@dataclass(frozen=True)
class _Parts:
    number: str
    is_negative: bool
    per: str
    sign: str


def _parts(text: str) -> _Parts | None:
    text = text.strip().translate(_ASCII)
    # As accounts write a loss, (1,234.50), and SAP any number below zero, 1,234.50-.
    in_brackets = text.startswith("(") and text.endswith(")")
    match = _TEXT.fullmatch(text[1:-1] if in_brackets else text)
    if match is None or (match["before"] and match["after"]):
        return None
    if match["behind"] and not re.search("[.,]", match["number"]):
        return None  # 5- may be a mark between 4 and 5
    signs = [sign for sign in ("()" if in_brackets else "", *match.group("sign", "sign2", "behind")) if sign]
    if len(signs) > 1:
        return None
    is_negative = signs in (["-"], ["()"])
    return _Parts(match["number"], is_negative, match["per"] or "", match["before"] or match["after"] or "")


def read_number(text: str, written: NumberFormat) -> str | None:
    """The plain number that a text tells, as `float` and `int` read it; None where it tells none.

    Args:
        text: such as `1.234,50 €`.
        written: how the column is written; percent and per mille are shares where it says so, and nowhere else.
    """
    part, (mark, _, per) = _parts(text), written.partition(" ")
    if part is None or part.per != per or not _GROUPED[mark].fullmatch(part.number):
        return None
    number = re.sub(r"['’\s]", "", part.number)
    number = number.replace(",", "") if mark == "point" else number.replace(".", "").replace(",", ".")
    number = ("-" if part.is_negative else "") + number
    return format(Decimal(number) / _PER[per], "f") if per else number


def plain_numbers(raw: pd.Series, written: NumberFormat) -> pd.Series:
    """Each text among the cells as a plain number (see `read_number`); what tells none is missing."""
    if raw.dtype != object and not pd.api.types.is_string_dtype(raw.dtype):
        return raw
    read = cache(lambda text: read_number(text, written))
    return pd.Series([read(cell) if isinstance(cell, str) else cell for cell in raw], index=raw.index, dtype=object)


# --- how a column is written -------------------------------------------------------------------------------


def lone_marks(texts: Iterable[str], written: NumberFormat) -> frozenset[str]:
    """Texts whose one mark sets thousands apart by the format, and decimals by the other: 5.123 under `comma`."""
    lone = _LONE[written.partition(" ")[0]]
    return frozenset(text for text in texts if (part := _parts(text)) is not None and lone.fullmatch(part.number))


def without_proof(texts: Collection[str]) -> frozenset[str]:
    """Texts such as 2.989, which are thousands to whoever writes decimal commas, where no other proves a point."""
    lone = lone_marks(texts, "comma")
    return frozenset() if lone and look_at(texts).point else lone


def in_doubt(texts: Collection[str], written: NumberFormat) -> frozenset[str]:
    """Texts of a column that its format reads as thousands while the others speak for decimals with the other mark.

    5.123 beside 5,124 is hardly a thousand times as much: who writes three places behind the comma may have written
    them behind a point. It is five thousand where another text sets thousands apart for sure (1.234,5 or 1.234.567).
    """
    lone = lone_marks(texts, written)
    mark, apart = (".", ",") if written.startswith("point") else (",", ".")
    if not lone:
        return lone
    numbers = [part.number for text in texts if (part := _parts(text)) is not None]
    if any(apart in number and (mark in number or number.count(apart) > 1) for number in numbers):
        return frozenset()
    has_places = any(re.search(rf"\{mark}\d{{3}}", number) for number in numbers)
    return lone if has_places else frozenset()


@dataclass(frozen=True)
class NumberTexts:
    """What the texts of a column say about how its numbers are written, each as an example; None: there is none.

    Attributes:
        count: texts looked at.
        unread: texts that are no number either way; the first few.
        failed: how many there are.
        point: one that can only have a decimal point.
        comma: one that can only have a decimal comma.
        either: one that can have both, and they differ.
        per: signs of percent and per mille.
        percent: one with such a sign.
        bare: one without.
        signs: signs of currencies.
        special: one that is no number to a program without a statement; None: all are plain.
        bracketed: one in brackets, or with a minus behind it, which is below zero.
        triples: one of many in groups of three digits, all of one length, as telephone numbers are.
    """

    count: int = 0
    unread: tuple[str, ...] = ()
    failed: int = 0
    point: str | None = None
    comma: str | None = None
    either: str | None = None
    per: frozenset[str] = frozenset()
    percent: str | None = None
    bare: str | None = None
    signs: frozenset[str] = frozenset()
    special: str | None = None
    bracketed: str | None = None
    triples: str | None = None

    def __add__(self, other: NumberTexts) -> NumberTexts:
        """Both together."""
        return NumberTexts(
            self.count + other.count,
            (*self.unread, *other.unread)[:3],
            self.failed + other.failed,
            self.point or other.point,
            self.comma or other.comma,
            self.either or other.either,
            self.per | other.per,
            self.percent or other.percent,
            self.bare or other.bare,
            self.signs | other.signs,
            self.special or other.special,
            self.bracketed or other.bracketed,
            self.triples or other.triples,
        )

    @property
    def mark(self) -> Mark | None:
        """The decimal mark that the texts prove; None where they prove none, or both."""
        return None if bool(self.point) == bool(self.comma) else "point" if self.point else "comma"

    def format(self, mark: Mark) -> NumberFormat:
        """How the column is written, given the mark."""
        written = " ".join((mark, *sorted(self.per)))
        return next(known for known in NUMBER_FORMATS if known == written)

    @property
    def why_not(self) -> str:
        """Why they are not read as numbers although each is one; empty where nothing speaks against it."""
        if self.triples:
            return (
                f"all are of one length in groups of three digits ({self.triples}), as telephone numbers are: if they "
                "are amounts, write them without what sets the groups apart"
            )
        if len(self.per) > 1:
            return "some are percent and some are per mille: write all alike"
        if self.percent and self.bare:
            return f"some are {_SHARES[min(self.per)]} ({self.percent}) and some are not ({self.bare}): write all alike"
        if len(self.signs) > 1:
            return f"they are in several currencies ({', '.join(sorted(self.signs))}): give each a column"
        if self.point and self.comma:
            return f"some have a decimal point ({self.point}) and some a decimal comma ({self.comma}): write all alike"
        return ""


def look_at(texts: Iterable[str]) -> NumberTexts:
    """What texts say about how numbers are written."""
    return sum((_look_at(text) for text in texts), NumberTexts())


def _look_at(text: str) -> NumberTexts:
    part = _parts(text)
    marks = [mark for mark in ("point", "comma") if part and _GROUPED[mark].fullmatch(part.number)]
    if part is None or not marks:
        return NumberTexts(1, (text,), 1)
    digits = re.sub(r"['’\s]", "", part.number)
    # A point with other than three digits behind it, or one thousand more, has one reading alone.
    differs = len(marks) == 2 and ("," in digits or "." in digits)
    only = marks[0] if len(marks) == 1 else None
    return NumberTexts(
        1,
        point=text if only == "point" else None,
        comma=text if only == "comma" else None,
        either=text if differs else None,
        per=frozenset({part.per} if part.per else ()),
        percent=text if part.per else None,
        bare=None if part.per else text,
        signs=frozenset({part.sign} if part.sign else ()),
        special=None if is_plain(text) else text,
        bracketed=text if text.startswith("(") or (part.is_negative and text[0].isdigit()) else None,
    )


def is_plain(text: str) -> bool:
    """Whether a text is a number that needs no statement."""
    return re.fullmatch(PLAIN, text.strip(), re.ASCII) is not None


def hint(value: object) -> str:
    """Why a value is not read as a number, as far as it can be told, and what to write; else empty."""
    texts = look_at([str(value)])
    if re.fullmatch(r"\s*\d+-\s*", str(value)):
        return f"if {value} is below zero, write its minus in front"
    if texts.failed or is_plain(str(value)):
        return ""
    if texts.either:
        return f"{value} has a decimal comma or thousands apart: set `format: comma` or `format: point`"
    written = texts.format(texts.mark or "point")
    return f"{value} is one of {NUMBERS_IN_WORDS[written]}: set `format: {written}`"
