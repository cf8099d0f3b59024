"""Numbers that programs write where they know none: -999, 999.9, a 0 that nobody can have.

Here: finding them and naming the first row of each, with the remedy. Not here: days of that kind (`oddities`), words
(`core.values.text_formats`).
"""

from __future__ import annotations

from collections.abc import Mapping

from mlops_assets.core.record.plain_values import counted
from mlops_assets.core.values.exact import LARGEST
from mlops_assets.core.values.quoted_commands import typed
from mlops_assets.core.values.sql import quoted
from mlops_assets.onboarding.columns import is_code
from mlops_assets.onboarding.reading.table import Facts, Table
from mlops_assets.onboarding.times import TimeColumn

_ANSWERS = ({0.0, 1.0}, {1.0, 2.0})
_NO_ANSWER = 9.0
"""What questionnaires write beside two answers alone; beside more it may be a count."""
_WHOLE = frozenset(sign * float("9" * digits) for sign in (1, -1) for digits in range(2, 10)) | {
    -1.0, -2.0**15, 2.0**15 - 1, 2.0**16 - 1, -2.0**31, 2.0**31 - 1, -2.0**63, 2.0**63, 1e20, -1e20, 1e30, -1e30,
    9.969209968386869e36, 3.4028234663852886e38, -3.4028234663852886e38, 1.7976931348623157e308,
    -1.7976931348623157e308,
}  # fmt: skip
"""Numbers that programs write for a missing one."""
_REPEATED = frozenset(
    sign * int(digit * places) / 10**after
    for digit in "789"
    for places in range(1, 8)
    for after in range(min(places, 4))
    for sign in (1, -1)
    if places > 1 or sign < 0
) | {-999.25, -9999.25}  # fmt: skip
"""Others that they write, and that are hardly ever written once."""
_FLAGGED = (
    f"(abs({{x}}) > {LARGEST} or list_contains($whole, {{x}}) "
    "or coalesce(list_contains($repeated::float[], try_cast({x} as float)), false))"
)
"""Floats of 32 bits are no decimals, and near to one; beyond 3.4e38 there are none."""
_FEW = 20
"""With fewer different values one such as 99 may be one of them, see `_is_apart`."""
_FAR = 10
"""So many times as far as the others are apart lies none of them."""
_NEAR = 0.25
"""A number that is there several times may lie so near to the others, in shares of their span."""
_SEVERAL = 3
_DEAR = 9_999
"""Lesser numbers of nines are prices."""
_FEWEST = 3
"""Other values that make a scale of which -1 is no part; -1, 0 and 1 are one."""
_USUAL_END = 3
"""So many times as often as by chance do prices end in 9 or 99."""
_STEADY = 3.5
"""Standard deviations from 0 to the median of what nobody has none of, such as blood pressure: 4 to 6."""
_GAP = 0.4
"""Or so far from 0 to the least of them, in shares of their span."""
_SPIKE = 1 / 3
"""A larger share of zeros is a kind of row of its own."""
_GROUPS = 12
"""Values of a column, or hours and weekdays, that may say by themselves that nothing was there."""

_FEWEST_ROWS = 10
"""Rows of such a group, at least."""


def sentinels(table: Table, facts: Facts) -> str:
    """Numbers for a missing one, where they stand apart from all others; empty where there are none."""
    if is_code(facts):
        return ""
    x = f"{quoted(facts.name)}::double"
    if {*map(float, facts.values)} - {_NO_ANSWER} in _ANSWERS and len(facts.values) > 2:
        answers = sorted({*map(float, facts.values)} - {_NO_ANSWER})
        count = table.first(f"select count(*) from {table.relation} where {x} = {_NO_ANSWER}")[0]
        return _sentence(table, facts, x, {_NO_ANSWER: count}, answers[0], answers[-1])
    is_flagged = _FLAGGED.format(x=x)
    given: dict[str, object] = {"whole": sorted(_WHOLE), "repeated": sorted(_REPEATED)}
    counts = dict(
        table.connection.execute(
            f"select {x}, count(*) from {table.relation} where {is_flagged} group by 1 order by 1", given
        ).fetchall()
    )
    if not counts:
        return ""
    low, high, distinct, zeros, ones = table.first(
        f"select min({x}), max({x}), count(distinct {x}), count(*) filter ({x} = 0), count(*) filter ({x} = 1) "
        f"from {table.relation} where isfinite({x}) and not {is_flagged}",
        given,
    )
    if not distinct:
        return ""
    # Of those beyond all floats of a model the most frequent stands for all.
    marks = sorted((value for value in counts if abs(value) > LARGEST), key=lambda value: -counts[value])[:1]
    for value, count in counts.items():
        if abs(value) > LARGEST:
            continue
        if value == -1:
            is_odd = _is_below_a_wall(count, low, distinct, zeros, ones)
        else:
            is_odd = _is_apart(value, count, low, high, distinct)
            is_near = not is_odd and _is_near(value, count, low, high, distinct)
            is_odd = (is_odd or is_near) and not (
                (is_near or value not in _WHOLE) and value > 0 and _ends_usually(table, x, value, is_flagged, given)
            )
        if is_odd:
            marks.append(value)
    return _sentence(table, facts, x, {value: counts[value] for value in marks}, low, high) if marks else ""


def _sentence(table: Table, facts: Facts, x: str, counts: Mapping[float, int], low: float, high: float) -> str:
    texts = {value: f"{value:.6g}" for value in counts}
    wanted = ", and ".join(
        f"{text} in {table.place(f'{x} = $value', {'value': value})}, in {counted(counts[value], 'row')} in all"
        for value, text in texts.items()
    )
    # Beyond 2^53 each float is a whole number, of up to 309 digits.
    words = (f"{facts.name}={int(value) if value.is_integer() and abs(value) < 2**53 else value!r}" for value in counts)
    said = " ".join(typed("--missing", word) for word in words)
    return (
        f"{facts.name} is {wanted}, where the others are {low:g} to {high:g}: if it means missing, leave the cell "
        f"empty, or say so: {said}."
    )


def _is_apart(value: float, count: int, low: float, high: float, distinct: int) -> bool:
    """Whether a number lies further from the others, or below zero alone, than an ordinary one.

    Of few values one may be far from the others by itself, as the price 99 beside 19 and 49: then these must be half of
    the whole numbers between them, as 1 to 12 are, or it must lie further by far and be no usual price.
    """
    gap, span = max(low - value, value - high), high - low
    if value not in _WHOLE and (count < 2 or distinct < _FEWEST):
        return False
    if value < 0 <= low:
        return value in _WHOLE or -value > 10 or span < _FAR or count >= _SEVERAL
    is_scale = distinct > _FEW or span < 2 * distinct
    return distinct > 1 and gap > span and (is_scale or (gap > _FAR * span and not 0 < value < _DEAR))


def _is_near(value: float, count: int, low: float, high: float, distinct: int) -> bool:
    """Whether a number is there several times beyond all others: what thins out has a last one, once."""
    gap, span = max(low - value, value - high), high - low
    return count >= _SEVERAL and distinct > 2 * _FEW and gap > _NEAR * span and abs(value) > 10


def _ends_usually(table: Table, x: str, value: float, is_flagged: str, given: dict[str, object]) -> bool:
    """Whether many of the others end in the same digits, as prices do: 99.99 beside 19.99."""
    text = f"{value:.6g}"
    unit = 10.0 ** -len(text.partition(".")[2]) if "." in text else 1.0
    end = 10 * unit if unit == 1 else 1.0
    last = round(value % end / unit)
    share = table.first(
        f"select avg((round({x} % {end} / {unit})::bigint = {last})::int) from {table.relation} "
        f"where isfinite({x}) and not {is_flagged}",
        given,
    )[0]
    return bool(share is not None and share > _USUAL_END * unit / end)


def _is_below_a_wall(count: int, low: float, distinct: int, zeros: int, ones: int) -> bool:
    """Whether -1 is more than the last of a tail: numbers begin at once at 0 or above it, or it is more frequent.

    A tail thins out, so that a value next to its last is to the last as the one after is to it, or less.
    """
    if count < 2 or low < 0 or distinct < _FEWEST:
        return False
    return not zeros or zeros >= ones / 2 or count * ones > 2 * zeros**2


def impossible_zeros(table: Table, facts: Facts, time: TimeColumn, zone: str) -> str:
    """Zeros far below all other numbers of a column that measures what nobody has none of; empty where there are none.

    Counts, amounts and rain begin at 0, and lie within three standard deviations of it. Where a weekday, an hour or a
    value of another column goes with the zeros, nothing was there.
    """
    if facts.low is None or float(facts.low) != 0 or is_code(facts):
        return ""
    x = f"{quoted(facts.name)}::double"
    of = f"from {table.relation} where isfinite({x})"
    zeros, known = table.first(f"select count(*) filter ({x} = 0), count(*) {of}")
    if zeros < _SEVERAL or zeros > _SPIKE * known:
        return ""
    given: dict[str, object] = {"whole": sorted(_WHOLE), "repeated": sorted(_REPEATED)}
    low, high, distinct, middle, tenths = table.first(
        f"select min({x}), max({x}), count(distinct {x}), median({x}), quantile_cont({x}, [0.1, 0.9]) "
        f"{of} and {x} > 0 and not {_FLAGGED.format(x=x)}",
        given,
    )
    if distinct <= _FEW or not tenths[1] > tenths[0]:
        return ""
    deviation = (tenths[1] - tenths[0]) / 2.563
    (below,) = table.first(f"select count(*) {of} and {x} > 0 and {x} < {middle / 4!r}")
    is_far = middle >= _STEADY * deviation or low >= _GAP * (high - low)
    if not is_far or zeros < 2 * below or _goes_with_a_group(table, facts, x, time, zone):
        return ""
    return (
        f"{facts.name} is 0 in {table.place(f'{x} = 0')}, in {counted(zeros, 'row')} in all, where the others are "
        f"{low:g} to {high:g} and half of them above {middle:g}: if nobody can have none of it, 0 means missing; leave "
        "the cell empty. If 0 is a value like others, leave it as it is."
    )


def _goes_with_a_group(table: Table, facts: Facts, x: str, time: TimeColumn, zone: str) -> bool:
    """Whether most zeros lie in groups of rows that have nearly nothing but zeros."""
    local = f"timezone('{zone}', {time.sql})"
    groups = [f"isodow({local})", f"hour({local})"]
    groups += [quoted(n) for n, other in table.facts.items() if n != facts.name and 1 < other.distinct <= _GROUPS]
    each = " union all ".join(
        f"select sum(zeros) filter (zeros >= 0.9 * known and known >= {_FEWEST_ROWS}) as alike, sum(zeros) as zeros "
        f"from (select count(*) filter ({x} = 0) as zeros, count(*) as known from {table.relation} where isfinite({x}) "
        f"group by {group})"
        for group in groups
    )
    return bool(table.first(f"select coalesce(bool_or(alike >= 0.5 * zeros), false) from ({each})")[0])
