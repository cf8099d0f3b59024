"""The range that a number, or a length of time, of the settings must lie in, and the error that names it.

Here: ranges, and holding the fields of a policy against them. Not here: the range of a metric (`stats.metric_limits`),
of a statistic of drift (`drift.policy`), of any other field, which stands in the annotation of that field.

A range is written once, `psi: Annotated[float | None, Range(...)]`, and holds for YAML (pydantic calls it before it
converts anything), for `retrain.on` and for a policy that is made in code.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from functools import cache
from numbers import Integral
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin, get_type_hints

from pydantic_core import core_schema

from mlops_assets.core.limits.scientific_notation import as_number
from mlops_assets.core.time.windows import format_duration, parse_duration

LARGEST = 1e12
"""In any unit: what is larger is a mistake, and so is infinity."""
_NUMBERS = (int, float, Integral)
_SHOWN = 60


class WrongSetting(ValueError):
    """A setting is wrong. Whatever reads it again is refused again, so nothing is to be tried a second time."""


class Allowed:
    """What all kinds of ranges do."""

    def fault(self, value: Any) -> str:
        """What is wrong with a value and what to write, to follow the name of its field; empty if nothing is."""
        raise NotImplementedError

    def read(self, value: Any) -> Any:
        """A value as the field holds it; what is no such value is left for `fault`."""
        return value

    def refuse(self, place: str, value: Any) -> None:
        """Hold the value of a field against the range.

        Raises:
            WrongSetting: it lies outside; the message names field, value, range and an example.
        """
        if fault := self.fault(value):
            raise WrongSetting(f"{place} {fault}")

    def __get_pydantic_core_schema__(self, source: Any, handler: Any) -> Any:
        """Asked before pydantic takes the text 3, or true, for a number."""

        def within(value: Any) -> Any:
            if value is None and _may_be_missing(source):
                return value
            known = self.read(value)
            self.refuse("it", known)
            return known

        return core_schema.no_info_before_validator_function(within, handler(source))


@dataclass(frozen=True)
class Range(Allowed):
    """Numbers from `least` to `most`.

    Attributes:
        least: the smallest.
        most: the largest.
        example: a usual value, for the message.
        above: whether `least` itself is outside.
        below: whether `most` itself is.
        whole: whether only whole numbers are meant.
        words: that may stand in place of a number.
        note: what follows the example in the message.
    """

    least: float
    most: float
    example: float
    above: bool = False
    below: bool = False
    whole: bool = False
    words: tuple[str, ...] = ()
    note: str = ""

    def read(self, value: Any) -> Any:
        """A text in scientific notation as the number that it is."""
        return as_number(value, whole=self.whole)

    def fault(self, value: Any) -> str:
        """What is wrong with a value and what to write, to follow the name of its field; empty if nothing is."""
        if isinstance(value, str) and value in self.words:
            return ""
        if self._holds(value):
            return ""
        no_number = "" if isinstance(value, _NUMBERS) and not isinstance(value, bool) else ", which is no number"
        return f"is {_shown(value)}{no_number}: {self.remedy}"

    @property
    def remedy(self) -> str:
        """What to write."""
        what = "a whole number" if self.whole else "a number"
        words = "".join(f", or {word}" for word in self.words)
        return f"write {what}{self.in_words}, for example {_figure(self.example)}{words}{self.note}"

    @property
    def in_words(self) -> str:
        """The range in words, to follow what is meant: ` from 0 to below 1`; empty where nothing bounds it."""
        least, most = _figure(self.least), _figure(self.most)
        if self.least <= -LARGEST:
            return "" if self.most >= LARGEST else f" {'below' if self.below else 'of at most'} {most}"
        if self.most >= LARGEST:
            return f" above {least}" if self.above else f" of {least} or more"
        if self.above:
            return f" between {least} and {most}" if self.below else f" above {least} and at most {most}"
        return f" from {least} to {'below ' * self.below}{most}"

    def _holds(self, value: Any) -> bool:
        if not isinstance(value, _NUMBERS) or isinstance(value, bool):
            return False
        if self.whole and isinstance(value, float) and not value.is_integer():
            return False
        # Neither holds of what is no number, and infinity is beyond every range.
        number: Any = value
        is_over = number > self.least if self.above else number >= self.least
        return bool(is_over and (number < self.most if self.below else number <= self.most))


@dataclass(frozen=True)
class Length(Allowed):
    """Lengths of time from `least` to `most`, written as 36h or 7d.

    Attributes:
        least: the shortest.
        most: the longest.
        example: a usual one, for the message.
        above: whether `least` itself is outside.
        words: that may stand in place of a length.
    """

    least: str
    most: str
    example: str
    above: bool = False
    words: tuple[str, ...] = ()

    def fault(self, value: Any) -> str:
        """What is wrong with a value and what to write, to follow the name of its field; empty if nothing is."""
        if isinstance(value, str) and value in self.words:
            return ""
        begin = f"above {self.least} and at most" if self.above else f"from {self.least} to"
        words = "".join(f", or {word}" for word in self.words)
        remedy = f"write a length of time {begin} {self.most}, for example {self.example}{words}"
        try:
            length = parse_duration(value if isinstance(value, str | timedelta) else repr(value))
        except ValueError:
            return f"is {_shown(value)}, which is not a duration: {remedy}"
        least, most = parse_duration(self.least), parse_duration(self.most)
        is_over = length > least if self.above else length >= least
        written = value if isinstance(value, str) else format_duration(value)
        return "" if is_over and length <= most else f"is {written}: {remedy}"


@dataclass(frozen=True)
class Choice(Allowed):
    """One of some texts."""

    names: tuple[str, ...]

    def fault(self, value: Any) -> str:
        """What is wrong with a value and what to write, to follow the name of its field; empty if nothing is."""
        return "" if value in self.names else f"is {_shown(value)}: write {' or '.join(self.names)}"


ROW_COUNT = Range(0, 1e9, 200, whole=True)
COUNT = Range(1, 10_000, 3, whole=True)
ANY_SHARE = Range(0, 1, 0.05)
"""The whole of it included: a limit that nothing breaks."""
PART = Range(0, 1, 0.05, below=True)
CONFIDENCE = Range(0.5, 1, 0.95, above=True, below=True)
TIME = Length("0d", "3650d", "7d")
SOME_TIME = Length("0d", "3650d", "7d", above=True)


def refuse_outside(kind: type, values: Mapping[str, Any], place: str) -> None:
    """Hold the fields of a policy against the ranges in their annotations.

    Args:
        kind: the class that has the fields.
        values: of some fields, or all; others may stand among them.
        place: of the fields in the YAML, such as `monitoring.drift`.

    Raises:
        WrongSetting: one lies outside, or is no number at all; the message names it, the range and an example.
    """
    for name, (allowed, may_be_missing) in _ranges_of(kind).items():
        if name in values and not (values[name] is None and may_be_missing):
            allowed.refuse(f"{place}.{name}", values[name])


def read_numbers(kind: type, values: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a policy as in YAML, with texts in scientific notation as numbers where a field holds numbers.

    Args:
        kind: the class that has the fields.
        values: of some fields, or all; others may stand among them.
    """
    ranges = _ranges_of(kind)
    return {name: ranges[name][0].read(value) if name in ranges else value for name, value in values.items()}


@cache
def _ranges_of(kind: type) -> dict[str, tuple[Allowed, bool]]:
    """The fields that have a range: it, and whether null may stand there."""
    ranges: dict[str, tuple[Allowed, bool]] = {}
    for name, hint in get_type_hints(kind, include_extras=True).items():
        for note in get_args(hint)[1:] if get_origin(hint) is Annotated else ():
            if isinstance(note, Allowed):
                ranges[name] = (note, _may_be_missing(get_args(hint)[0]))
    return ranges


def _may_be_missing(written: Any) -> bool:
    return get_origin(written) in (Union, UnionType) and type(None) in get_args(written)


def _shown(value: Any) -> str:
    if isinstance(value, bool):
        return f"{value}".lower()
    text = "null" if value is None else repr(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"


def _figure(value: float) -> str:
    return f"{value:,.0f}" if float(value).is_integer() and abs(value) < LARGEST else f"{value:.4g}"
