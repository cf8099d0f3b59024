"""What makes a partition a fault of its source when it is held against those that were accepted before it.

Here: a changed unit (with its factor), a column of one value, another spelling, a clock that is off by whole hours or
lacks am and pm. Not here: the shapes (`partition_profile`), the promises of a contract, which hold without any past
(`contract_check`), drift of features (`drift`).

All ask the same: is this day further from *every* accepted day than they are from each other, and would one known
mistake put it right among them? A level that only moved does not pass the second question, an odd weekday or a season
not the first. `benchmarks/changed_units.py` says how often each is right.
"""

from __future__ import annotations

import difflib
import math
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from mlops_assets.core.sources.contract import Failure
from mlops_assets.core.sources.known_units import HOURS
from mlops_assets.core.sources.partition_profile import MIN_PAST, ColumnShape, Shape
from mlops_assets.core.sources.partition_scale import Array, deviation
from mlops_assets.core.sources.partition_units import PAST, ChangedUnit, changed_unit
from mlops_assets.core.values.display import some

LONG = 365
"""Accepted partitions that are worth giving: so long are storms remembered."""
_FAR = 3.5
"""Standard deviations of a day between it and the nearest accepted day, before anything is a fault."""
MIN_ROWS = 20
"""Days with fewer known values of a column neither judge nor are judged."""
UNLIKELY = 1e-4
"""Chance of one value throughout, or of no afternoon, by the accepted day closest to it; a usual day's is smaller."""
_SURE = 10.0
"""Logarithm of the ratio of likelihoods from which on a clock is off."""
_OF_VALUES = frozenset(("usual", "min", "max", "allowed", "null_share", "partition", "future"))
"""Rules of a contract that values break which have changed."""
BEYOND_TWELVE = [0, *range(13, 24)]
"""Hours that a clock of twelve hours does not have."""


_DST_ZONES = tuple(
    map(ZoneInfo, ("America/New_York", "Europe/Berlin", "Australia/Sydney", "America/Santiago", "Asia/Jerusalem"))
)


def changes(shape: Shape, past: Sequence[Shape], day: date | None = None) -> list[Failure]:
    """What has changed in a way that no world changes by itself; nothing where the past is too short to tell.

    Args:
        shape: of the new partition.
        past: of the partitions before it, newest last: the accepted ones, and those that were refused for their unit
            (`Shape.refused`), which say that the unit may still be changed.
        day: the partition's day, for the hour that a zone's clocks move by.
    """
    failures: list[Failure] = []
    for name, today in shape.columns.items():
        before = [old.columns[name] for old in past if name in old.columns and old.columns[name].n >= MIN_ROWS]
        if today.n >= MIN_ROWS and sum(not old.refused for old in before) >= MIN_PAST:
            failures.extend(_change(name, today, before, day))
    return failures


def causes_first(failures: Sequence[Failure]) -> list[Failure]:
    """Failures in the order in which a person reads them: where only the first is shown, it has to be the cause.

    What a column has changed by (its unit, then its clock or its spelling) comes before what the contract says of its
    values, which follows from that; what cannot be read, and columns that are absent, come before all.
    """

    def rank(rule: str) -> int:
        return 3 if rule in _OF_VALUES else 1 if rule == "changed_unit" else 2 * rule.startswith("changed_")

    return sorted(failures, key=lambda each: rank(each.rule))


def refused_shape(shape: Shape, failures: Sequence[Failure]) -> Shape | None:
    """What stays of a partition that was refused for the changes that were found: its columns in another unit."""
    units = {failure.column: failure.sample for failure in failures if failure.sample and failure.column is not None}
    return shape.refused(units) if units else None


_REMEDY = "Send it as before; if it is right, release it, and days like it follow (`steady: false` asks no more)."


def _change(name: str, today: ColumnShape, past: Sequence[ColumnShape], day: date | None) -> Iterator[Failure]:
    """The first kind of change that a column shows."""
    newest = [shape for shape in past if not shape.refused][-PAST:]
    looks: dict[str, Callable[[], str | ChangedUnit | None]] = {
        "constant": lambda: _constant(today, newest),
        "unit": lambda: changed_unit(today, past),
        "spelling": lambda: _spelling(today, newest),
        "style": lambda: _style(today, newest),
        "clock": lambda: _twelve(today, newest) or _clock(today, newest, day),
    }
    for kind, look in looks.items():
        if change := look():
            sentence, units = (change.sentence, change.units) if isinstance(change, ChangedUnit) else (change, ())
            yield Failure(f"changed_{kind}", name, today.n, units, f"{name} {sentence} {_REMEDY}")
            return


# --- one value throughout, and texts -----------------------------------------------------------------------


def _constant(today: ColumnShape, past: Sequence[ColumnShape]) -> str | None:
    """Whether it has one value, and was far from that on each accepted day."""
    shares, sizes = (np.array([getattr(shape, name) for shape in past]) for name in ("modal", "n"))
    if today.modal < 1.0 or shares.max() >= 1.0 or _log_chance(today.n, shares, sizes) > math.log(UNLIKELY):
        return None
    if not _is_far(today.n, shares, sizes):
        return None
    return f"has one value throughout, and at most {shares.max():.0%} of a day's rows had the same one before."


def _log_chance(n: int, shares: Array, sizes: NDArray[np.int64]) -> float:
    """Log of the chance that n rows have one value, on a day like the accepted one closest to that.

    How large that day's share really was, all days say (beta-binomial, by moments): of 91 days of 60 rows one shows
    93 % of what is 80 % on each.
    """
    mean = float((shares * sizes).sum() / sizes.sum())
    by_chance = mean * (1.0 - mean)
    spread = float(np.var(shares) - np.mean(by_chance / sizes))
    rows = min(by_chance / spread - 1.0, 1e6) if spread > 0.0 else 1e6
    same, other = mean * rows + shares * sizes, (1.0 - mean) * rows + (1.0 - shares) * sizes
    closest = int(np.argmax(same / (same + other)))
    as_one, every = float(same[closest]), float(same[closest] + other[closest])
    return math.lgamma(as_one + n) - math.lgamma(as_one) - math.lgamma(every + n) + math.lgamma(every)


def _is_far(n: int, shares: Array, sizes: NDArray[np.int64]) -> bool:
    """Whether all of n rows are further beyond the accepted days' shares than those are from each other.

    On the scale of log odds, with half a row added on either side.
    """
    odds = np.log((shares * sizes + 0.5) / ((1.0 - shares) * sizes + 0.5))
    gap = math.log(2 * n + 1) - odds.max()
    return bool(gap > _FAR * max(float(odds.std()), 0.25))


def _spelling(today: ColumnShape, past: Sequence[ColumnShape]) -> str | None:
    """Whether known values of a text are gone and come back in other letters, or none of its values is known."""
    lists = [day.values for day in past if day.values is not None]
    if today.values is None or len(lists) < MIN_PAST or not _recurs(lists):
        return None
    known = set().union(*lists)
    new = {value: n for value, n in today.values.items() if value not in known}
    if len(new) == len(today.values) and len(known) > 1 and all(len(day) > 1 for day in lists):
        if pairs := _respelled(set(new), known):
            return f"is spelled otherwise: {_pairs_in_words(pairs)}."
        return f"has none of the values that it had before: {_few(new)}, before {_few(known)}."
    gone = {value for value in known - today.values.keys() if _is_missed(value, today.n, past)}
    # What is the same but for capitals or zeros need not be gone: half of a file may be written so.
    by_letters = {_letters(value): value for value in known}
    same = {value: by_letters[_letters(value)] for value in new if _letters(value) in by_letters}
    pairs = {**_respelled(set(new) - same.keys(), gone), **same}
    rows = sum(new[value] for value in pairs)
    if rows < max(10, 0.02 * today.n):
        return None
    return f"is spelled otherwise in {rows:,} of {today.n:,} rows: {_pairs_in_words(pairs)}."


def _recurs(lists: Sequence[Mapping[str, int]]) -> bool:
    """Whether a day's values are those of other days, and not new ones every day or every month."""
    days = Counter(value for day in lists for value in day)
    common = all(sum(n for value, n in day.items() if days[value] > 1) >= 0.95 * sum(day.values()) for day in lists)
    return common and bool(lists[0].keys() & lists[-1].keys())


def _is_missed(value: str, n: int, past: Sequence[ColumnShape]) -> bool:
    """Whether a value that every accepted day had should have come, by the day that had the smallest share of it."""
    least = min((shape.values or {}).get(value, 0) / shape.n for shape in past)
    return n * least >= 5.0


def _respelled(new: set[str], gone: set[str]) -> dict[str, str]:
    """New value -> known value that it is in other letters."""
    by_letters = {_letters(value): value for value in gone}
    pairs = {}
    for value in new:
        if (same := by_letters.get(_letters(value))) is not None:
            pairs[value] = same
            continue
        # v1 and v2 are not one word: digits must be equal. Nor are codes of three letters.
        alike = [known for known in gone if _digits(known) == _digits(value) and max(len(known), len(value)) > 3]
        swapped = [known for known in alike if sorted(known) == sorted(value)]
        if close := difflib.get_close_matches(value, alike, n=1, cutoff=0.8) or swapped:
            pairs[value] = close[0]
    return pairs


def _letters(value: str) -> str:
    """A text without case, accents, spaces and punctuation; a number without the zeros before it."""
    plain = unicodedata.normalize("NFKD", value).casefold()
    letters = "".join(letter for letter in plain if letter.isalnum()) or plain.strip()
    return letters.lstrip("0") or "0" if letters.isdecimal() else letters


def _digits(value: str) -> str:
    return "".join(letter for letter in value if letter.isdigit())


def _pairs_in_words(pairs: Mapping[str, str]) -> str:
    return _few([f"{new!r} where it was {known!r}" for new, known in sorted(pairs.items())])


def _few(values: object) -> str:
    return some(sorted(map(str, values)), 3)  # type: ignore[call-overload]


def _style(today: ColumnShape, past: Sequence[ColumnShape]) -> str | None:
    """Whether a text whose values are new on every day is all in one case, and was not."""
    styles = [shape.styles for shape in past if shape.styles is not None]
    lists = [shape.values for shape in past if shape.values is not None]
    if today.styles is None or len(styles) < MIN_PAST or (len(lists) == len(past) and _recurs(lists)):
        return None
    for place, case in enumerate(("upper", "lower")):
        most = max(style[place] for style in styles)
        if today.styles[place] >= 0.95 and most < 0.5:
            return f"is all in {case} case, and at most {most:.0%} of a day's rows were before."
    return None


# --- clocks ------------------------------------------------------------------------------------------------


def _twelve(today: ColumnShape, past: Sequence[ColumnShape]) -> str | None:
    """Whether the day's hours are 1 to 12 alone, and fit the accepted days without am and pm better than cut off."""
    kept = np.array([shape.hours for shape in past if shape.hours is not None])
    if today.hours is None or len(kept) < MIN_PAST or any(today.hours[hour] for hour in BEYOND_TWELVE):
        return None
    least = float((kept[:, BEYOND_TWELVE].sum(axis=1) / kept.sum(axis=1)).min())
    if today.n * math.log1p(-min(least, 0.999)) > math.log(UNLIKELY):
        return None
    usual, rows = _usual_hours(kept), np.array(today.hours)
    half = usual[:12] + usual[12:]
    folded, cut = np.log([*half[1:], half[0]]), np.log(usual[1:13] / usual[:13].sum())
    if rows[1:13] @ (folded - cut) < 2 or (rows @ _shifted(usual).T).max() > rows[1:13] @ folded:
        return None
    return (
        f"is on a clock of twelve hours without am and pm: no row lies at 0 or 13 to 23, where at least {least:.0%} of "
        "the rows lay on each accepted day."
    )


def _clock(today: ColumnShape, past: Sequence[ColumnShape], day: date | None) -> str | None:
    """Whether the day's rows lie at the hours of accepted days, but for one shift of all of them.

    Under the accepted days' hours a ratio of likelihoods exceeds x with a chance of 1/x at most; where days differ by
    more than chance makes of their rows, these count for fewer. A file that is cut off lies at some of its hours, and
    nothing was shifted.
    """
    kept = np.array([shape.hours for shape in past if shape.hours is not None])
    if today.hours is None or len(kept) < MIN_PAST:
        return None
    rows, sizes, usual = np.array(today.hours), kept.sum(axis=1), _usual_hours(kept)
    shifted = _shifted(usual)
    # Mean log-likelihood of each day's hours, a column for each shift.
    days, here = kept @ shifted.T / sizes[:, None], rows @ shifted.T / today.n
    best, seen = int(np.argmax(here)), np.flatnonzero(rows)
    gains, cut = days[:, best] - days[:, 0], math.log(usual[seen[0] : seen[-1] + 1].sum())
    width = max(deviation(gains), float(np.sqrt(np.cov(shifted[best] - shifted[0], aweights=usual) / today.n)))
    gain = here[best] - here[0]
    is_moved = today.n * (gain + cut) / _spread(kept, usual) > _SURE and gain > gains.max() + 0.5 * width
    fits = here[best] >= days[:, 0].min() - width
    hours = (0, *HOURS)[best]
    if best == 0 or not is_moved or not fits or (abs(hours) == 1 and day is not None and _clocks_move(day)):
        return None
    return (
        f"is off by {hours:+d} hours: the day's rows lie at the hours of the {len(kept)} accepted partitions before "
        "it, all shifted by so much."
    )


def _usual_hours(kept: NDArray[np.int64]) -> Array:
    """Share of rows in each hour, shape (24,), of accepted days; none is impossible."""
    return (kept.sum(axis=0) + 0.5) / (kept.sum() + 12.0)


def _shifted(usual: Array) -> Array:
    """Log shares by hour where the clock is right, and where it is off, a row for each of `HOURS`."""
    return np.log([np.roll(usual, hours) for hours in (0, *HOURS)])


def _spread(kept: NDArray[np.int64], usual: Array) -> float:
    """How much more days differ than chance makes of their rows (Pearson's chi-squared by its degrees of freedom)."""
    expected = kept.sum(axis=1)[:, None] * usual
    filled = kept.sum(axis=0) > 5  # of fewer, chi-squared says nothing
    freedom = (len(kept) - 1) * max(int(filled.sum()) - 1, 1)
    return max(1.0, float(((kept - expected) ** 2 / expected)[:, filled].sum()) / freedom)


def _clocks_move(day: date) -> bool:
    """Whether clocks were moved in the week before: a source in UTC has its day an hour later then."""
    ends = [datetime.combine(day + timedelta(days=n), datetime.min.time()) for n in (-7, 2)]
    return any(len({end.replace(tzinfo=zone).utcoffset() for end in ends}) > 1 for zone in _DST_ZONES)
